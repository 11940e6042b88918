//! `--fast-baud` on a serial line: pseudo-terminals whose settings count, as on wires.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::time::Duration;

use line::{Conditions, Line};
use processes::{Bench, Flashd, Nx, Ran, nx};
use serde_json::Value;

/// A `flashd` at the far end of a line of 115200 baud, and an `nx` at the near one.
struct Serial {
    bench: Bench,
    line: Line,
    flashd: Flashd,
}

impl Serial {
    /// A line that garbles everything above this speed.
    fn holding(baud_max: Option<u32>) -> Self {
        Self::with(baud_max, &[])
    }

    /// With more that `flashd` is told.
    fn with(baud_max: Option<u32>, more: &[&str]) -> Self {
        let bench = Bench::new();
        bench.image("os", 96 * 1024, 3);
        let conditions = Conditions {
            baud_max,
            ..Conditions::default()
        };
        let line = Line::start(&conditions).unwrap();
        let mut args = bench.flashd_args();
        let at = args.iter().position(|arg| arg == "--port").unwrap();
        args[at + 1] = line.ends()[1].display().to_string();
        for arg in more {
            // A name that begins with a slash is one in the folder.
            args.push(match arg.strip_prefix('/') {
                Some(name) => bench.path(name),
                None => (*arg).to_owned(),
            });
        }
        let flashd = Flashd::start(args);
        Self {
            bench,
            line,
            flashd,
        }
    }

    fn port(&self) -> String {
        self.line.ends()[0].display().to_string()
    }

    fn send_args(&self, more: &[&str]) -> Vec<String> {
        let mut args = self.bench.send_args("os", &self.port());
        args.extend(more.iter().map(ToString::to_string));
        args
    }

    fn send(&self, more: &[&str]) -> Ran {
        nx(self.send_args(more))
    }

    /// Time for which the line has carried bytes to the device.
    fn busy(&self) -> Duration {
        self.line.tallies()[0].busy
    }

    /// The next host finds the device at the speed of the beginning, at once.
    #[track_caller]
    fn assert_found(&self) {
        let ran = nx(["--json", "flash", "info", "--port", &self.port()]).ok();
        assert_eq!(ran.json()["ok"], true);
    }
}

/// The speeds that the events tell of.
fn changes(bench: &Bench) -> Vec<u64> {
    let events = fs::read_to_string(bench.work().path("events")).unwrap();
    let events = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    events
        .filter(|event| event["event"] == "baud_changed")
        .map(|event| event["baud"].as_u64().unwrap())
        .collect()
}

#[test]
fn a_line_that_holds_goes_up_and_carries_the_image_in_a_fraction_of_the_time() {
    let plain = Serial::holding(None);
    let ran = plain.send(&[]).ok();
    assert_eq!(ran.json()["data"]["baud"], 115_200);
    let slow = plain.busy();
    // Its bytes at that speed, and a little.
    assert!(slow > Duration::from_millis(8_533), "{slow:?}");

    let mut serial = Serial::holding(None);
    let events = serial.bench.path("events");
    let ran = serial
        .send(&["--fast-baud", "auto", "--events", &events])
        .ok();
    let baud = ran.json()["data"]["baud"].as_u64().unwrap();
    // How far depends on how well a busy machine keeps up with its side of the line.
    assert!(baud >= 921_600, "{ran:#?}");
    assert!(changes(&serial.bench).contains(&baud));
    let fast = serial.busy();
    assert!(fast * 3 < slow, "{fast:?} of {slow:?}");
    serial.bench.assert_installed("os");
    serial.flashd.wait_for("flashd: line baud=921600");
    serial.flashd.wait_for("flashd: line baud=115200");
    serial.assert_found();
}

#[test]
fn a_line_that_garbles_above_a_speed_stays_below_and_the_image_arrives() {
    let serial = Serial::holding(Some(500_000));
    let events = serial.bench.path("events");
    let ran = serial
        .send(&["--fast-baud", "auto", "--events", &events])
        .ok();
    assert_eq!(ran.json()["data"]["baud"], 460_800);
    assert_eq!(changes(&serial.bench), [230_400, 460_800]);
    serial.bench.assert_installed("os");
    serial.assert_found();
}

#[test]
fn a_line_that_holds_no_other_speed_carries_the_image_all_the_same() {
    for speed in ["auto", "921600"] {
        let serial = Serial::holding(Some(115_200));
        let ran = serial.send(&["--fast-baud", speed]).ok();
        assert_eq!(ran.json()["data"]["baud"], 115_200);
        serial.bench.assert_installed("os");
        serial.assert_found();
    }
}

#[test]
fn a_host_that_is_killed_at_a_raised_speed_is_followed_by_one_that_finds_the_device() {
    let mut serial = Serial::holding(None);
    let nx = Nx::start(serial.send_args(&["--fast-baud", "460800"]));
    serial.flashd.wait_for("flashd: line baud=460800");
    serial.flashd.wait_for("flashd: accepted");
    nx.kill();
    let ran = serial.send(&["--fast-baud", "460800"]).ok();
    assert_eq!(ran.json()["data"]["baud"], 460_800);
    serial.bench.assert_installed("os");
}

#[test]
fn a_capture_of_a_move_replays_on_both_sides() {
    let more = ["--once", "--capture", "/device.pcapng"];
    let serial = Serial::with(Some(500_000), &more);
    let capture = serial.bench.path("host.pcapng");
    serial
        .send(&["--fast-baud", "auto", "--capture", &capture])
        .ok();
    assert_eq!(serial.flashd.wait(), 0);
    for side in ["host", "device"] {
        let capture = serial.bench.path(&format!("{side}.pcapng"));
        let replayed = nx(["--json", "flash", "replay", &capture]).ok().json();
        assert_eq!(replayed["data"]["side"], side);
    }
}

#[test]
fn a_link_without_a_speed_is_left_alone() {
    let bench = Bench::new();
    bench.image("os", 10_000, 1);
    let _flashd = bench.flashd();
    let ran = bench.send("os", &["--fast-baud", "auto"]).ok();
    assert_eq!(ran.json()["data"]["baud"], Value::Null);
    bench.assert_installed("os");
    assert_eq!(bench.send("os", &["--fast-baud", "0"]).code, 2);
}
