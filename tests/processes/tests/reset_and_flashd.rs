//! A factory reset and a `flashd` on one device keep out of each other's way.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::process::{Command, Output};

use processes::{Bench, Flashd, Ran, flashd_path, nx};
use rustix::process::Signal;

/// A state with a user's data and an identity in it, and what `flashd` is told of it.
fn bench() -> (Bench, Vec<String>) {
    let bench = Bench::new();
    bench.image("os", 300_000, 1);
    for folder in ["apps", "keystore"] {
        fs::create_dir_all(bench.work().path("state").join(folder)).unwrap();
    }
    let mut args = bench.flashd_args();
    args.extend(["--state".to_owned(), bench.path("state")]);
    (bench, args)
}

fn reset(bench: &Bench) -> Ran {
    let state = bench.path("state");
    nx(["--json", "reset", "factory", "--yes", "--state", &state])
}

fn refused(args: &[String]) -> Output {
    Command::new(flashd_path()).args(args).output().unwrap()
}

#[test]
fn while_flashd_runs_nothing_is_reset() {
    let (bench, args) = bench();
    let flashd = Flashd::start(&args);
    let ran = reset(&bench);
    assert_eq!(ran.code, 3, "{ran:#?}");
    let json = ran.json();
    assert_eq!(json["data"]["reason"], "reset.locked");
    assert!(
        json["message"].as_str().unwrap().contains("flashd"),
        "{json:#}"
    );
    assert!(bench.work().path("state/apps").exists());
    // It is in nobody's way but a reset's.
    bench.send("os", &[]).ok();
    flashd.signal(Signal::TERM);
    assert_eq!(flashd.wait(), 0);
    reset(&bench).ok();
    assert!(!bench.work().path("state/apps").exists());
}

#[test]
fn a_journal_in_the_state_is_seen_without_being_told() {
    let (bench, _) = bench();
    let mut args = bench.flashd_args();
    args[5] = bench.path("state/flash");
    let _flashd = Flashd::start(args);
    let ran = reset(&bench);
    assert_eq!(ran.code, 3, "{ran:#?}");
    assert_eq!(ran.json()["data"]["reason"], "reset.flash_in_progress");
    assert!(bench.work().path("state/apps").exists());
}

#[test]
fn flashd_waits_for_the_end_of_a_reset_that_was_cut() {
    let (bench, args) = bench();
    // What a cut leaves in the worst case: targets have moved, and the record is torn.
    fs::create_dir_all(bench.work().path("state/.nx-reset/trash/0")).unwrap();
    fs::write(bench.work().path("state/.nx-reset/intent"), "torn").unwrap();
    let output = refused(&args);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("not finished"), "{said}");
    assert!(said.contains("nx reset factory"), "{said}");
    reset(&bench).ok();
    let _flashd = Flashd::start(&args);
    bench.send("os", &[]).ok();
}

#[test]
fn a_state_that_is_not_there_is_missing() {
    let (_bench, mut args) = bench();
    let last = args.len().saturating_sub(1);
    args[last].push_str("/nowhere");
    let output = refused(&args);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
}
