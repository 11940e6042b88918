//! Trees that are made to make a reset fail, hang, or reach beyond its root.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use nx_reset::ResetError;
use rustix::fs::{FileType, IFlags};

use crate::state::{State, is_root, snapshot};

/// Resets, and holds that the kept set stayed and nothing outside was touched.
fn assert_resets(state: &State) {
    let kept = state.kept_snapshot();
    let outside = snapshot(&state.outside());
    state.reset().unwrap();
    state.assert_reset(&kept);
    assert_eq!(snapshot(&state.outside()), outside);
}

#[test]
fn links_are_removed_and_not_followed() {
    let state = State::seed();
    state.link(state.outside(), "link");
    state.link(state.outside(), "apps/inside");
    state.link("../../outside", "apps/relative");
    state.link("../../../../../../../../../../..", "apps/up");
    state.link("/", "content/all");
    state.link("nowhere", "settings/dangling");
    state.link("loop", "settings/loop");
    state.link("../trust", "apps/trust");
    state.link("../../outside", "trust/out");
    fs::remove_dir_all(state.at("content")).unwrap();
    state.link(state.outside(), "content");
    assert_resets(&state);
}

#[test]
fn pipes_sockets_and_devices_are_not_opened() {
    let state = State::seed();
    for place in ["apps", "boot", "."] {
        state.node(&format!("{place}/pipe"), FileType::Fifo, (0, 0));
        UnixListener::bind(state.at(&format!("{place}/socket"))).unwrap();
        if is_root("devices are not opened") {
            // A tape drive that is not there, and the watchdog, which opening would arm.
            state.node(&format!("{place}/block"), FileType::BlockDevice, (9, 0));
            state.node(
                &format!("{place}/watchdog"),
                FileType::CharacterDevice,
                (10, 130),
            );
        }
    }
    assert_resets(&state);
}

#[test]
fn hard_links_that_stay_on_one_side_are_no_reason_to_refuse() {
    let state = State::seed();
    fs::hard_link(state.at("trust/log"), state.at("boot/log")).unwrap();
    fs::hard_link(
        state.at("apps/org.example.notes/data/1"),
        state.at("content/1"),
    )
    .unwrap();
    fs::hard_link(
        state.outside().join("precious"),
        state.at("content/precious"),
    )
    .unwrap();
    assert_resets(&state);
}

#[test]
fn sparse_and_open_files_go() {
    let state = State::seed();
    let open = fs::File::create(state.at("apps/huge")).unwrap();
    open.set_len(1 << 40).unwrap();
    fs::File::create(state.at("boot/huge"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    assert_resets(&state);
    assert_eq!(open.metadata().unwrap().len(), 1 << 40);
}

#[test]
fn any_name_goes() {
    let state = State::seed();
    let long = "x".repeat(255);
    for name in [
        long.as_bytes(),
        b"a\nb",
        b"\x1b[2J\x07",
        b"\xff\xfe",
        b" ",
        b"-rf",
        b"~",
        b"*",
        b"trash",
        b"intent",
        b"0",
        b"...",
        b"Apps",
        b"APPS",
        b"TRUST",
        b"boot ",
        b".nx-reset2",
        b"%2e",
    ] {
        let name = OsStr::from_bytes(name);
        for place in [state.root(), state.at("apps")] {
            fs::create_dir_all(place.join(name).join(name)).unwrap();
            fs::write(place.join(name).join("file"), "").unwrap();
        }
    }
    state.file("apps/.nx-reset/intent", "");
    state.file("apps/trust/key", "");
    assert_resets(&state);
}

#[test]
fn closed_and_sticky_directories_go() {
    let state = State::seed();
    for (path, mode) in [
        ("apps/none/in/file", 0o000),
        ("apps/sticky/in/file", 0o1777),
        ("shut/in/file", 0o000),
    ] {
        state.file(path, "");
        let directory = state.at(path.split("/in/").next().unwrap());
        fs::set_permissions(directory, fs::Permissions::from_mode(mode)).unwrap();
    }
    if is_root("closed directories go") {
        assert_resets(&state);
    }
}

#[test]
fn an_immutable_file_stops_it_and_the_next_run_finishes() {
    if !is_root("an immutable file stops it and the next run finishes") {
        return;
    }
    for path in [
        "apps/org.example.notes/data/1",
        "apps/org.example.notes/data",
        "content/photos",
    ] {
        for flag in [IFlags::IMMUTABLE, IFlags::APPEND] {
            let state = State::seed();
            let kept = state.kept_snapshot();
            let sealed = fs::File::open(state.at(path)).unwrap();
            let flags = rustix::fs::ioctl_getflags(&sealed).unwrap();
            rustix::fs::ioctl_setflags(&sealed, flags | flag).unwrap();
            let error = state.reset().unwrap_err();
            rustix::fs::ioctl_setflags(&sealed, flags).unwrap();
            assert!(error.resume_required(), "{path}");
            match error.cause() {
                ResetError::Immutable { path } => {
                    assert!(path.starts_with("state:/.nx-reset/trash/"), "{path}");
                }
                other => panic!("{path}: {other:?}"),
            }
            assert!(state.reset().unwrap().resumed);
            state.assert_reset(&kept);
        }
    }
}

#[test]
fn attributes_and_access_lists_are_no_obstacle() {
    use rustix::fs::XattrFlags;
    let state = State::seed();
    // An access list that denies its owner everything: version 2, three entries (acl(5)).
    let mut list = 2_u32.to_le_bytes().to_vec();
    for tag in [0x01_u16, 0x04, 0x20] {
        list.extend(tag.to_le_bytes());
        list.extend(0_u16.to_le_bytes());
        list.extend(u32::MAX.to_le_bytes());
    }
    for path in ["apps", "content/photos", "trust/log"] {
        let value = vec![7; 1000];
        rustix::fs::setxattr(state.at(path), "user.nx", &value, XattrFlags::CREATE).unwrap();
    }
    let name = "system.posix_acl_access";
    rustix::fs::setxattr(state.at("apps"), name, &list, XattrFlags::empty()).unwrap();
    assert_resets(&state);
}
