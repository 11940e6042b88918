//! What was worth keeping of a search for crashes, run again as plain tests.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs;

use fuzz::{TARGETS, Target};

/// Runs every well-formed input, and every one of the corpus; how many were taken for what they
/// claim to be, and how many were not.
fn replay(target: &Target) -> (u32, u32) {
    let (mut taken, mut refused) = (0, 0);
    let inputs = (target.seeds)().into_iter().chain(target.corpus());
    for input in inputs {
        let run = std::panic::AssertUnwindSafe(|| (target.run)(&input));
        let outcome = std::panic::catch_unwind(run);
        let outcome = outcome.unwrap_or_else(|_| panic!("{}: {input:02x?} stops it", target.name));
        *(if outcome { &mut taken } else { &mut refused }) += 1;
    }
    (taken, refused)
}

#[test]
fn no_input_of_any_corpus_stops_its_target() {
    for target in TARGETS {
        let (taken, refused) = replay(target);
        // A corpus that is all refused, or all taken, tries half of a parser.
        assert!(
            taken > 0 && refused > 0,
            "{}: {taken}, {refused}",
            target.name
        );
    }
}

#[test]
fn what_is_well_formed_is_taken() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(
            seeds.iter().any(|seed| (target.run)(seed)),
            "{}",
            target.name
        );
        let long = seeds.iter().find(|seed| seed.len() > target.bytes_max);
        assert!(
            long.is_none(),
            "{}: a seed over its longest input",
            target.name
        );
    }
}

#[test]
fn every_corpus_has_its_target() {
    let corpora = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");
    for entry in fs::read_dir(corpora).unwrap() {
        let path = entry.unwrap().path();
        let has_target = TARGETS.iter().any(|target| target.corpus_file() == path);
        assert!(has_target, "{} is of no target", path.display());
    }
}
