//! A file that stands for the disk of a device with two slots, from blank on, with the shipped
//! programs. The boot loader is played by the test: it spends the tries.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::process::Command;

use processes::{Bench, Flashd, Ran, flashd_path, nx};

/// Bytes of the disk: more than an image has.
const DISK_BYTES: u64 = 48 << 20;
/// Where the boot record's partition begins: behind a bootloader of under 1 MiB.
const RECORD: u64 = 2 << 20;

struct Device {
    bench: Bench,
}

impl Device {
    /// A blank disk, and images v1 and v2 of which only a part differs.
    fn new() -> Self {
        let device = Self {
            bench: Bench::new(),
        };
        let disk = File::create(device.bench.path("disk.img")).unwrap();
        disk.set_len(DISK_BYTES).unwrap();
        device.build("v1", 1, 60_000, &[]);
        device.build("v2", 2, 61_000, &[]);
        device
    }

    fn build(&self, name: &str, seed: u64, kernel: usize, more: &[&str]) {
        let work = self.bench.work();
        let file = |part: &str, len, seed| {
            let path = work.random_file(&format!("{name}.{part}"), len, seed);
            path.display().to_string()
        };
        let bootloader = file("esp", 100_000, 10 + seed);
        let kernel = file("kernel", kernel, 20 + seed);
        let rootfs = file("rootfs", 2_000_000, 5);
        let mut args = vec![
            "--slots",
            "2",
            "--state-size",
            "2MiB",
            "--image-version",
            name,
            "--bootloader",
            &bootloader,
            "--kernel",
            &kernel,
            "--rootfs",
            &rootfs,
        ];
        args.extend(more);
        self.bench.build(name, 300_000, 7, &args, "dev.key");
    }

    /// A `flashd` that runs from this slot, or from elsewhere.
    fn flashd(&self, slot: Option<&str>) -> Flashd {
        let mut args = self.bench.flashd_args();
        args.extend(["--layout", "ab"].map(str::to_owned));
        args.extend(
            slot.into_iter()
                .flat_map(|slot| ["--slot".to_owned(), slot.to_owned()]),
        );
        Flashd::start(args)
    }

    /// `flashd --confirm`: its code and what it says.
    fn confirm(&self, slot: &str) -> (i32, String) {
        let output = Command::new(flashd_path())
            .args(["--confirm", "--layout", "ab", "--slot", slot, "--target"])
            .arg(self.bench.path("disk.img"))
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.code().unwrap(),
            String::from_utf8(said).unwrap(),
        )
    }

    fn ask(&self, args: &[&str]) -> Ran {
        let port = self.bench.port();
        nx(["--json", "flash"]
            .iter()
            .chain(args)
            .copied()
            .chain(["--port", &port]))
    }

    /// The slots as `nx flash info` tells them.
    fn slots(&self) -> serde_json::Value {
        let info = self.ask(&["info"]).ok().json();
        assert_eq!(info["data"]["layout"], "ab");
        info["data"]["slots"].clone()
    }

    /// The boot loader starts the slot on trial.
    fn spend_a_try(&self) {
        let mut options = OpenOptions::new();
        let path = self.bench.path("disk.img");
        let disk = options.read(true).write(true).open(path).unwrap();
        let mut sector = [0; 512];
        disk.read_exact_at(&mut sector, RECORD + 512).unwrap();
        let at = sector
            .windows(9)
            .position(|text| text == b"nx_tries=")
            .unwrap()
            + 9;
        sector[at] -= 1;
        disk.write_all_at(&sector, RECORD + 512).unwrap();
    }
}

#[test]
fn a_disk_with_two_slots_lives_through_updates_trials_and_a_fall_back() {
    let device = Device::new();
    let bench = &device.bench;

    // Blank: nothing runs from it.
    let mut flashd = device.flashd(None);
    flashd.wait_for("flashd: disk not provisioned");
    let refused = device.ask(&["reboot", "normal"]);
    assert_eq!(
        (refused.code, &refused.json()["data"]["reason"]),
        (6, &"device.no_reboot".into())
    );
    bench.send("v1", &[]).ok();
    flashd.wait_for("flashd: installed");
    flashd.wait_for("flashd: slot a confirmed");
    let v1 = bench.path("v1.json");
    let verified = device.ask(&["verify", "--manifest", &v1]).ok().json();
    let verdict = |verified: &serde_json::Value, name: &str| {
        let segments = verified["data"]["segments"].as_array().unwrap().clone();
        let found = segments.into_iter().find(|segment| segment["name"] == name);
        found.unwrap()["verdict"].clone()
    };
    for (name, word) in [
        ("gpt", "kept"),
        ("bootloader", "kept"),
        ("boot-record", "kept"),
        ("kernel", "matches"),
        ("rootfs", "matches"),
        ("state", "kept"),
    ] {
        assert_eq!(verdict(&verified, name), word, "{name}");
    }
    device.ask(&["reboot", "normal"]).ok();
    flashd.wait_for("rebootd: next-boot=normal");
    flashd.kill();

    // The system runs from slot a: what it wrote to its state stays.
    let mut options = OpenOptions::new();
    let disk = options
        .read(true)
        .write(true)
        .open(bench.path("disk.img"))
        .unwrap();
    let state = state_offset(bench);
    disk.write_all_at(b"users' data", state + 8_192).unwrap();
    let mut flashd = device.flashd(Some("a"));
    let sent = bench.send("v2", &[]).ok().json();
    let (sent_blocks, total) = (&sent["data"]["blocks_sent"], &sent["data"]["blocks_total"]);
    assert!(
        sent_blocks.as_u64().unwrap() <= 2,
        "{sent_blocks} of {total}: a kernel"
    );
    assert_eq!(sent["data"]["state_kept"], true);
    flashd.wait_for("flashd: slot b on trial (3 tries)");
    let slots = device.slots();
    assert_eq!(
        (&slots["running"], &slots["confirmed"]),
        (&"a".into(), &"a".into())
    );
    assert_eq!((&slots["boots"], &slots["tries"]), (&"b".into(), &3.into()));
    flashd.kill();

    // Slot b runs on trial: no update before it is confirmed.
    device.spend_a_try();
    let mut flashd = device.flashd(Some("b"));
    flashd.wait_for("flashd: slot b on trial (2 tries)");
    let refused = bench.send("v1", &[]);
    let json = refused.json();
    assert_eq!(
        (refused.code, &json["data"]["reason"]),
        (3, &"device.unconfirmed".into())
    );
    assert!(
        json["data"]["hint"].as_str().unwrap().contains("--confirm"),
        "{json:#}"
    );
    // While the other one serves.
    assert_eq!(
        device.confirm("b"),
        (0, "flashd: slot b confirmed\n".to_owned())
    );
    assert_eq!(device.slots()["confirmed"], "b");
    device
        .ask(&["verify", "--manifest", &bench.path("v2.json")])
        .ok();

    // The system before comes back without a block, and does not come up.
    let sent = bench.send("v1", &[]).ok().json();
    assert_eq!(sent["data"]["blocks_sent"], 0);
    flashd.kill();
    (0..3).for_each(|_| device.spend_a_try());
    let mut flashd = device.flashd(Some("b"));
    assert!(
        flashd
            .seen()
            .iter()
            .any(|line| line == "flashd: fell back to slot b")
    );
    flashd.wait_for("flashd: slot b confirmed");
    assert_eq!(device.slots()["fallback"], false);

    // Recovery, until it is set back.
    device.ask(&["reboot", "recovery"]).ok();
    assert_eq!(device.slots()["next_boot"], "recovery");
    device.ask(&["reboot", "normal"]).ok();
    assert_eq!(device.slots()["next_boot"], "normal");
    let mut data = [0; 11];
    disk.read_exact_at(&mut data, state + 8_192).unwrap();
    assert_eq!(&data, b"users' data");
}

/// Where the state is in the image, and on the disk.
fn state_offset(bench: &Bench) -> u64 {
    let manifest = fs::read_to_string(bench.path("v1.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let segments = manifest["segments"].as_array().unwrap();
    let state = segments.iter().find(|segment| segment["name"] == "state");
    state.unwrap()["offset"].as_u64().unwrap()
}

#[test]
fn what_is_not_for_this_disk_is_refused_and_the_disk_stays_as_it_is() {
    let device = Device::new();
    let bench = &device.bench;
    device.build("large", 3, 2_000_000, &[]);
    bench.image("one-slot", 100_000, 4);
    let disk = || fs::read(bench.path("disk.img")).unwrap();
    let refuse = |name: &str, more: &[&str], reason: &str| {
        let before = disk();
        let ran = bench.send(name, more);
        let json = ran.json();
        assert_eq!(
            (ran.code, &json["data"]["reason"]),
            (3, &reason.into()),
            "{json:#}"
        );
        assert!(disk() == before, "{name}");
    };
    let flashd = device.flashd(None);
    refuse("one-slot", &[], "device.slots");
    bench.send("v1", &[]).ok();
    refuse("one-slot", &[], "device.slots");
    refuse("large", &[], "device.too_large");
    flashd.kill();
    let _flashd = device.flashd(Some("a"));
    refuse("v2", &["--wipe-state"], "device.state_in_use");
}

#[test]
fn the_bootloader_is_written_when_it_is_asked_for() {
    let device = Device::new();
    let bench = &device.bench;
    let flashd = device.flashd(None);
    bench.send("v1", &[]).ok();
    flashd.kill();
    let bootloader = || {
        let mut bytes = vec![0; 100_000];
        let disk = File::open(bench.path("disk.img")).unwrap();
        disk.read_exact_at(&mut bytes, 1 << 20).unwrap();
        bytes
    };
    let of = |name: &str| fs::read(bench.path(&format!("{name}.esp"))).unwrap();
    let _flashd = device.flashd(Some("a"));
    bench.send("v2", &[]).ok();
    assert!(bootloader() == of("v1"));
    bench.send("v2", &["--update-bootloader"]).ok();
    assert!(bootloader() == of("v2"));
}

#[test]
fn what_cannot_be_confirmed_says_why() {
    let device = Device::new();
    let (code, said) = device.confirm("a");
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("record is missing"), "{said}");
    let flashd = device.flashd(None);
    device.bench.send("v1", &[]).ok();
    flashd.kill();
    let (code, said) = device.confirm("b");
    assert_eq!(code, 3, "{said}");
    let output = Command::new(flashd_path())
        .args(["--confirm", "--layout", "file", "--target", "x"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}
