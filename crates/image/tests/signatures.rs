//! Ed25519 as RFC 8032 has it, as Project Wycheproof tries it, and where verifiers disagree.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use ed25519_dalek::Verifier as _;
use nx_image::PublicKey;
use nx_image::key::{KeyError, SigningKey};
use nx_image::signature::{SignedError, open_signed};
use wycheproof::TestResult;

fn from_hex(digits: &str) -> Vec<u8> {
    let digits = digits.trim_start_matches('-');
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

fn array<const N: usize>(digits: &str) -> [u8; N] {
    from_hex(digits).try_into().unwrap()
}

/// The words of each line of a file of vectors.
fn lines(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(' ').collect())
}

#[test]
fn keys_and_signatures_are_those_of_rfc_8032() {
    let mut tried = 0;
    for words in lines(include_str!("vectors/ed25519_rfc8032.txt")) {
        let [name, seed, public, signature, message] = words[..] else {
            panic!("{words:?}");
        };
        let secret = SigningKey::from_seed(&array(seed)).unwrap();
        let public = PublicKey::from_bytes(&array(public)).unwrap();
        assert_eq!(secret.public_key(), public, "{name}");
        assert_eq!(secret.sign(&from_hex(message)), array(signature), "{name}");
        let verified = public.verify(&from_hex(message), &array(signature));
        assert_eq!(verified, Ok(()), "{name}");
        tried += 1;
    }
    assert_eq!(tried, 4);
}

#[test]
fn wycheproof_agrees() {
    let set = wycheproof::eddsa::TestSet::load(wycheproof::eddsa::TestName::Ed25519).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in &set.test_groups {
        let public: &[u8; 32] = group.key.pk[..].try_into().unwrap();
        let key = PublicKey::from_bytes(public).unwrap();
        for test in &group.tests {
            let about = format!("{}: {}", test.tc_id, test.comment);
            // A signature of another length is none, and the type says so.
            let verified = <&[u8; 64]>::try_from(&test.sig[..])
                .is_ok_and(|signature| key.verify(&test.msg, signature).is_ok());
            match test.result {
                TestResult::Valid => valid += 1,
                TestResult::Invalid => invalid += 1,
                TestResult::Acceptable => panic!("{about}: neither is wrong"),
            }
            assert_eq!(verified, test.result == TestResult::Valid, "{about}");
            // And so does what opens manifests: of what is signed, none is one.
            let opened = open_signed(&test.msg, &test.sig, &[key]).unwrap_err();
            let is_signed = matches!(opened, SignedError::Manifest(_));
            assert_eq!(is_signed, verified, "{about}: {opened}");
        }
    }
    assert_eq!((valid, invalid), (88, 63), "vectors are missing");
}

#[test]
fn where_verifiers_disagree_only_the_strict_answer_is_ours() {
    let mut names = Vec::new();
    let mut lenient_takes = 0;
    for words in lines(include_str!("vectors/ed25519_edges.txt")) {
        let [name, _plain, _times_8, ours, public, signature, message] = words[..] else {
            panic!("{words:?}");
        };
        names.push(name);
        let (signature, message) = (array::<64>(signature), from_hex(message));
        let taken = match PublicKey::from_bytes(&array(public)) {
            Ok(key) => {
                let opened = open_signed(&message, &signature, &[key]).unwrap_err();
                let verified = key.verify(&message, &signature).is_ok();
                let is_signed = matches!(opened, SignedError::Manifest(_));
                assert_eq!(is_signed, verified, "{name}: {opened}");
                verified
            }
            Err(error) => {
                let hopeless = matches!(error, KeyError::Weak { .. } | KeyError::NotOnCurve);
                assert!(hopeless, "{name}: {error}");
                false
            }
        };
        assert_eq!(taken, ours == "yes", "{name}");
        let lenient = ed25519_dalek::VerifyingKey::from_bytes(&array(public)).unwrap();
        let signature = ed25519_dalek::Signature::from_bytes(&signature);
        lenient_takes += u32::from(lenient.verify(&message, &signature).is_ok());
    }
    assert_eq!(names.len(), 12);
    // Plain `verify` takes more: losing the `strict` in our call would show.
    assert!(lenient_takes > 1, "{lenient_takes}");
}
