use alloc::format;

use super::*;
use crate::{hex, manifest::Profile};

/// Signatures by the key of seed `[7; 32]` over these bytes, made by an implementation that
/// shares nothing with the one here (affine curve arithmetic on big integers).
const MESSAGE: &[u8] = b"nexus-os-image";
const KEY: &str = "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c";
const GOOD: &str = "ef4f62f8479733ad879cfaced3c89a9c39dd4fc795ef2efa1c3eafe4d729a081\
                    5a7497e98e9953e77c886b09be8d0fbef09e67c2a73587ad5dfa0243a3960005";
/// The same with the group order added to S: another signature that anyone can make of it.
const MALLEABLE: &str = "ef4f62f8479733ad879cfaced3c89a9c39dd4fc795ef2efa1c3eafe4d729a081\
                         47488d46a9fc653f532563ac9c87eed2f09e67c2a73587ad5dfa0243a3960015";
/// R is the identity: it fulfils the equation.
const SMALL_R: &str = "0100000000000000000000000000000000000000000000000000000000000000\
                       f5460fcb881d7acb6c67a585bee0c6042b767d987caf0a958cd26c3b2f38e40c";
/// The same with R's y as p + 1.
const NON_CANONICAL_R: &str = "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f\
                               77c38489831ceea271842256887d2fcf44c5f91a1bd01f6a1a0d6f0a2fcbbf0f";
/// R has a component of order 8: only the equation times 8 holds.
const COFACTORED: &str = "40a4cf5c611d737a2f1c6fcca84d9cabfed80987f186a5a6c57e629bff1af27f\
                          409a1a0dc36b4d8889efe18b4e5f7ad5e12fbb868373f63bea9ec0a636bacf04";
/// The eight points whose order divides 8.
const SMALL_ORDER: [&str; 8] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

fn bytes<const N: usize>(digits: &str) -> [u8; N] {
    hex::parse(digits.as_bytes()).unwrap()
}

fn key() -> PublicKey {
    PublicKey::parse(KEY.as_bytes()).unwrap()
}

#[test]
fn a_good_signature_verifies_over_exactly_its_message() {
    assert_eq!(key().verify(MESSAGE, &bytes(GOOD)), Ok(()));
    for other in [b"nexus-os-imag".as_slice(), b"", b"nexus-os-image\n"] {
        assert_eq!(key().verify(other, &bytes(GOOD)), Err(NotSigned));
    }
}

#[test]
fn signatures_that_a_lenient_verifier_takes_are_refused() {
    for signature in [MALLEABLE, SMALL_R, NON_CANONICAL_R, COFACTORED] {
        assert_eq!(
            key().verify(MESSAGE, &bytes(signature)),
            Err(NotSigned),
            "{signature}"
        );
    }
    // Not for lack of trying: plain `verify` takes R of small order. Losing the `strict` in our
    // call would bring this back.
    let lenient = ed25519_dalek::VerifyingKey::from_bytes(key().as_bytes()).unwrap();
    let signature = ed25519_dalek::Signature::from_bytes(&bytes(SMALL_R));
    assert!(ed25519_dalek::Verifier::verify(&lenient, MESSAGE, &signature).is_ok());
}

#[test]
fn any_flipped_bit_of_a_signature_is_noticed() {
    let good: [u8; 64] = bytes(GOOD);
    for bit in 0..512 {
        let mut bad = good;
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(key().verify(MESSAGE, &bad), Err(NotSigned), "bit {bit}");
    }
}

#[test]
fn keys_of_small_order_are_refused_in_every_profile() {
    for point in SMALL_ORDER {
        let refused = PublicKey::parse(point.as_bytes());
        assert!(
            matches!(refused, Err(KeyError::Weak { .. })),
            "{point}: {refused:?}"
        );
    }
}

#[test]
fn a_key_has_one_encoding() {
    // y = p + k instead of y = k, for every k that is the y of a point.
    for k in [0, 1, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18] {
        let mut point = [0xff; 32];
        point[0] = 0xed + k;
        point[31] = 0x7f;
        assert!(PublicKey::from_bytes(&point).is_err(), "p + {k}");
    }
    // y = 2 is the y of no point.
    let mut none = [0; 32];
    none[0] = 2;
    assert_eq!(PublicKey::from_bytes(&none), Err(KeyError::NotOnCurve));
}

#[test]
fn published_keys_vouch_for_dev_images_only() {
    let seeds = [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "0305334e381af78f141cb666f6199f57bc3495335a256a95bd2a55bf546663f6",
        "ab9c2853ce297ddab85c993b3ae14bcad39b2c682beabc27d6d4eb20711d6560",
        "d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842",
        "9f8362f87a484a954e6e740c5b4c0e84229139a20aa8ab56ff66586f6a7d29c5",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    ];
    for seed in seeds {
        let secret = ed25519_dalek::SigningKey::from_bytes(&bytes(seed));
        let key = PublicKey::from_bytes(secret.verifying_key().as_bytes()).unwrap();
        assert_eq!(key.trust(Profile::Dev), Ok(()), "{seed}");
        let refused = key.trust(Profile::Release);
        assert!(
            matches!(refused, Err(KeyError::TestKey { .. })),
            "{seed}: {refused:?}"
        );
    }
    let secret = ed25519_dalek::SigningKey::from_bytes(&bytes(&KEY.replace('e', "d")));
    let key = PublicKey::from_bytes(secret.verifying_key().as_bytes()).unwrap();
    assert_eq!(key.trust(Profile::Release), Ok(()));
}

#[test]
fn a_public_key_is_read_from_hex_and_pem() {
    let pem = "-----BEGIN PUBLIC KEY-----\n\
               MCowBQYDK2VwAyEA6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=\n\
               -----END PUBLIC KEY-----\n";
    let (one, two) = KEY.split_at(31);
    for text in [
        pem,
        &format!("\n{pem}\n"),
        &KEY.to_uppercase(),
        &format!("  {one} {two}\n"),
        &pem.replace('\n', "\r\n"),
    ] {
        assert_eq!(PublicKey::parse(text.as_bytes()), Ok(key()), "{text}");
    }
    assert_eq!(key().fingerprint(), Fingerprint::of(key().as_bytes()));
}

#[test]
fn what_is_no_public_key_is_refused_for_what_it_is() {
    let private = "-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n";
    assert_eq!(
        PublicKey::parse(private.as_bytes()),
        Err(KeyError::PrivateAsPublic)
    );
    let long = [b'0'; 5_000];
    let refused = PublicKey::parse(&long);
    assert_eq!(
        refused,
        Err(KeyError::TooLong {
            got: 5_000,
            max: 4_096
        })
    );
    // An RSA key of 512 bits: PEM and SPKI, and not ours.
    let rsa = "-----BEGIN PUBLIC KEY-----\n\
               MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf\n\
               9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ==\n\
               -----END PUBLIC KEY-----\n";
    let short = &KEY[1..];
    for text in [
        "",
        "\u{fffd}",
        rsa,
        short,
        &format!("{KEY}00"),
        "0x00",
        "-----BEGIN ",
    ] {
        assert_eq!(
            PublicKey::parse(text.as_bytes()),
            Err(KeyError::NotPublic),
            "{text}"
        );
    }
    assert_eq!(PublicKey::parse(&[0xff; 32]), Err(KeyError::NotPublic));
}

/// If this fails the code is wrong: fingerprints are in scripts and on labels.
#[test]
fn fingerprints_are_frozen() {
    // openssl pkey -pubin -in rfc8032-test1.pem -outform DER | tail -c 32 | sha256sum | head -c 32
    let want = "21fe31dfa154a261626bf854046fd227";
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let fingerprint = PublicKey::from_bytes(&bytes(public)).unwrap().fingerprint();
    assert_eq!(format!("{fingerprint}"), want);
    assert_eq!(want.parse(), Ok(fingerprint));
    let upper = want.to_uppercase();
    assert_eq!(upper.parse::<Fingerprint>(), Err(FingerprintSyntaxError));
}

/// A key with a part of small order: a verifier that multiplies by 8 takes both signatures, one
/// that does not takes the first. All readers of a manifest have to be of one kind.
#[test]
fn the_equation_is_not_multiplied_by_the_cofactor() {
    let public = "d0d31a3cb4bf59a067bce65dbb4e453eb75450b39b1f8a15bd2cce95fa47c958";
    let key = PublicKey::from_bytes(&bytes(public)).unwrap();
    let point = "7767a3242dc9b58bbc68488c1265cc6cc5f26c6f3c88a5d55e901b0734dca572";
    let with = |scalar| bytes(&format!("{point}{scalar}"));
    let plain = with("a5dea09b3a45ee38fa73e273f580f09649571828c50fcb14de32c7caf1a6ab04");
    assert_eq!(key.verify(b"manifest 4", &plain), Ok(()));
    let cofactored = with("240d441d2e376d72e838be9597b3c28629cee142f3670397ae5a2c45171bf606");
    assert_eq!(key.verify(b"manifest 0", &cofactored), Err(NotSigned));
}
