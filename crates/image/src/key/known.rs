use ed25519_dalek::SigningKey;

use crate::hex;

/// Where the private half of this key can be read by anyone, if it can.
pub(super) fn origin(public: &[u8; 32]) -> Option<&'static str> {
    PUBLISHED
        .iter()
        .find(|(digits, _)| hex::parse(digits.as_bytes()).as_ref() == Some(public))
        .map(|(_, origin)| *origin)
        .or_else(|| is_placeholder(public).then_some("a seed of equal or counting bytes"))
}

/// Whether the seed is what people type where a seed belongs: 32 equal bytes, or 0, 1, 2, …
///
/// Derived when asked, which takes a few milliseconds: a table would be 8 KiB on every device.
fn is_placeholder(public: &[u8; 32]) -> bool {
    let counting = core::array::from_fn(|i| u8::try_from(i).unwrap_or_default());
    (0..=u8::MAX)
        .map(|byte| [byte; 32])
        .chain([counting])
        .any(|seed| SigningKey::from_bytes(&seed).verifying_key().as_bytes() == public)
}

const PUBLISHED: [(&str, &str); 9] = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "RFC 8032, section 7.1, test 1",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "RFC 8032, section 7.1, test 2",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "RFC 8032, section 7.1, test 3",
    ),
    (
        "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
        "RFC 8032, section 7.1, test 1024",
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "RFC 8032, section 7.1, test SHA(abc)",
    ),
    (
        "dfc9425e4f968f7f0c29f0259cf5f9aed6851c2bb4ad8bfb860cfee0ab248292",
        "RFC 8032, section 7.2, first key",
    ),
    (
        "0f1d1274943b91415889152e893d80e93275a1fc0b65fd71b4b0dda10ad7d772",
        "RFC 8032, section 7.2, second key",
    ),
    (
        "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1",
        "RFC 8410, section 10",
    ),
    (
        "26b40b8f93fff3d897112f7ebc582b232dbd72517d082fe83cfb30ddce43d1bb",
        "RFC 9421, appendix B.1.4",
    ),
];
