//! Either side is killed in the middle, as `kill -9` does it, and the same command goes on.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use processes::{Flashd, Ran, Workdir, nx, nx_path};

const IMAGE_BYTES: u64 = 12 << 20;
const BLOCK_BYTES: u64 = 64 << 10;
/// What the device grants.
const WINDOW_BYTES: u64 = 1 << 20;
/// A line that leaves time to aim.
const SLOW: &str = "rate=6000000";

struct Rig {
    work: Workdir,
}

impl Rig {
    fn new(seed: u64) -> Self {
        let rig = Self {
            work: Workdir::new(),
        };
        rig.build("os", seed);
        rig
    }

    fn path(&self, name: &str) -> String {
        self.work.path(name).display().to_string()
    }

    fn build(&self, name: &str, seed: u64) {
        let len = usize::try_from(IMAGE_BYTES).unwrap();
        let pkgfs = self.work.random_file(&format!("{name}.pkgfs"), len, seed);
        let key = self.path("dev.key");
        if !self.work.path("dev.key").exists() {
            nx([
                "image",
                "keygen",
                "--out",
                &key,
                "--pub",
                &self.path("dev.pub"),
            ])
            .ok();
        }
        nx([
            "image",
            "build",
            "--profile",
            "dev",
            "--table",
            "none",
            "--pkgfs",
            pkgfs.to_str().unwrap(),
            "--out",
            &self.path(&format!("{name}.img")),
            "--manifest",
            &self.path(&format!("{name}.json")),
            "--sign",
            &key,
        ])
        .ok();
    }

    fn flashd(&self) -> Flashd {
        Flashd::start([
            "--port",
            &format!("unix:{}?listen", self.path("s")),
            "--target",
            &self.path("disk.img"),
            "--journal",
            &self.path("journal"),
            "--pub",
            &self.path("dev.pub"),
        ])
    }

    fn send_args(&self, name: &str, chunk: &str, slow: bool) -> Vec<String> {
        let port = if slow {
            format!("slow+unix:{}?{SLOW}", self.path("s"))
        } else {
            format!("unix:{}", self.path("s"))
        };
        let image = self.path(&format!("{name}.img"));
        let manifest = self.path(&format!("{name}.json"));
        let words = [
            "--json",
            "flash",
            "send",
            "--img",
            &image,
            "--manifest",
            &manifest,
        ];
        let mut args: Vec<String> = words.iter().map(ToString::to_string).collect();
        args.extend([
            "--port".to_owned(),
            port,
            "--chunk".to_owned(),
            chunk.to_owned(),
        ]);
        args
    }

    fn send(&self, name: &str, chunk: &str) -> Ran {
        nx(self.send_args(name, chunk, false))
    }

    fn start_slowly(&self, name: &str) -> Child {
        Command::new(nx_path())
            .args(self.send_args(name, "65536", true))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn staged_bytes(&self) -> u64 {
        let staging = self.work.path(".disk.img.nx-staging");
        fs::metadata(staging).map_or(0, |found| found.blocks() * 512)
    }

    /// Waits until 40 % have arrived; gives up by elapsed time.
    fn wait_for_forty_percent(&self) {
        let started = Instant::now();
        while self.staged_bytes() < IMAGE_BYTES * 2 / 5 {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "{}",
                self.staged_bytes()
            );
            std::thread::yield_now();
        }
    }

    #[track_caller]
    fn assert_resumed(&self, sent: &Ran, staged: u64) {
        let json = sent.json();
        let member = |name: &str| json["data"][name].as_u64().unwrap();
        let again = (member("blocks_sent") * BLOCK_BYTES + staged).saturating_sub(IMAGE_BYTES);
        let allowed = WINDOW_BYTES + 2 * BLOCK_BYTES;
        assert!(again <= allowed, "{again} bytes were sent again: {json:#}");
        assert!(member("blocks_skipped") > 0, "{json:#}");
        let read = |name: &str| fs::read(self.work.path(name)).unwrap();
        assert!(
            read("disk.img") == read("os.img"),
            "the installed file is not the image"
        );
    }
}

#[test]
fn a_killed_nx_resumes_also_with_another_chunk() {
    let rig = Rig::new(1);
    let _flashd = rig.flashd();
    let mut first = rig.start_slowly("os");
    rig.wait_for_forty_percent();
    first.kill().unwrap();
    first.wait().unwrap();
    let staged = rig.staged_bytes();
    let sent = rig.send("os", "4096").ok();
    rig.assert_resumed(&sent, staged);
}

#[test]
fn a_killed_flashd_resumes() {
    let rig = Rig::new(2);
    let flashd = rig.flashd();
    let mut first = rig.start_slowly("os");
    rig.wait_for_forty_percent();
    flashd.kill();
    let status = first.wait().unwrap();
    assert_eq!(
        status.code(),
        Some(5),
        "a device that goes away is a delegate failure"
    );
    let staged = rig.staged_bytes();
    let _flashd = rig.flashd();
    let sent = rig.send("os", "65536").ok();
    rig.assert_resumed(&sent, staged);
}

#[test]
fn another_manifest_starts_at_zero_and_the_same_image_sends_nothing() {
    let rig = Rig::new(3);
    let _flashd = rig.flashd();
    let mut first = rig.start_slowly("os");
    rig.wait_for_forty_percent();
    first.kill().unwrap();
    first.wait().unwrap();
    rig.build("other", 4);
    let other = rig.send("other", "65536").ok().json();
    let member = |json: &serde_json::Value, name: &str| json["data"][name].as_u64().unwrap();
    assert_eq!(
        member(&other, "blocks_sent"),
        member(&other, "blocks_total")
    );
    let again = rig.send("other", "65536").ok().json();
    assert_eq!(member(&again, "blocks_sent"), 0, "{again:#}");
    assert_eq!(member(&again, "payload_bytes"), 0, "{again:#}");
}
