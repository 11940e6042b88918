//! Someone wants the end: Ctrl-C, `kill`, a hang-up.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::time::{Duration, Instant};

use processes::{Bench, Flashd, Nx};
use rstest::rstest;
use rustix::process::Signal;

const IMAGE_BYTES: usize = 12 << 20;

/// A transfer at 40 %, on a line with time to aim.
fn sending(bench: &Bench) -> (Flashd, Nx) {
    bench.image("os", IMAGE_BYTES, 1);
    fs::write(bench.work().path("disk.img"), b"the old system").unwrap();
    let flashd = bench.flashd();
    let sending = bench.start_slowly("os", &[]);
    bench.wait_for_staged(4_800_000);
    (flashd, sending)
}

#[rstest]
fn a_transfer_that_is_interrupted_ends_in_order_and_goes_on_later(
    #[values(Signal::INT, Signal::TERM, Signal::HUP)] signal: Signal,
) {
    let bench = Bench::new();
    let (mut flashd, sending) = sending(&bench);
    sending.signal(signal);
    let ran = sending.wait();
    assert_eq!(ran.code, 7, "{ran:#?}");
    let json = ran.json();
    assert_eq!(json["data"]["reason"], "run.interrupted", "{json:#}");
    let hint = json["data"]["hint"].as_str().unwrap();
    assert!(hint.contains("same command again"), "{hint}");
    assert!(json["data"]["blocks_sent"].as_u64().unwrap() > 0);
    flashd.wait_for("flashd: session ended reason=operator");
    let disk = fs::read(bench.work().path("disk.img")).unwrap();
    assert_eq!(disk, b"the old system");

    let sent = bench.send("os", &[]).ok().json();
    assert!(sent["data"]["blocks_skipped"].as_u64().unwrap() > 0);
    bench.assert_installed("os");
}

#[test]
fn a_second_ctrl_c_ends_it_at_once() {
    let bench = Bench::new();
    let (flashd, sending) = sending(&bench);
    // A device that hears nothing is told for three seconds, and that is what the second cuts.
    flashd.signal(Signal::STOP);
    let started = Instant::now();
    sending.signal(Signal::INT);
    sending.signal(Signal::INT);
    let ran = sending.wait();
    assert_eq!(ran.code, 7, "{ran:#?}");
    assert!(started.elapsed() < Duration::from_secs(30));
    flashd.signal(Signal::CONT);
    bench.send("os", &[]).ok();
    bench.assert_installed("os");
}

#[test]
fn a_wait_for_a_link_to_come_back_is_interrupted() {
    let bench = Bench::new();
    bench.image("os", IMAGE_BYTES, 1);
    let flashd = bench.flashd();
    let events = bench.path("events");
    let sending = bench.start_slowly("os", &["--events", &events, "--give-up-after", "86400"]);
    bench.wait_for_staged(4_800_000);
    flashd.kill();
    bench.wait_for_event("link_lost");
    sending.signal(Signal::INT);
    let ran = sending.wait();
    assert_eq!(ran.code, 7, "{ran:#?}");
    assert_eq!(ran.json()["data"]["reason"], "run.interrupted");
}

#[rstest]
fn a_flashd_that_is_told_to_stop_keeps_what_it_has(
    #[values(Signal::INT, Signal::TERM)] signal: Signal,
) {
    let bench = Bench::new();
    bench.image("os", IMAGE_BYTES, 1);
    let flashd = bench.flashd();
    let sending = bench.start_slowly("os", &["--no-reconnect"]);
    bench.wait_for_staged(4_800_000);
    flashd.signal(signal);
    assert_eq!(flashd.wait(), 0);
    let ran = sending.wait();
    assert_eq!(ran.code, 5, "{ran:#?}");
    assert_eq!(ran.json()["data"]["reason"], "port.closed");
    let _flashd = bench.flashd();
    let sent = bench.send("os", &[]).ok().json();
    assert!(sent["data"]["blocks_skipped"].as_u64().unwrap() > 0);
    bench.assert_installed("os");
}

#[rstest]
fn a_build_that_is_interrupted_leaves_nothing(#[values(Signal::INT, Signal::TERM)] signal: Signal) {
    let bench = Bench::new();
    let rootfs = bench.work().path("rootfs");
    fs::create_dir(&rootfs).unwrap();
    // Enough to be at work for longer than it takes to see that it has begun.
    for number in 0..24 {
        let name = format!("rootfs/{number}");
        bench.work().random_file(&name, 8 << 20, number);
    }
    let before = bench.names();
    let building = Nx::start([
        "--json",
        "image",
        "build",
        "--profile",
        "dev",
        "--rootfs",
        rootfs.to_str().unwrap(),
        "--out",
        &bench.path("new.img"),
        "--manifest",
        &bench.path("new.json"),
        "--sign",
        &bench.path("dev.key"),
    ]);
    let started = Instant::now();
    // It watches for signals before it makes anything.
    while !building.watches(signal) {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::yield_now();
    }
    building.signal(signal);
    let ran = building.wait();
    assert_eq!(ran.code, 7, "{ran:#?}");
    assert_eq!(ran.json()["data"]["reason"], "run.interrupted");
    assert_eq!(bench.names(), before);
}
