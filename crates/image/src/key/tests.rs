//! Which keys are keys, and which signatures are signatures: all readers must agree.

use alloc::{format, string::String, vec::Vec};

use super::{KeyError, PublicKey, known};
use crate::hex;
use crate::manifest::Profile;

fn unhex<const N: usize>(digits: &str) -> [u8; N] {
    hex::parse(digits.as_bytes()).unwrap()
}

fn key(digits: &str) -> PublicKey {
    PublicKey::parse(digits.as_bytes()).unwrap()
}

/// A key, and the group order, with which a signature can be made another one.
const KEY: &str = "fd1724385aa0c75b64fb78cd602fa1d991fdebf76b13c58ed702eac835e9f618";
const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

#[test]
fn rfc_8032_vectors_verify_and_no_neighbour_does() {
    let vectors: [(&str, &[u8], &str); 3] = [
        (
            known::KEYS[0].0,
            b"",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            known::KEYS[1].0,
            &[0x72],
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            known::KEYS[2].0,
            &[0xaf, 0x82],
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ];
    for (public, message, signature) in vectors {
        let key = key(public);
        let good: [u8; 64] = unhex(signature);
        assert_eq!(key.verify(message, &good), Ok(()));
        for bit in 0..512 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(key.verify(message, &bad).is_err(), "bit {bit}");
        }
        let longer = [message, &[0]].concat();
        assert!(key.verify(&longer, &good).is_err());
    }
}

#[test]
fn a_scalar_beyond_the_group_order_is_no_signature() {
    let key = key(known::KEYS[1].0);
    let mut signature: [u8; 64] = unhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    );
    let order: [u8; 32] = unhex(ORDER);
    let mut carry = 0_u16;
    for (byte, add) in signature[32..].iter_mut().zip(order) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry as u8;
        carry >>= 8;
    }
    assert_eq!(carry, 0);
    assert!(key.verify(&[0x72], &signature).is_err());
}

/// The equation of RFC 8032 holds for it: `R` is the neutral element and `S` is `h * a`.
#[test]
fn a_signature_with_a_point_of_small_order_is_refused() {
    let signature = unhex(
        "01000000000000000000000000000000000000000000000000000000000000008dbf8400d2e9fa6e1e74a78464ebfea586e08915afee157b26166d227ac85a01",
    );
    assert!(key(KEY).verify(b"manifest", &signature).is_err());
}

/// A key with a part of small order. Readers that multiply by the cofactor take both signatures,
/// readers that do not take the first: we are of the latter, like OpenSSL.
#[test]
fn the_cofactor_is_not_multiplied_in() {
    let key = key("d0d31a3cb4bf59a067bce65dbb4e453eb75450b39b1f8a15bd2cce95fa47c958");
    let r = "7767a3242dc9b58bbc68488c1265cc6cc5f26c6f3c88a5d55e901b0734dca572";
    let with = |s| unhex(&format!("{r}{s}"));
    let plain = with("a5dea09b3a45ee38fa73e273f580f09649571828c50fcb14de32c7caf1a6ab04");
    assert_eq!(key.verify(b"manifest 4", &plain), Ok(()));
    let cofactored = with("240d441d2e376d72e838be9597b3c28629cee142f3670397ae5a2c45171bf606");
    assert!(key.verify(b"manifest 0", &cofactored).is_err());
}

#[test]
fn keys_that_anyone_can_sign_for_are_refused() {
    for digits in [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ] {
        let got = PublicKey::parse(digits.as_bytes());
        assert!(matches!(got, Err(KeyError::Weak { .. })), "{digits}");
    }
}

#[test]
fn a_key_has_one_encoding() {
    let one = "0300000000000000000000000000000000000000000000000000000000000000";
    let other = "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f";
    assert!(PublicKey::parse(one.as_bytes()).is_ok());
    assert_eq!(
        PublicKey::parse(other.as_bytes()),
        Err(KeyError::NotOnCurve)
    );
    let nowhere = "0200000000000000000000000000000000000000000000000000000000000000";
    assert_eq!(
        PublicKey::parse(nowhere.as_bytes()),
        Err(KeyError::NotOnCurve)
    );
}

#[test]
fn both_forms_of_a_public_key_are_read() {
    let pem = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PUBLIC KEY-----\n";
    let digits = known::KEYS[7].0;
    let want = key(digits);
    assert_eq!(PublicKey::parse(pem.as_bytes()), Ok(want));
    for form in [
        digits.to_uppercase(),
        format!("  {digits}\r\n"),
        digits
            .as_bytes()
            .chunks(8)
            .fold(String::new(), |text, part| {
                format!("{text}{} ", str::from_utf8(part).unwrap())
            }),
    ] {
        assert_eq!(PublicKey::parse(form.as_bytes()), Ok(want), "{form:?}");
    }
    assert_eq!(want.as_bytes(), &unhex::<32>(digits));
}

#[test]
fn what_is_no_public_key_is_refused_for_what_it_is() {
    let private = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    assert_eq!(
        PublicKey::parse(private.as_bytes()),
        Err(KeyError::PrivateAsPublic)
    );
    let long = Vec::from([b' '; 5_000]);
    let got = PublicKey::parse(&long);
    assert!(matches!(got, Err(KeyError::TooLong { got: 5_000, .. })));
    let digits = known::KEYS[7].0;
    for other in [
        "",
        &digits[1..],
        &format!("{digits}00"),
        &digits.replace('9', "g"),
        "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
        // X25519, not Ed25519.
        "-----BEGIN PUBLIC KEY-----\n\
         MCowBQYDK2VuAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
         -----END PUBLIC KEY-----\n",
        "\u{fffd}",
    ] {
        let got = PublicKey::parse(other.as_bytes());
        assert_eq!(got, Err(KeyError::NotPublic), "{other:?}");
    }
    assert_eq!(PublicKey::parse(&[0xff; 32]), Err(KeyError::NotPublic));
}

/// If this fails the code is wrong: fingerprints are in people's scripts and on factory labels.
#[test]
fn fingerprints_are_frozen() {
    let fingerprint = key(known::KEYS[0].0).fingerprint();
    // openssl pkey -pubin -outform DER | tail -c 32 | sha256sum | head -c 32
    assert_eq!(format!("{fingerprint}"), FINGERPRINT);
    assert_eq!(FINGERPRINT.parse(), Ok(fingerprint));
    assert!(
        FINGERPRINT
            .to_uppercase()
            .parse::<super::Fingerprint>()
            .is_err()
    );
}

const FINGERPRINT: &str = "21fe31dfa154a261626bf854046fd227";

#[test]
fn published_keys_vouch_for_development_only() {
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
    ]
    .map(unhex::<32>);
    let mut rising = [0; 32];
    for (byte, value) in rising.iter_mut().zip(0..) {
        *byte = value;
    }
    let guessed = [
        [0; 32],
        [1; 32],
        [0x42; 32],
        [0xff; 32],
        rising,
        rising.map(|byte| byte + 1),
    ];
    assert_eq!(seeds.len() + guessed.len(), known::KEYS.len());
    for (seed, (public, _)) in seeds.iter().chain(&guessed).zip(known::KEYS) {
        let secret = ed25519_dalek::SigningKey::from_bytes(seed);
        let key = key(public);
        assert_eq!(key.as_bytes(), secret.verifying_key().as_bytes());
        assert_eq!(key.trust(Profile::Dev), Ok(()));
        let got = key.trust(Profile::Release);
        assert!(matches!(got, Err(KeyError::TestKey { .. })), "{public}");
    }
    assert_eq!(key(KEY).trust(Profile::Release), Ok(()));
}
