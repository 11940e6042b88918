//! The proof at the end sees any change to the kept set.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::time::{Duration, SystemTime};

use nx_reset::{Event, ResetError, survey};
use rstest::rstest;
use rustix::fs::XattrFlags;

use crate::state::{State, is_root};

fn touch(state: &State, path: &str) {
    let file = fs::File::options()
        .write(true)
        .open(state.at(path))
        .unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_nanos(1))
        .unwrap();
}

fn keeping_time(state: &State, path: &str, change: impl Fn()) {
    let path = state.at(path);
    let times = fs::metadata(&path).unwrap().modified().unwrap();
    change();
    fs::File::open(&path).unwrap().set_modified(times).unwrap();
}

#[rstest]
#[case::a_byte(|s: &State| keeping_time(s, "trust/log", || s.file("trust/log", "added companz\n")))]
#[case::a_mode(|s: &State| {
    fs::set_permissions(s.at("trust/log"), fs::Permissions::from_mode(0o600)).unwrap();
})]
#[case::a_time(|s: &State| touch(s, "boot/bootctl.v1"))]
#[case::an_attribute(|s: &State| {
    rustix::fs::setxattr(s.at("trust/log"), "user.nx", b"1", XattrFlags::CREATE).unwrap();
})]
#[case::an_attribute_of_a_directory(|s: &State| {
    rustix::fs::setxattr(s.at("boot"), "user.nx", b"1", XattrFlags::CREATE).unwrap();
})]
#[case::a_new_file(|s: &State| keeping_time(s, "boot", || s.file("boot/new", "")))]
#[case::a_lost_file(|s: &State| {
    keeping_time(s, "boot", || fs::remove_file(s.at("boot/bootctl.v1")).unwrap());
})]
#[case::a_name(|s: &State| {
    keeping_time(s, "trust", || fs::rename(s.at("trust/log"), s.at("trust/lag")).unwrap());
})]
#[case::a_type(|s: &State| {
    keeping_time(s, "trust", || {
        fs::remove_file(s.at("trust/log")).unwrap();
        symlink("log", s.at("trust/log")).unwrap();
    });
})]
#[case::a_whole_entry(|s: &State| fs::rename(s.at("trust"), s.at("apps2")).unwrap())]
#[case::a_new_entry(|s: &State| s.file("keystore/key", "1"))]
fn a_change_to_the_kept_set_is_loud_and_the_next_run_finishes(#[case] change: fn(&State)) {
    let state = State::seed();
    let mut at_start = |event: Event<'_>| {
        if matches!(event, Event::Started { .. }) {
            change(&state);
        }
    };
    let error = state.reset_watched(&mut at_start).unwrap_err();
    assert!(
        matches!(error.cause(), ResetError::KeptChanged { .. }),
        "{error:?}"
    );
    assert!(error.resume_required());
    assert!(survey(&state.root()).unwrap().pending.is_some());

    let report = state.reset().unwrap();
    assert!(report.resumed);
    assert!(report.kept_changed_since_start);
    assert!(survey(&state.root()).unwrap().pending.is_none());
}

#[test]
fn an_owner_counts() {
    if !is_root("an owner counts") {
        return;
    }
    let state = State::seed();
    let before = survey(&state.root()).unwrap().kept_digest;
    chown(state.at("trust/log"), Some(1), None).unwrap();
    let user = survey(&state.root()).unwrap().kept_digest;
    chown(state.at("trust/log"), Some(0), Some(1)).unwrap();
    let group = survey(&state.root()).unwrap().kept_digest;
    assert!(before != user && user != group && group != before);
}

#[test]
fn the_same_tree_has_the_same_digest_and_holes_do_not_matter() {
    let state = State::seed();
    let path = state.at("boot/disk");
    let time = SystemTime::UNIX_EPOCH;
    let write = |zeros: bool| {
        use std::os::unix::fs::FileExt as _;
        let file = fs::File::create(&path).unwrap();
        file.set_len(1024 * 1024).unwrap();
        if zeros {
            file.write_all_at(&vec![0; 1024 * 1024], 0).unwrap();
        }
        file.write_all_at(b"x", 700_000).unwrap();
        file.set_modified(time).unwrap();
        let boot = fs::File::open(state.at("boot")).unwrap();
        boot.set_modified(time).unwrap();
        survey(&state.root()).unwrap().kept_digest
    };
    assert_eq!(write(false), write(true));
}

#[test]
fn a_byte_anywhere_in_a_large_kept_file_counts() {
    use std::os::unix::fs::FileExt as _;
    let state = State::seed();
    let path = state.at("boot/disk");
    let file = fs::File::create(&path).unwrap();
    file.set_len(1 << 40).unwrap();
    let mut seen = Vec::new();
    for offset in [0, 65_535, 65_536, 1 << 39, (1 << 40) - 1] {
        file.write_all_at(b"x", offset).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let digest = survey(&state.root()).unwrap().kept_digest;
        assert!(!seen.contains(&digest), "byte {offset} does not count");
        seen.push(digest);
        file.write_all_at(&[0], offset).unwrap();
    }
}

#[test]
fn a_deep_kept_directory_is_proven_with_few_handles() {
    let state = State::seed();
    let mut path = String::from("keystore");
    for _ in 0..300 {
        path.push_str("/d");
    }
    state.file(&format!("{path}/end"), "here");
    let before = survey(&state.root()).unwrap();
    keeping_time(&state, &path, || {});
    let kept = state.kept_snapshot();
    let report = state.reset().unwrap();
    assert_eq!(report.kept_digest, before.kept_digest);
    assert_eq!(report.kept_entries, 302 + 6);
    state.assert_reset(&kept);
    touch(&state, &format!("{path}/end"));
    assert_ne!(
        survey(&state.root()).unwrap().kept_digest,
        before.kept_digest
    );
}
