//! A mount is never crossed: refused before anything changes, or the stop of a reset that goes on
//! later.

use std::fs;
use std::path::{Path, PathBuf};

use nx_reset::{Event, ResetError, survey};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};

use crate::state::{State, is_root, snapshot};

/// A mount that goes with its value.
struct Mounted(PathBuf);

impl Mounted {
    fn bind(source: &Path, target: PathBuf) -> Self {
        mount_bind(source, &target).unwrap();
        Self(target)
    }

    fn tmpfs(target: PathBuf) -> Self {
        mount("tmpfs", &target, "tmpfs", MountFlags::empty(), None).unwrap();
        Self(target)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        unmount(&self.0, UnmountFlags::DETACH).unwrap();
    }
}

fn assert_refused(state: &State, where_: &str) {
    let before = snapshot(&state.outside());
    match survey(&state.root()).unwrap_err() {
        ResetError::MountPoint { path } => assert_eq!(path, where_),
        other => panic!("{other:?}"),
    }
    assert_eq!(snapshot(&state.outside()), before);
}

#[test]
fn a_mount_in_what_goes_is_refused() {
    if !is_root("a mount in what goes is refused") {
        return;
    }
    let state = State::seed();
    state.directory("apps/deep/down/a b\n");
    state.file("apps/file", "");
    {
        // The same file system: only the mount id tells.
        let _mount = Mounted::bind(&state.outside(), state.at("apps/deep/down/a b\n"));
        assert_refused(&state, "state:/apps/deep/down/a%20b%0A");
    }
    {
        let _mount = Mounted::tmpfs(state.at("apps"));
        assert_refused(&state, "state:/apps");
    }
    {
        let _mount = Mounted::bind(&state.outside().join("precious"), state.at("apps/file"));
        assert_refused(&state, "state:/apps/file");
    }
    state.reset().unwrap();
    assert!(state.outside().join("precious").exists());
}

#[test]
fn a_mount_made_during_the_reset_stops_it_and_keeps_its_other_side() {
    if !is_root("a mount made during the reset stops it and keeps its other side") {
        return;
    }
    let places = ["apps", "apps/x", "apps/x/y/z", "apps/file", "apps/x/y/file"];
    for place in places {
        for tmpfs in [false, true] {
            let state = State::seed();
            state.directory("apps/x/y/z");
            state.file("apps/file", "");
            state.file("apps/x/y/file", "");
            let is_file = state.at(place).is_file();
            if is_file && tmpfs {
                continue;
            }
            let kept = state.kept_snapshot();
            let outside = snapshot(&state.outside());
            let mut mounted = None;
            let mut at_start = |event: Event<'_>| {
                if matches!(event, Event::Started { .. }) {
                    let source = if is_file {
                        state.outside().join("precious")
                    } else {
                        state.outside()
                    };
                    mounted = Some(if tmpfs {
                        let mounted = Mounted::tmpfs(state.at(place));
                        fs::write(state.at(place).join("inside"), "other side").unwrap();
                        mounted
                    } else {
                        Mounted::bind(&source, state.at(place))
                    });
                }
            };
            let error = state.reset_watched(&mut at_start).unwrap_err();
            assert!(error.resume_required(), "{place}");
            assert!(
                matches!(error.cause(), ResetError::MountPoint { .. }),
                "{place}: {error:?}"
            );
            assert_eq!(snapshot(&state.outside()), outside, "{place}");
            // The mount moved with the directory it is in, so its first name may be gone.
            std::mem::forget(mounted.take().expect("never mounted"));
            for point in mounts_below(&state.root()) {
                if tmpfs {
                    assert!(point.join("inside").exists(), "{place}");
                }
                drop(Mounted(point));
            }
            assert!(state.reset().unwrap().resumed, "{place}");
            assert_eq!(snapshot(&state.outside()), outside, "{place}");
            state.assert_reset(&kept);
        }
    }
}

fn mounts_below(root: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from);
    points.filter(|point| point.starts_with(root)).collect()
}

#[test]
fn a_mount_in_the_kept_set_is_neither_refused_nor_entered() {
    if !is_root("a mount in the kept set is neither refused nor entered") {
        return;
    }
    let state = State::seed();
    state.directory("boot/efi");
    let _mount = Mounted::bind(&state.outside(), state.at("boot/efi"));
    let outside = snapshot(&state.outside());
    let digest = survey(&state.root()).unwrap().kept_digest;
    fs::write(state.outside().join("new"), "1").unwrap();
    assert_eq!(survey(&state.root()).unwrap().kept_digest, digest);
    fs::remove_file(state.outside().join("new")).unwrap();
    state.reset().unwrap();
    assert_eq!(
        snapshot(&state.outside()).keys().collect::<Vec<_>>(),
        outside.keys().collect::<Vec<_>>()
    );
}

#[test]
fn a_root_that_is_a_mount_point_is_reset() {
    if !is_root("a root that is a mount point is reset") {
        return;
    }
    let state = State::seed();
    let kept = state.kept_snapshot();
    let there = state.holder().join("there");
    fs::create_dir(&there).unwrap();
    let _mount = Mounted::bind(&state.root(), there.clone());
    let plan = survey(&there).unwrap().plan();
    nx_reset::execute(&there, &plan, &mut |_| {}).unwrap();
    state.assert_reset(&kept);
}
