//! Who uses the state and who resets it keep out of each other's way.

use nx_reset::{Event, ResetError, execute, hold, survey};

use crate::state::State;

#[test]
fn no_reset_begins_while_the_state_is_held() {
    let state = State::seed();
    let plan = survey(&state.root()).unwrap().plan();
    let (first, second) = (hold(&state.root()).unwrap(), hold(&state.root()).unwrap());
    // To look at it is no harm.
    survey(&state.root()).unwrap();
    for held in [first, second] {
        let refused = execute(&state.root(), &plan, &mut |_| {}).unwrap_err();
        assert!(matches!(refused, ResetError::Locked { .. }), "{refused:?}");
        drop(held);
    }
    assert!(state.at("apps").exists());
    execute(&state.root(), &plan, &mut |_| {}).unwrap();
    assert!(!state.at("apps").exists());
}

#[test]
fn the_state_is_not_held_while_a_reset_runs() {
    let state = State::seed();
    let plan = survey(&state.root()).unwrap().plan();
    let mut refused = None;
    let mut observer = |event: Event<'_>| {
        if let Event::Started { .. } = event {
            refused = Some(hold(&state.root()));
        }
    };
    execute(&state.root(), &plan, &mut observer).unwrap();
    assert!(matches!(refused, Some(Err(ResetError::Locked { .. }))));
    hold(&state.root()).unwrap();
}

#[test]
fn a_reset_that_began_has_to_be_finished_first() {
    let state = State::seed();
    // Damaged, and targets have moved.
    state.directory(".nx-reset/trash");
    state.file(".nx-reset/intent", "torn");
    let refused = hold(&state.root()).unwrap_err();
    assert!(
        matches!(refused, ResetError::Unfinished { .. }),
        "{refused:?}"
    );
    let plan = survey(&state.root()).unwrap().plan();
    execute(&state.root(), &plan, &mut |_| {}).unwrap();
    hold(&state.root()).unwrap();
}

#[test]
fn an_attempt_that_moved_nothing_is_no_beginning() {
    let state = State::seed();
    state.file(".nx-reset/intent", "torn");
    hold(&state.root()).unwrap();
}

#[test]
fn a_root_that_is_not_there_is_not_held() {
    let state = State::seed();
    let gone = hold(&state.at("nowhere")).unwrap_err();
    assert!(matches!(gone, ResetError::NoRoot { .. }), "{gone:?}");
}
