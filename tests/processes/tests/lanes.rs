//! Many devices at once.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::time::{Duration, Instant};

use processes::{Bench, Flashd, Nx, Ran, nx};
use rustix::process::Signal;
use serde_json::Value;

const IMAGE_BYTES: usize = 6 << 20;

/// A device of its own: its socket, its disk, its journal.
fn device(bench: &Bench, name: &str) -> Flashd {
    let mut args = bench.flashd_args();
    for (flag, file) in [
        ("--target", format!("{name}.disk")),
        ("--journal", format!("{name}.journal")),
    ] {
        let at = args.iter().position(|arg| arg == flag).unwrap();
        args[at + 1] = bench.path(&file);
    }
    args[1] = format!("{}?listen", port(bench, name));
    Flashd::start(args)
}

fn port(bench: &Bench, name: &str) -> String {
    format!("unix:{}", bench.path(&format!("{name}.sock")))
}

fn slow(bench: &Bench, name: &str) -> String {
    format!("slow+{}?rate=3000000", port(bench, name))
}

/// Sends the image `os` to these ports, with an envelope.
fn send(bench: &Bench, ports: &[String], more: &[&str]) -> Nx {
    let (first, others) = ports.split_first().unwrap();
    let mut args = bench.send_args("os", first);
    for port in others {
        args.extend(["--port".to_owned(), port.clone()]);
    }
    args.extend(more.iter().map(ToString::to_string));
    Nx::start(args)
}

fn devices(ran: &Ran) -> Vec<Value> {
    let json = ran.json();
    assert_eq!(json["code"], ran.code, "{json:#}");
    json["data"]["devices"].as_array().unwrap().clone()
}

#[track_caller]
fn assert_installed(bench: &Bench, names: &[&str]) {
    let image = fs::read(bench.work().path("os.img")).unwrap();
    for name in names {
        let disk = fs::read(bench.work().path(&format!("{name}.disk"))).unwrap_or_default();
        assert!(disk == image, "{name} does not have the image");
    }
}

/// Waits until something is so; gives up by elapsed time.
#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        let elapsed = started.elapsed();
        assert!(elapsed < Duration::from_secs(60), "never: {what}");
        std::thread::yield_now();
    }
}

/// How much a device has received of an image that it has not installed.
fn staged_bytes(bench: &Bench, name: &str) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let staging = bench.work().path(&format!(".{name}.disk.nx-staging"));
    fs::metadata(staging).map_or(0, |found| found.blocks() * 512)
}

#[test]
fn four_devices_get_an_image_that_is_read_once_for_all() {
    let bench = Bench::new();
    bench.image("os", IMAGE_BYTES, 1);
    let names = ["a", "b", "c", "d"];
    let _flashds = names.map(|name| device(&bench, name));
    // Two by name, and the others by a pattern that matches all of them.
    let pattern = format!("unix:{}", bench.path("*.sock"));
    let ports = [port(&bench, "b"), port(&bench, "a"), pattern];
    let ran = send(&bench, &ports, &[]).wait().ok();
    assert_installed(&bench, &names);

    let json = ran.json();
    let data = &json["data"];
    let total = data["image_bytes"].as_u64().unwrap();
    // Once to prove it, once to send it, and not four times.
    assert_eq!(data["image_bytes_read"], 2 * total, "{json:#}");
    assert_eq!(data["devices_ok"], 4);
    assert_eq!(data["devices_failed"], 0);
    let devices = devices(&ran);
    let ports = ["b", "a", "c", "d"].map(|name| port(&bench, name));
    for ((device, port), lane) in devices.iter().zip(&ports).zip(1..) {
        assert_eq!(device["port"], *port, "{json:#}");
        assert_eq!(device["lane"], lane);
        assert_eq!(device["ok"], true);
        assert_eq!(device["code"], 0);
    }
    // Each has what a run for one device says; and that itself is as it was.
    let single = nx(bench.send_args("os", &port(&bench, "a"))).ok().json();
    assert_eq!(single["data"]["blocks_sent"], 0);
    assert!(single["data"]["devices"].is_null());
    for member in single["data"].as_object().unwrap().keys() {
        assert!(devices[3].get(member).is_some(), "{member}");
    }
}

#[test]
fn a_device_that_is_cut_does_not_stop_the_others() {
    let bench = Bench::new();
    bench.image("os", IMAGE_BYTES, 2);
    let names = ["a", "b", "c"];
    let [a, b, c] = names.map(|name| device(&bench, name));
    let ports = names.map(|name| slow(&bench, name));
    let sending = send(&bench, &ports, &["--no-reconnect"]);
    wait_until("b receives", || staged_bytes(&bench, "b") > 1_000_000);
    b.kill();
    let ran = sending.wait();
    assert_eq!(ran.code, 5, "{ran:#?}");
    assert_installed(&bench, &["a", "c"]);
    let json = ran.json();
    assert_eq!(json["data"]["reason"], "port.closed", "{json:#}");
    assert_eq!(json["data"]["devices_ok"], 2);
    let message = json["message"].as_str().unwrap();
    assert!(
        message.starts_with("1 of 3 failed: slow+unix:"),
        "{message}"
    );
    let devices = devices(&ran);
    let reasons: Vec<&Value> = devices.iter().map(|device| &device["reason"]).collect();
    assert_eq!(reasons, [&Value::Null, &"port.closed".into(), &Value::Null]);
    // What it cost until then is told of it, too.
    assert!(devices[1]["blocks_sent"].as_u64().unwrap() > 0, "{json:#}");
    drop((a, c));
}

#[test]
fn people_get_a_table_and_a_line_when_a_device_is_done() {
    let bench = Bench::new();
    bench.image("os", IMAGE_BYTES, 3);
    let _flashd = device(&bench, "a");
    let [a, nobody] = ["a", "nobody"].map(|name| port(&bench, name));
    let mut args = bench.send_args("os", &nobody);
    args.retain(|arg| arg != "--json");
    args.extend(["--port".to_owned(), a.clone()]);
    let ran = nx(args);
    assert_eq!(ran.code, 4, "{ran:#?}");
    let rows: Vec<Vec<&str>> = ran
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows.len(), 3, "{ran:#?}");
    let heads = "port result sent blocks there again time reason";
    assert_eq!(rows[0].join(" "), heads);
    assert_eq!(rows[1], [nobody.as_str(), "failed", "port.not_found"]);
    assert_eq!(rows[2][..2], [a.as_str(), "installed"]);
    for line in [
        format!("nx: {a}: installed and read back in "),
        format!("nx: {nobody}: failed: "),
        format!("nx: 1 of 2 failed: {nobody}: "),
    ] {
        assert!(
            ran.stderr.lines().any(|said| said.starts_with(&line)),
            "`{line}` is not in {ran:#?}"
        );
    }
    assert_installed(&bench, &["a"]);
}

#[test]
fn a_port_that_is_named_twice_and_a_pattern_without_a_port_are_refused_before_anything_is_sent() {
    let bench = Bench::new();
    bench.image("os", IMAGE_BYTES, 4);
    let _flashd = device(&bench, "a");
    std::os::unix::fs::symlink(bench.work().path("a.sock"), bench.work().path("link.sock"))
        .unwrap();
    let a = port(&bench, "a");
    for other in [a.clone(), slow(&bench, "a"), port(&bench, "link")] {
        let ran = send(&bench, &[a.clone(), other.clone()], &[]).wait();
        assert_eq!(ran.code, 2, "{other}: {ran:#?}");
        assert_eq!(ran.json()["data"]["reason"], "usage.arguments");
    }
    let nowhere = format!("unix:{}", bench.path("none-*"));
    let ran = send(&bench, &[a, nowhere], &[]).wait();
    assert_eq!(ran.code, 4, "{ran:#?}");
    assert_eq!(ran.json()["data"]["reason"], "port.not_found");
    assert!(!bench.work().path("a.disk").exists());
}

#[test]
fn ctrl_c_ends_every_lane_in_order() {
    let bench = Bench::new();
    bench.image("os", IMAGE_BYTES, 5);
    let names = ["a", "b", "c"];
    let mut flashds = names.map(|name| device(&bench, name));
    let ports = names.map(|name| slow(&bench, name));
    let sending = send(&bench, &ports, &[]);
    for name in names {
        wait_until(name, || staged_bytes(&bench, name) > 1_000_000);
    }
    sending.signal(Signal::INT);
    let ran = sending.wait();
    assert_eq!(ran.code, 7, "{ran:#?}");
    let json = ran.json();
    assert_eq!(json["data"]["reason"], "run.interrupted", "{json:#}");
    assert_eq!(json["data"]["devices_failed"], 3);
    for flashd in &mut flashds {
        flashd.wait_for("flashd: session ended reason=operator");
    }
    let again = send(&bench, &ports, &[]).wait().ok();
    for device in devices(&again) {
        assert!(device["blocks_skipped"].as_u64().unwrap() > 0, "{device:#}");
    }
    assert_installed(&bench, &names);
}

#[test]
fn each_lane_records_in_a_file_of_its_own() {
    let bench = Bench::new();
    bench.image("os", IMAGE_BYTES, 6);
    let _flashds = ["a", "b"].map(|name| device(&bench, name));
    let ports = ["a", "b"].map(|name| port(&bench, name));
    let (events, capture) = (bench.path("events"), bench.path("capture"));
    let more = ["--events", &events, "--capture", &capture];
    send(&bench, &ports, &more).wait().ok();
    for lane in ["1", "2"] {
        let events = fs::read_to_string(format!("{events}.{lane}")).unwrap();
        let installed = events.matches("\"event\":\"installed\"").count();
        assert_eq!(installed, 1, "{events}");
        let capture = fs::read(format!("{capture}.{lane}")).unwrap();
        // The first block of a pcapng file.
        assert_eq!(capture[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
        assert!(capture.len() > IMAGE_BYTES);
    }
    let ran = send(&bench, &ports, &["--events", "-"]).wait();
    assert_eq!(ran.code, 2, "{ran:#?}");
}
