//! Only an intent continues a reset, and it is finished whatever has happened since.

use std::fs;

use nx_reset::{Event, ResetError, survey};

use crate::state::State;

const INTENT: &str = ".nx-reset/intent";

/// A seed tree whose reset stopped after targets had moved, with the intent that it left.
fn stopped_midway() -> State {
    let state = State::seed();
    let mut spoil = |event: Event<'_>| {
        if matches!(event, Event::Started { .. }) {
            state.file("boot/new", "");
        }
    };
    let error = state.reset_watched(&mut spoil).unwrap_err();
    assert!(matches!(error, ResetError::Midway { .. }));
    assert!(state.at(INTENT).exists());
    assert!(state.at(".nx-reset/trash").is_dir());
    state
}

#[test]
fn what_came_since_goes_too() {
    let state = stopped_midway();
    state.file("apps/again/file", "1");
    state.file("new/file", "1");
    let kept = state.kept_snapshot();
    let survey = survey(&state.root()).unwrap();
    assert!(
        survey
            .pending
            .is_some_and(|pending| pending.plan_hash.is_some())
    );
    let report = state.reset().unwrap();
    assert!(report.resumed);
    let removed = ["apps", "content", "new", "settings"].map(|name| format!("state:/{name}"));
    assert_eq!(report.removed, removed);
    state.assert_reset(&kept);
}

#[test]
fn a_resumed_reset_needs_no_known_entry() {
    let state = State::seed();
    for kept in ["boot", "trust"] {
        fs::remove_dir_all(state.at(kept)).unwrap();
    }
    let mut late = |event: Event<'_>| {
        if matches!(event, Event::Proven { .. }) {
            // The reserved directory cannot be removed while something is in it.
            state.file(".nx-reset/late", "");
        }
    };
    state.reset_watched(&mut late).unwrap_err();
    assert_eq!(state.top(), [".nx-reset"]);
    assert!(!state.at(INTENT).exists());
    // The intent is gone, so the reset was done; what is left is litter in a directory that holds
    // nothing else.
    assert!(matches!(
        state.plan().unwrap_err(),
        ResetError::RootUnknown { .. }
    ));
    state.directory("trust");
    assert!(survey(&state.root()).unwrap().litter);
    assert!(state.reset().unwrap().removed.is_empty());
    assert_eq!(state.top(), ["trust"]);
}

#[test]
fn an_intent_alone_makes_a_root() {
    let state = stopped_midway();
    for kept in ["boot", "trust"] {
        fs::remove_dir_all(state.at(kept)).unwrap();
    }
    assert!(state.reset().unwrap().resumed);
    assert!(state.top().is_empty());
}

#[test]
fn a_torn_intent_with_trash_rolls_forward() {
    for contents in ["", "nx-reset-intent/1\nplan ", "garbage"] {
        let state = stopped_midway();
        state.file(INTENT, contents);
        state.file("apps/again", "1");
        let kept = state.kept_snapshot();
        let pending = survey(&state.root()).unwrap().pending.unwrap();
        assert_eq!(pending.plan_hash, None);
        assert!(state.reset().unwrap().resumed);
        state.assert_reset(&kept);
    }
}

#[test]
fn an_intent_that_is_no_file_with_trash_rolls_forward() {
    let state = stopped_midway();
    fs::remove_file(state.at(INTENT)).unwrap();
    state.file(".nx-reset/intent/what", "1");
    state.file(".nx-reset/intent.new/what", "1");
    state.file(".nx-reset/litter.0/what", "1");
    let kept = state.kept_snapshot();
    assert!(state.reset().unwrap().resumed);
    state.assert_reset(&kept);

    let state = stopped_midway();
    fs::remove_file(state.at(INTENT)).unwrap();
    state.link(state.outside().join("precious"), INTENT);
    assert!(state.reset().unwrap().resumed);
    assert_eq!(
        fs::read(state.outside().join("precious")).unwrap(),
        b"not yours"
    );
}

#[test]
fn a_torn_intent_without_trash_was_never_asked() {
    let state = State::seed();
    state.file(INTENT, "nx-reset-intent/1\nplan ");
    let kept = state.kept_snapshot();
    let survey = survey(&state.root()).unwrap();
    assert!(survey.pending.is_none());
    assert!(survey.litter);
    assert!(!state.reset().unwrap().resumed);
    state.assert_reset(&kept);
}

#[test]
fn litter_of_an_older_run_is_removed_with_the_rest() {
    let state = State::seed();
    state.file(".nx-reset/intent.new", "half an inten");
    state.file(".nx-reset/trash/0/deep/down/file", "1");
    state.file(".nx-reset/trash/18446744073709551615/file", "1");
    state.file(".nx-reset/trash/not a number/file", "1");
    state.file(".nx-reset/other/file", "1");
    let kept = state.kept_snapshot();
    assert!(!state.reset().unwrap().resumed);
    state.assert_reset(&kept);
}

/// Whoever can write an intent still cannot have anything removed that the policy keeps.
#[test]
fn a_forged_intent_does_not_reach_the_kept_set() {
    use nx_reset::Digest;
    let state = stopped_midway();
    let kept = state.kept_snapshot();
    let lines = "REMOVE\tstate:/boot\tdirectory\nREMOVE\tstate:/trust\tdirectory\n";
    let digest = Digest::of(lines.as_bytes());
    let body = format!("nx-reset-intent/1\nplan {digest}\nkept {digest}\n{lines}");
    state.file(
        INTENT,
        &format!("{body}sha256 {}\n", Digest::of(body.as_bytes())),
    );
    assert!(
        survey(&state.root())
            .unwrap()
            .pending
            .unwrap()
            .plan_hash
            .is_some()
    );
    let report = state.reset().unwrap();
    assert!(report.resumed && report.kept_changed_since_start);
    state.assert_reset(&kept);
}
