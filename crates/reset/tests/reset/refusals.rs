//! What is refused before anything changes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nx_reset::{Plan, Policy, Protected, ResetError, execute, plan, survey};
use rstest::rstest;
use rustix::fs::{FlockOperation, IFlags};

use crate::state::{State, is_root};

fn empty_plan() -> Plan {
    plan(&[], &Policy::FACTORY)
}

/// Both halves refuse; the error of the first.
fn refused(root: &Path) -> ResetError {
    let second = execute(root, &empty_plan(), &mut |_| {}).unwrap_err();
    assert!(!second.resume_required());
    let first = survey(root).unwrap_err();
    assert_eq!(first.to_string(), second.to_string());
    first
}

#[test]
fn a_root_that_is_a_link_a_file_or_nothing() {
    let state = State::seed();
    let before = state.snapshot();
    let link = state.holder().join("link");
    symlink(state.root(), &link).unwrap();
    let slash = format!("{}/", link.display());
    let dot = format!("{}/.", link.display());
    for path in [link.as_path(), Path::new(&slash), Path::new(&dot)] {
        let error = refused(path);
        assert!(
            matches!(error, ResetError::RootNotDirectory { .. }),
            "{error:?}"
        );
        assert!(
            error.to_string().ends_with("is a symlink, not a directory"),
            "{error}"
        );
    }
    let error = refused(&state.at("settings/prefs"));
    assert!(
        error.to_string().ends_with("is a file, not a directory"),
        "{error}"
    );
    for missing in [state.at("nowhere"), "".into()] {
        assert!(matches!(refused(&missing), ResetError::NoRoot { .. }));
    }
    assert_eq!(state.snapshot(), before);
}

#[rstest]
#[case::root("/", Protected::FileSystemRoot)]
#[case::root_with_detours("/usr/../usr/..", Protected::FileSystemRoot)]
#[case::working_directory(".", Protected::WorkingDirectory)]
#[case::above("..", Protected::AboveWorkingDirectory)]
#[case::above_by_name(
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates"),
    Protected::AboveWorkingDirectory
)]
fn a_root_that_is_never_reset(#[case] root: &str, #[case] want: Protected) {
    match refused(Path::new(root)) {
        ResetError::RootProtected { what, .. } => assert_eq!(what, want),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_directory_without_any_known_entry() {
    let state = State::seed();
    assert!(matches!(
        refused(&state.outside()),
        ResetError::RootUnknown { .. }
    ));
    // A file of a known name is no sign.
    fs::write(state.outside().join("trust"), "").unwrap();
    assert!(matches!(
        refused(&state.outside()),
        ResetError::RootUnknown { .. }
    ));
    assert!(state.outside().join("precious").exists());
}

#[test]
fn a_hard_link_from_the_kept_set_to_elsewhere() {
    for elsewhere in ["state/apps/alias", "outside/alias"] {
        let state = State::seed();
        fs::hard_link(state.at("trust/log"), state.holder().join(elsewhere)).unwrap();
        let before = state.snapshot();
        match survey(&state.root()).unwrap_err() {
            ResetError::HardLink { uri, links, inside } => {
                assert_eq!((uri.as_str(), links, inside), ("state:/trust/log", 2, 1));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(state.snapshot(), before);
    }
}

#[test]
fn a_kept_entry_that_is_a_link() {
    let state = State::seed();
    state.file("content/trust2/key", "1");
    fs::remove_dir_all(state.at("boot")).unwrap();
    state.link("content/trust2", "boot");
    let error = refused(&state.root());
    assert!(matches!(error, ResetError::KeptLink { .. }), "{error:?}");
}

#[test]
fn the_reserved_name_taken_by_a_link_or_a_file() {
    let state = State::seed();
    state.link(state.outside(), ".nx-reset");
    assert!(matches!(
        refused(&state.root()),
        ResetError::ReservedTaken { .. }
    ));
    fs::remove_file(state.at(".nx-reset")).unwrap();
    state.file(".nx-reset", "");
    assert!(matches!(
        refused(&state.root()),
        ResetError::ReservedTaken { .. }
    ));
    assert_eq!(fs::read_dir(state.outside()).unwrap().count(), 2);
}

#[test]
fn a_target_that_root_may_not_remove() {
    if !is_root("a target that root may not remove") {
        return;
    }
    for flag in [IFlags::IMMUTABLE, IFlags::APPEND] {
        let state = State::seed();
        let apps = fs::File::open(state.at("apps")).unwrap();
        let flags = rustix::fs::ioctl_getflags(&apps).unwrap();
        rustix::fs::ioctl_setflags(&apps, flags | flag).unwrap();
        let error = survey(&state.root()).unwrap_err();
        rustix::fs::ioctl_setflags(&apps, flags).unwrap();
        match error {
            ResetError::Immutable { path } => assert_eq!(path, "state:/apps"),
            other => panic!("{other:?}"),
        }
        state.reset().unwrap();
    }
}

#[test]
fn a_tree_that_changed_since_the_plan() {
    let state = State::seed();
    let plan = state.plan().unwrap();
    state.directory("later");
    let before = state.snapshot();
    let error = execute(&state.root(), &plan, &mut |_| {}).unwrap_err();
    assert!(matches!(error, ResetError::PlanStale { .. }), "{error:?}");
    assert!(!error.resume_required());
    assert_eq!(state.snapshot(), before);
}

#[test]
fn a_root_that_another_reset_holds() {
    let state = State::seed();
    let plan = state.plan().unwrap();
    let other = fs::File::open(state.root()).unwrap();
    rustix::fs::flock(&other, FlockOperation::LockExclusive).unwrap();
    assert!(matches!(
        survey(&state.root()).unwrap_err(),
        ResetError::Locked { .. }
    ));
    rustix::fs::flock(&other, FlockOperation::LockShared).unwrap();
    survey(&state.root()).unwrap();
    let error = execute(&state.root(), &plan, &mut |_| {}).unwrap_err();
    assert!(matches!(error, ResetError::Locked { .. }));
    drop(other);
    execute(&state.root(), &plan, &mut |_| {}).unwrap();
}

#[test]
fn a_flash_session_that_holds_its_journal() {
    for held in ["flash", "flash/journal"] {
        let state = State::seed();
        state.file("flash/journal", "");
        let file = fs::File::open(state.at(held)).unwrap();
        rustix::fs::flock(&file, FlockOperation::LockExclusive).unwrap();
        assert!(
            matches!(refused(&state.root()), ResetError::FlashInProgress),
            "{held}"
        );
        drop(file);
        state.reset().unwrap();
    }
}

#[test]
fn a_flash_session_among_any_number_of_files() {
    let state = State::seed();
    for number in 0..400 {
        state.file(&format!("flash/{number}"), "");
    }
    // Wherever the file system lists it.
    for held in ["flash/0", "flash/200", "flash/399"] {
        let file = fs::File::open(state.at(held)).unwrap();
        rustix::fs::flock(&file, FlockOperation::LockExclusive).unwrap();
        let error = refused(&state.root());
        assert!(matches!(error, ResetError::FlashInProgress), "{held}");
    }
    state.reset().unwrap();
}

#[test]
fn more_entries_than_a_plan_may_have() {
    let state = State::seed();
    for number in 0..16_384 - 5 {
        fs::write(state.at(&format!("{number}")), "").unwrap();
    }
    survey(&state.root()).unwrap();
    state.file("one more", "");
    assert!(matches!(
        refused(&state.root()),
        ResetError::TooManyEntries { limit: 16_384 }
    ));
}
