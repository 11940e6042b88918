//! Some of the transfers of which `cargo run -p flash_matrix --bin soak` makes any number.
#![allow(clippy::panic, reason = "a test stops at the first surprise")]

use flash_matrix::Soak;

#[test]
fn transfers_over_bad_lines_end_well() {
    for seed in 0..100 {
        let soak = Soak::of(seed);
        if let Err(why) = soak.run() {
            panic!("{soak}\n{why}\nagain: {}", soak.command());
        }
    }
}

#[test]
fn a_seed_is_the_same_transfer_on_every_run() {
    for seed in 100..110 {
        let soak = Soak::of(seed);
        assert_eq!(soak.run(), soak.run(), "{soak}");
    }
}
