//! A power cut that loses any of the changes that were not yet durable.
//!
//! One reset is recorded, operation by operation, by the inodes it works on. Then, for a cut after
//! each operation, trees are made in which everything synced has happened, and of the rest some of
//! it: what a file system may show after the cut. Each must hold every target whole or not at all,
//! and be finished by the next run. Directory changes count as durable once their directories are
//! synced, a file's bytes once the file is. Some of the recorded resets were killed once and run
//! again, so that the second run builds on changes of the first that are not durable.

use std::collections::HashSet;
use std::path::Path;

use nx_reset::survey;
use rstest::rstest;

use crate::recording::Recording;
use crate::state::{Snapshot, State};

/// Steele, Lea, Flood: "Fast splittable pseudorandom number generators" (2014).
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// Sets of pending operations to lose: all of them if few, else none, everything, each one, and a
/// sample.
fn losses(pending: &[usize], seed: u64) -> Vec<HashSet<usize>> {
    const EXHAUSTIVE: usize = 6;
    const SAMPLE: usize = 48;
    let subset = |bits: u64| {
        let chosen = pending
            .iter()
            .enumerate()
            .filter(|(bit, _)| bits >> (bit % 64) & 1 == 1);
        chosen.map(|(_, &number)| number).collect()
    };
    if pending.len() <= EXHAUSTIVE {
        return (0..1 << pending.len()).map(subset).collect();
    }
    let mut sets = vec![HashSet::new(), pending.iter().copied().collect()];
    sets.extend(pending.iter().map(|&number| HashSet::from([number])));
    let mut random = SplitMix(seed);
    sets.extend((0..SAMPLE).map(|_| subset(random.next())));
    sets
}

#[rstest]
fn whatever_a_power_cut_loses_the_next_run_finishes(
    #[values(None, Some(1), Some(3))] killed_after_moves: Option<u32>,
) {
    let recording = Recording::make(&State::seed_in_memory(), killed_after_moves);
    let total = recording.total();
    let mut states = 0;
    for cut in 0..=total {
        for lost in losses(&recording.pending(cut), cut as u64) {
            let lost = recording.consistent(cut, lost);
            states += 1;
            let state = State::seed_in_memory();
            let (before, kept) = (state.snapshot(), state.kept_snapshot());
            recording.replay(&state.root(), cut, &lost);
            let killed = killed_after_moves.map_or("never killed".into(), |moves| {
                format!("killed after {moves} moves")
            });
            let told = || format!("{killed}, cut after {cut} of {total}, lost {lost:?}");

            assert_eq!(state.kept_snapshot(), kept, "{}", told());
            let now = state.snapshot();
            for target in ["apps", "content", "settings"].map(Path::new) {
                let part = |all: &Snapshot| {
                    let inside = all.iter().filter(|(path, _)| path.starts_with(target));
                    inside
                        .map(|(path, fact)| (path.clone(), fact.clone()))
                        .collect::<Vec<_>>()
                };
                let whole = !now.contains_key(target) || part(&now) == part(&before);
                assert!(whole, "half of {target:?} is there: {}", told());
            }
            let left = now.keys().any(|path| {
                let is_trash = path.starts_with(".nx-reset/trash") && path.components().count() > 2;
                is_trash || !path.starts_with(".nx-reset") && !kept.contains_key(path)
            });
            let begun = cut >= recording.started();
            if begun && (left || cut <= recording.last_step()) {
                let pending = survey(&state.root()).unwrap().pending;
                let known = pending.is_some_and(|pending| pending.plan_hash.is_some());
                assert!(known, "begun and not on record: {}", told());
            }
            if cut == total {
                assert_eq!(now, kept, "it was reported as done: {}", told());
            }
            state
                .reset()
                .unwrap_or_else(|error| panic!("{error:?}: {}", told()));
            state.assert_reset(&kept);
        }
    }
    assert!(states > 300, "only {states} states");
}
