//! There is no room: the error says where, nothing is lost, and with room the same command works.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::path::Path;

use processes::{Bench, Flashd, Nx, Ran, SmallDisk, flashd_path, nx, nx_path, with_file_limit};
use rustix::process::Signal;
use serde_json::Value;

const IMAGE_BYTES: usize = 4 << 20;
const OLD: &[u8] = b"the old system";

/// It must have failed like this, naming the file, and saying what helps.
#[track_caller]
fn assert_failed(ran: &Ran, code: i32, reason: &str, path: &str) -> Value {
    let json = ran.json();
    assert_eq!(ran.code, code, "{json:#}");
    assert_eq!(json["data"]["reason"], reason, "{json:#}");
    let message = json["message"].as_str().unwrap();
    assert!(message.contains(path), "`{path}` is not in: {message}");
    let hint = json["data"]["hint"].as_str().unwrap_or_default();
    assert!(hint.contains("room"), "{json:#}");
    json
}

/// A folder with little room, and the old system in it.
fn small(bench: &Bench, bytes: u64, claim: &str) -> Option<SmallDisk> {
    let folder = bench.work().path("small");
    fs::create_dir(&folder).unwrap();
    let disk = SmallDisk::mount(&folder, bytes, claim)?;
    fs::write(folder.join("disk.img"), OLD).unwrap();
    Some(disk)
}

#[test]
fn a_device_without_room_keeps_the_old_system_and_gets_the_rest_later() {
    let claim = "a device without room keeps the old system";
    let bench = Bench::new();
    bench.image("os", IMAGE_BYTES, 1);
    let Some(_disk) = small(&bench, 8 << 20, claim) else {
        return;
    };
    let ballast = bench.work().path("small/ballast");
    fs::write(&ballast, vec![1; 6 << 20]).unwrap();
    let mut args = bench.flashd_args();
    args[3] = bench.path("small/disk.img");
    args[5] = bench.path("small/journal");
    let mut flashd = Flashd::start(args);
    let json = assert_failed(
        &bench.send("os", &[]),
        5,
        "device.storage_full",
        &bench.path("small/"),
    );
    assert_eq!(json["data"]["reject_label"], "storage_full", "{json:#}");
    flashd.wait_for("flashd: rejected code=storage_full");
    let target = bench.work().path("small/disk.img");
    assert_eq!(fs::read(&target).unwrap(), OLD);

    fs::remove_file(ballast).unwrap();
    let sent = bench.send("os", &[]).ok().json();
    assert!(sent["data"]["blocks_skipped"].as_u64().unwrap() > 0);
    assert!(fs::read(target).unwrap() == fs::read(bench.work().path("os.img")).unwrap());
}

#[test]
fn a_device_that_may_write_no_longer_file_says_so_and_serves_on() {
    let bench = Bench::new();
    bench.image("os", IMAGE_BYTES, 1);
    bench.image("small", 300_000, 2);
    fs::write(bench.work().path("disk.img"), OLD).unwrap();
    let _flashd = Flashd::spawn(with_file_limit(flashd_path(), 1 << 20, bench.flashd_args()));
    let ran = bench.send("os", &[]);
    assert_failed(&ran, 5, "device.storage_full", &bench.path(""));
    assert_eq!(fs::read(bench.work().path("disk.img")).unwrap(), OLD);
    bench.send("small", &[]).ok();
    bench.assert_installed("small");
}

/// The capture is not whole; the image is installed, and that is said too.
#[track_caller]
fn assert_installed_without_capture(bench: &Bench, ran: &Ran, capture: &str) {
    let json = assert_failed(ran, 7, "capture.unwritable", capture);
    let message = json["message"].as_str().unwrap();
    assert!(message.contains("the job is done"), "{message}");
    bench.assert_installed("os");
}

#[test]
fn a_capture_without_room_does_not_undo_the_transfer() {
    let bench = Bench::new();
    bench.image("os", IMAGE_BYTES, 1);
    let Some(_disk) = small(&bench, 1 << 20, "a capture without room") else {
        return;
    };
    let _flashd = bench.flashd();
    let capture = bench.path("small/capture");
    let ran = bench.send("os", &["--capture", &capture]);
    assert_installed_without_capture(&bench, &ran, &capture);
}

#[test]
fn a_capture_that_gets_too_long_does_not_end_the_transfer() {
    let bench = Bench::new();
    bench.image("os", IMAGE_BYTES, 1);
    let _flashd = bench.flashd();
    let capture = bench.path("capture");
    let mut args = bench.send_args("os", &bench.port());
    args.extend(["--capture".to_owned(), capture.clone()]);
    let ran = Nx::spawn(with_file_limit(nx_path(), 1 << 20, args)).wait();
    assert_installed_without_capture(&bench, &ran, &capture);
}

#[test]
fn events_that_cannot_be_written_do_not_undo_the_transfer() {
    let bench = Bench::new();
    bench.image("os", 300_000, 1);
    let _flashd = bench.flashd();
    let ran = bench.send("os", &["--events", "/dev/full"]);
    let json = ran.json();
    assert_eq!(ran.code, 7, "{json:#}");
    assert_eq!(json["data"]["reason"], "events.unwritable");
    let message = json["message"].as_str().unwrap();
    assert!(message.contains("the job is done, but"), "{message}");
    bench.assert_installed("os");
}

#[test]
fn a_flashd_whose_capture_gets_too_long_says_so_and_serves_on() {
    let bench = Bench::new();
    bench.image("small", 300_000, 2);
    let mut args = bench.flashd_args();
    args.extend(["--capture".to_owned(), bench.path("capture")]);
    let limited = with_file_limit(flashd_path(), 1 << 19, args);
    let mut flashd = Flashd::spawn(limited);
    for _ in 0..2 {
        bench.send("small", &["--restart"]).ok();
    }
    flashd.wait_for("stderr: flashd: the capture ends here: write ");
    bench.assert_installed("small");
    flashd.signal(Signal::TERM);
    assert_eq!(flashd.wait(), 7);
}

fn build_args(bench: &Bench, folder: &str) -> Vec<String> {
    [
        "--json",
        "image",
        "build",
        "--profile",
        "dev",
        "--pkgfs",
        &bench.path("os.pkgfs"),
        "--out",
        &bench.path(&format!("{folder}new.img")),
        "--manifest",
        &bench.path(&format!("{folder}new.json")),
        "--sign",
        &bench.path("dev.key"),
    ]
    .map(str::to_owned)
    .into()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<String> = entries
        .map(|entry| name(entry).to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_build_without_room_leaves_the_old_outputs_and_nothing_else() {
    let bench = Bench::new();
    bench.image("os", IMAGE_BYTES, 1);
    let Some(_disk) = small(&bench, 2 << 20, "a build without room") else {
        return;
    };
    let folder = bench.work().path("small");
    fs::write(folder.join("new.img"), OLD).unwrap();
    let before = names(&folder);
    let ran = nx(build_args(&bench, "small/"));
    assert_failed(&ran, 7, "build.io", &bench.path("small/"));
    assert_eq!(names(&folder), before);
    assert_eq!(fs::read(folder.join("new.img")).unwrap(), OLD);
}

#[test]
fn a_build_that_may_write_no_longer_file_leaves_nothing() {
    let bench = Bench::new();
    bench.image("os", IMAGE_BYTES, 1);
    let before = names(bench.work().root());
    let args = build_args(&bench, "");
    let ran = Nx::spawn(with_file_limit(nx_path(), 1 << 20, args)).wait();
    assert_failed(&ran, 7, "build.io", &bench.path(""));
    assert_eq!(names(bench.work().root()), before);
}
