//! `nx flash` as a user runs it, on the device that answers behind `loopback:`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop at the first surprise"
)]

mod program;

use std::fs;
use std::path::PathBuf;

use nx_image::key::SigningKey;
use nx_image::{Digest, ImageInfo, Manifest, Profile, Segment, SegmentKind, Slots, Table, tree};
use program::{Run, assert_golden, command, nx};
use serde_json::{Value, json};
use tempfile::TempDir;

const BLOCK: usize = 4_096;
const BLOCKS: u64 = 40;
/// Some bytes of the last block are missing.
const BYTES: usize = 40 * BLOCK - 96;

/// A signed image of one segment, made by hand.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        let bench = Self(TempDir::with_prefix("nx-flash-").unwrap());
        bench.image("os", 3);
        bench
    }

    fn image(&self, name: &str, salt: usize) {
        let bytes: Vec<u8> = (0..BYTES)
            .map(|i| (i * salt / 7 + i / BLOCK) as u8)
            .collect();
        let blocks: Vec<Digest> = bytes.chunks(BLOCK).map(Digest::of).collect();
        let kind = SegmentKind::Kernel;
        let manifest = Manifest {
            image: ImageInfo {
                size: BYTES as u64,
                sha256: Digest::of(&bytes),
                board: "virt".into(),
                profile: Profile::Dev,
                image_version: "1.2.3".into(),
                rollback_index: 0,
                block_size: BLOCK as u32,
                table: Table::None,
                slots: Slots::One,
            },
            segments: vec![Segment {
                name: kind.as_str().into(),
                kind,
                role: kind.role(),
                offset: 0,
                size: BYTES as u64,
                sha256: Digest::of(&bytes),
                block_root: tree::root(&[tree::page_digest(&blocks)]),
            }],
        };
        let key = SigningKey::from_seed(&[9; 32]).unwrap();
        let manifest = manifest.encode();
        let public = key.public_key().as_bytes().map(|b| format!("{b:02x}"));
        fs::write(self.path(&format!("{name}.img")), bytes).unwrap();
        fs::write(self.path(&format!("{name}.sig")), key.sign(&manifest)).unwrap();
        fs::write(self.path(&format!("{name}.json")), manifest).unwrap();
        fs::write(self.path("os.pub"), public.concat()).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// `nx flash send` of an image with its manifest and key, and these arguments.
    fn send(&self, image: &str, manifest: &str, more: &[&str]) -> Run {
        let (image, manifest) = (self.text(image), self.text(manifest));
        let key = self.text("os.pub");
        let mut args = vec!["flash", "send", "--img", &image, "--manifest", &manifest];
        args.extend(["--pub", &key]);
        args.extend(more);
        nx(&args)
    }
}

fn reason(run: &Run) -> (i32, String) {
    let envelope = run.envelope();
    assert_eq!(envelope["code"], run.code);
    assert_eq!(run.stderr, "", "{run:#?}");
    let reason = envelope["data"]["reason"].as_str().unwrap();
    (run.code, reason.to_owned())
}

#[test]
fn an_image_arrives_over_a_lossy_link_and_its_cost_is_told() {
    let bench = Bench::new();
    let port = "lossy+loopback:x?drop_every=5";
    let run = bench.send("os.img", "os.json", &["--port", port, "--resume", "--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:#?}");
    let data = &run.envelope()["data"];
    let image = Digest::of(&fs::read(bench.path("os.img")).unwrap());
    assert_eq!(data["image_sha256"], image.to_string());
    assert_eq!(data["blocks_total"], BLOCKS);
    assert_eq!(data["blocks_sent"], BLOCKS);
    assert_eq!(data["blocks_skipped"], 0);
    assert_eq!(data["payload_bytes"], BYTES);
    let number = |name: &str| data[name].as_u64().unwrap();
    assert!(number("retransmitted_bytes") > 0, "{data}");
    assert!(number("wire_bytes") >= BYTES as u64 + number("retransmitted_bytes"));
    assert!(data["elapsed_ms"].is_u64());
}

#[test]
fn without_json_a_person_reads_two_lines() {
    let bench = Bench::new();
    let run = bench.send("os.img", "os.json", &["--port", "loopback:x"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:#?}");
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{run:#?}");
    assert!(lines[0].starts_with("40 of 40 blocks sent; 159.91 KiB in "));
    let manifest = Digest::of(&fs::read(bench.path("os.json")).unwrap());
    let want = format!("installed and read back: version 1.2.3, manifest {manifest}");
    assert_eq!(lines[1], want);
}

#[test]
fn events_are_lines_of_json_in_the_order_of_the_session() {
    let bench = Bench::new();
    let args = ["--port", "loopback:x", "--events", "-"];
    let run = bench.send("os.img", "os.json", &args);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:#?}");
    let events: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let named = |event: &&Value| event["event"] != "progress" && event["event"] != "busy";
    let names: Vec<&Value> = events.iter().filter(named).map(|e| &e["event"]).collect();
    let want = ["connected", "accepted", "planned", "installed", "finished"];
    assert_eq!(names, want);
    assert!(events.iter().all(|event| event["v"] == 1));
    let times: Vec<u64> = events
        .iter()
        .map(|e| e["at_ms"].as_u64().unwrap())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn a_capture_replays_the_same_and_a_changed_one_does_not() {
    let bench = Bench::new();
    let file = bench.text("session.pcapng");
    let port = "lossy+loopback:x?drop_every=7";
    let run = bench.send("os.img", "os.json", &["--port", port, "--capture", &file]);
    assert_eq!(run.code, 0, "{run:#?}");
    let run = nx(&["flash", "replay", &file]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:#?}");
    assert!(run.stdout.contains("Finished\n"), "{run:#?}");
    assert!(run.stdout.contains("the host's machine did the same: "));

    // A byte of the image in the middle of the capture: the machine would send the other one.
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let run = nx(&["flash", "replay", &file, "--json"]);
    let (code, reason) = reason(&run);
    assert_eq!(code, 3, "{run:#?}");
    assert!(["capture.diverged", "capture.damaged"].contains(&reason.as_str()));
}

#[test]
fn a_captured_run_ends_as_it_did_when_its_capture_is_the_port() {
    let bench = Bench::new();
    for port in ["loopback:x", "lossy+loopback:x?drop_every=7"] {
        let file = bench.text(&format!("{}.pcapng", port.len()));
        let run = bench.send("os.img", "os.json", &["--port", port, "--capture", &file]);
        assert_eq!(run.code, 0, "{run:#?}");
        let replay = format!("replay:{file}");
        let again = bench.send("os.img", "os.json", &["--port", &replay]);
        assert_eq!((again.code, again.stderr.as_str()), (0, ""), "{again:#?}");
        assert_eq!(again.stdout.lines().last(), run.stdout.lines().last());
        // Another job is not what was recorded: it ends, and does not hang.
        let info = nx(&["flash", "info", "--port", &replay, "--json"]);
        assert_eq!(reason(&info).0, 5, "{info:#?}");
    }
    let refused = bench.text("refused.pcapng");
    let args = ["flash", "verify", "--port", "loopback:x", "--json"];
    let run = nx(&[&args[..], &["--capture", &refused]].concat());
    let port = format!("replay:{refused}");
    let again = nx(&["flash", "verify", "--port", &port, "--json"]);
    assert_eq!(reason(&again), reason(&run));
    assert_eq!(reason(&again), (4, "device.nothing_installed".into()));
}

#[test]
fn neither_a_capture_nor_events_replace_a_file() {
    let bench = Bench::new();
    let file = bench.text("os.json");
    let before = fs::read(&file).unwrap();
    for (flag, exists) in [
        ("--capture", "capture.exists"),
        ("--events", "events.exists"),
    ] {
        let args = ["--port", "loopback:x", flag, &file, "--json"];
        let run = bench.send("os.img", "os.json", &args);
        assert_eq!(reason(&run), (3, exists.into()));
        assert_eq!(fs::read(&file).unwrap(), before);
    }
}

#[test]
fn files_that_do_not_belong_together_are_refused_before_anything_is_sent() {
    let bench = Bench::new();
    let port = ["--port", "loopback:x", "--json"];
    let send = |image: &str, manifest: &str| reason(&bench.send(image, manifest, &port));
    let mut bytes = fs::read(bench.path("os.img")).unwrap();
    bytes[BYTES / 2] ^= 1;
    fs::write(bench.path("damaged.img"), &bytes).unwrap();
    bytes.push(0);
    fs::write(bench.path("longer.img"), &bytes).unwrap();
    let manifest = fs::read_to_string(bench.path("os.json")).unwrap();
    fs::write(bench.path("forged.json"), manifest.replace("virt", "vira")).unwrap();
    fs::copy(bench.path("os.sig"), bench.path("forged.sig")).unwrap();

    let mismatch = || (3, "source.mismatch".to_owned());
    assert_eq!(send("damaged.img", "os.json"), mismatch());
    assert_eq!(send("longer.img", "os.json"), mismatch());
    let forged = send("os.img", "forged.json");
    assert_eq!(forged, (3, "source.signature".into()));
    let missing = || (4, "source.not_found".to_owned());
    assert_eq!(send("missing.img", "os.json"), missing());
    assert_eq!(send("os.img", "missing.json"), missing());
    assert_eq!(send(".", "os.json"), (3, "source.not_a_file".into()));
    // The manifest where the key belongs.
    let (image, manifest) = (bench.text("os.img"), bench.text("os.json"));
    let mut args = vec!["flash", "send", "--img", &image, "--manifest", &manifest];
    args.extend(["--pub", &manifest, "--port", "loopback:x", "--json"]);
    assert_eq!(reason(&nx(&args)), (3, "key.invalid".into()));
}

#[test]
fn a_manifest_without_a_signature_is_told_where_to_get_one() {
    let bench = Bench::new();
    fs::remove_file(bench.path("os.sig")).unwrap();
    let port = ["--port", "loopback:x", "--json"];
    let sent = bench.send("os.img", "os.json", &port);
    let (manifest, key) = (bench.text("os.json"), bench.text("os.pub"));
    let image = bench.text("os.img");
    let args = ["image", "verify", &image, "--manifest", &manifest];
    let verified = nx(&[&args[..], &["--pub", &key, "--json"]].concat());
    for run in [sent, verified] {
        assert_eq!(reason(&run), (4, "source.not_found".into()), "{run:#?}");
        let told = run.envelope();
        let message = told["message"].as_str().unwrap();
        assert!(message.contains("not signed"), "{run:#?}");
        assert!(message.contains("os.sig"), "{run:#?}");
        let hint = told["data"]["hint"].as_str().unwrap();
        assert!(hint.contains("--sign KEY"), "{run:#?}");
    }
}

#[test]
fn another_key_is_refused() {
    let bench = Bench::new();
    let other = SigningKey::from_seed(&[1; 32]).unwrap();
    let hex = other.public_key().as_bytes().map(|b| format!("{b:02x}"));
    fs::write(bench.path("os.pub"), hex.concat()).unwrap();
    let run = bench.send("os.img", "os.json", &["--port", "loopback:x", "--json"]);
    assert_eq!(reason(&run), (3, "source.signature".into()));
}

#[test]
fn a_device_that_has_nothing_says_so_and_what_it_is() {
    let info = nx(&["flash", "info", "--port", "loopback:x", "--json"]);
    assert_eq!(info.code, 0, "{info:#?}");
    let data = &info.envelope()["data"];
    assert_eq!(data["installed_manifest_sha256"], Value::Null);
    assert_eq!(data["keys"], json!([]));
    let verify = nx(&["flash", "verify", "--port", "loopback:x", "--json"]);
    assert_eq!(reason(&verify), (4, "device.nothing_installed".into()));
    assert_eq!(verify.envelope()["data"]["reject_code"], 35);
}

#[test]
fn the_port_comes_from_the_environment_when_none_is_given() {
    let run = Run::of(command(&["flash", "info"]).env("NX_PORT", "loopback:x"));
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:#?}");
    assert!(run.stdout.contains("installed  nothing\n"), "{run:#?}");
    let none = nx(&["flash", "info", "--json"]);
    assert_eq!(reason(&none), (2, "usage.no_port".into()));
}

#[test]
fn silence_on_the_line_is_told_within_the_time_that_was_given() {
    // All that is sent is lost. The time is virtual, so the test does not wait.
    let port = "lossy+loopback:x?drop_every=1";
    let args = ["flash", "info", "--port", port, "--json"];
    let run = nx(&args);
    assert_eq!(reason(&run), (5, "device.silent".into()));
    let message = run.envelope()["message"].as_str().unwrap().to_owned();
    assert_eq!(message, "nothing answered for 30 s");
    let run = nx(&[&args[..], &["--give-up-after", "3"]].concat());
    assert_eq!(reason(&run), (5, "device.silent".into()));
    assert_eq!(run.envelope()["message"], "nothing answered for 3 s");
}

#[test]
fn arguments_that_contradict_each_other_are_a_usage_error() {
    let bench = Bench::new();
    let port = ["--port", "loopback:x", "--json"];
    let usage = |more: &[&str]| {
        let run = bench.send("os.img", "os.json", &[&port[..], more].concat());
        assert_eq!(reason(&run), (2, "usage.arguments".into()), "{more:?}");
    };
    usage(&["--resume", "--restart"]);
    usage(&["--events", "-"]);
    usage(&["--chunk", "65537"]);
    usage(&["--chunk", "0"]);
    let (image, manifest) = (bench.text("os.img"), bench.text("os.json"));
    let mut args = vec!["flash", "send", "--img", &image, "--manifest", &manifest];
    args.extend(port);
    let run = nx(&args);
    assert_eq!(reason(&run), (2, "usage.arguments".into()));
    assert!(run.stdout.contains("--pub"), "{run:#?}");
}

#[test]
fn what_is_no_capture_is_refused_and_what_is_not_there_is_missed() {
    let bench = Bench::new();
    let replay = |name: &str| nx(&["flash", "replay", &bench.text(name), "--json"]);
    assert_eq!(reason(&replay("os.img")), (3, "capture.damaged".into()));
    assert_eq!(reason(&replay("missing")), (4, "capture.not_found".into()));
}

#[test]
fn help_is_the_golden_text() {
    for verb in ["send", "verify", "info", "reboot", "replay"] {
        let run = nx(&["flash", verb, "--help"]);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{verb}");
        assert_golden(&format!("help-flash-{verb}.txt"), &run.stdout);
    }
}
