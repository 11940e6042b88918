use nx_image::test_image::TestImage;
use nx_image::{Manifest, PublicKey, open_signed};

use crate::Target;

pub(crate) const TARGET: Target = Target {
    name: "signed",
    bytes_max: 4_096,
    run,
    seeds,
};

/// A key of 32 bytes, a signature of 64, and what it is said to be over.
fn run(bytes: &[u8]) -> bool {
    let Some((key, rest)) = bytes.split_first_chunk::<32>() else {
        return false;
    };
    let Some((signature, message)) = rest.split_first_chunk::<64>() else {
        return false;
    };
    let Ok(key) = PublicKey::from_bytes(key) else {
        return false;
    };
    let verified = key.verify(message, signature).is_ok();
    if verified {
        // No engine finds a signature: this one is our own, or has been malleable.
        assert!(below_the_order(&signature[32..]), "S is not reduced");
        let mut other = message.to_vec();
        other.push(0);
        assert!(key.verify(&other, signature).is_err());
    }
    let opened = open_signed(message, signature, &[key]);
    let is_manifest = Manifest::parse(message).is_ok();
    assert!(opened.is_err() || (verified && is_manifest));
    // A key of somebody else's does not let anything in, whatever the artefact says.
    assert!(
        key == TestImage::key() || open_signed(message, signature, &[TestImage::key()]).is_err()
    );
    verified
}

/// Whether a little-endian scalar is below the order of the group (RFC 8032, section 5.1).
fn below_the_order(scalar: &[u8]) -> bool {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    scalar.iter().rev().lt(ORDER.iter().rev())
}

fn seeds() -> Vec<Vec<u8>> {
    let image = TestImage::of(10_000, 1);
    let of = |message: &[u8]| {
        let key = image.key.as_bytes().as_slice();
        [key, &TestImage::sign(message), message].concat()
    };
    vec![of(&image.manifest_bytes), of(b""), of(b"{}\n")]
}
