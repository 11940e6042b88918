//! Keys that are no secret: their private halves are printed in standards, or are the first thing
//! that anyone would try.

use crate::hex;

/// Where the private half of this key can be read by anyone, if it can.
pub(super) fn origin(public: &[u8; 32]) -> Option<&'static str> {
    KEYS.iter()
        .find(|(digits, _)| hex::parse(digits.as_bytes()).as_ref() == Some(public))
        .map(|(_, origin)| *origin)
}

/// Public keys, and where their private halves are. The tests derive each from its private half.
pub(super) const KEYS: [(&str, &str); 15] = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "RFC 8032, section 7.1, test 1, and RFC 8037",
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
    (
        "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29",
        "a private key of 32 bytes 00",
    ),
    (
        "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c",
        "a private key of 32 bytes 01",
    ),
    (
        "2152f8d19b791d24453242e15f2eab6cb7cffa7b6a5ed30097960e069881db12",
        "a private key of 32 bytes 42",
    ),
    (
        "76a1592044a6e4f511265bca73a604d90b0529d1df602be30a19a9257660d1f5",
        "a private key of 32 bytes ff",
    ),
    (
        "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8",
        "a private key of the bytes 00 to 1f",
    ),
    (
        "79b5562e8fe654f94078b112e8a98ba7901f853ae695bed7e0e3910bad049664",
        "a private key of the bytes 01 to 20",
    ),
];
