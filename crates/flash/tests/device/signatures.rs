//! The device's half of what `crates/image/tests/signatures.rs` says of the host's.

use nx_flash::device::DeviceConfig;
use nx_flash::storage::MemoryStore;
use nx_flash::wire::{FromHost, Object, OfferFlags, RejectCode};
use nx_image::PublicKey;

use crate::bench::Bench;

fn from_hex(digits: &str) -> Vec<u8> {
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

/// What a device with this key alone says to this offer.
fn refusal(key: PublicKey, signature: &[u8], message: &[u8]) -> RejectCode {
    let mut bench = Bench::with(MemoryStore::new(), DeviceConfig::new(vec![key], 7));
    bench.hello();
    let bytes = [signature, message].concat();
    bench.say(FromHost::Offer {
        bytes: bytes.len() as u32,
        flags: OfferFlags::default(),
    });
    bench.object(Object::Offer, &bytes);
    assert_eq!(bench.store.writes(), 0);
    bench.rejected()
}

/// What is signed gets as far as the manifest, which none of these is.
#[test]
fn where_verifiers_disagree_only_the_strict_answer_is_the_devices() {
    let vectors = include_str!("../../../image/tests/vectors/ed25519_edges.txt");
    let (mut keys_refused, mut signed) = (0, Vec::new());
    for line in vectors.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, _, _, ours, public, signature, message] = words[..] else {
            panic!("{line}");
        };
        let Ok(key) = PublicKey::from_bytes(&from_hex(public).try_into().unwrap()) else {
            assert_eq!(ours, "no", "{name}");
            keys_refused += 1;
            continue;
        };
        match refusal(key, &from_hex(signature), &from_hex(message)) {
            RejectCode::Manifest => signed.push(name),
            code => assert_eq!(code, RejectCode::Signature, "{name}"),
        }
    }
    assert_eq!(signed, ["mixed_a_mixed_r"]);
    assert_eq!(keys_refused, 4);
}
