//! A sync that is left out is found, whichever it is.
#![allow(clippy::panic, reason = "a test stops at the first surprise")]

use sim::Run;

/// What the reset and the store sync, by name.
const SYNCED: [&str; 11] = [
    "intent.new",
    ".nx-reset",
    "trash",
    "record.a",
    "record.b",
    "journal",
    // The folder of the target and of the journal, and the root of a state.
    "",
    ".disk.img.nx-staging",
    "disk.img",
    ".staged.json.nx-new",
    ".next-boot.nx-new",
];

#[test]
fn whichever_sync_is_left_out_something_breaks() {
    for name in SYNCED {
        let report = Run {
            seed: 1,
            states: 20_000,
            threads: 2,
            without_sync_of: Some(name),
        }
        .run();
        let found = report.violations.len();
        assert!(found > 0, "nobody misses the syncs of `{name}`: {report}");
        eprintln!("`{name}`: {found} in world {}", report.worlds);
    }
}
