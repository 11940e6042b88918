//! A signed image, and a device to put it on.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use crate::daemon::Flashd;
use crate::nx::{Nx, Ran, nx};
use crate::workdir::Workdir;

/// A folder with keys and images, and what a `flashd` and an `nx` on one socket are told.
#[derive(Debug, Default)]
pub struct Bench {
    work: Workdir,
}

impl Bench {
    /// A folder with the keys `dev.key` and `dev.pub`.
    #[must_use]
    pub fn new() -> Self {
        let bench = Self::default();
        bench.key("dev");
        bench
    }

    /// The folder.
    pub const fn work(&self) -> &Workdir {
        &self.work
    }

    /// The path of something in the folder, as an argument.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        self.work.path(name).display().to_string()
    }

    /// Makes `NAME.key` and `NAME.pub`.
    pub fn key(&self, name: &str) {
        let (key, public) = (
            self.path(&format!("{name}.key")),
            self.path(&format!("{name}.pub")),
        );
        nx(["image", "keygen", "--out", &key, "--pub", &public]).ok();
    }

    /// Builds `NAME.img`, `NAME.json` and `NAME.sig` for board `virt` from `bytes` bytes that
    /// `seed` decides, without a partition table, signed by `dev.key`.
    pub fn image(&self, name: &str, bytes: usize, seed: u64) {
        self.build(name, bytes, seed, &["--table", "none"], "dev.key");
    }

    /// Builds an image with more arguments, signed by another key.
    pub fn build(&self, name: &str, bytes: usize, seed: u64, more: &[&str], key: &str) {
        let pkgfs = format!("{name}.pkgfs");
        self.work.random_file(&pkgfs, bytes, seed);
        let mut args = self.build_args(name, &pkgfs, key);
        args.extend(more.iter().map(ToString::to_string));
        nx(args).ok();
    }

    /// What `nx` is told: build `NAME.img` from a file in the folder, signed by this key.
    #[must_use]
    pub fn build_args(&self, name: &str, pkgfs: &str, key: &str) -> Vec<String> {
        let mut args: Vec<String> = ["image", "build", "--profile", "dev", "--board", "virt"]
            .map(str::to_owned)
            .into();
        for (flag, value) in [
            ("--pkgfs", self.path(pkgfs)),
            ("--out", self.path(&format!("{name}.img"))),
            ("--manifest", self.path(&format!("{name}.json"))),
            ("--sig", self.path(&format!("{name}.sig"))),
            ("--sign", self.path(key)),
        ] {
            args.extend([flag.to_owned(), value]);
        }
        args
    }

    /// The socket between the two, as a port of `nx`.
    #[must_use]
    pub fn port(&self) -> String {
        format!("unix:{}", self.path("s"))
    }

    /// What `flashd` is told: serve the socket, install to `disk.img`.
    #[must_use]
    pub fn flashd_args(&self) -> Vec<String> {
        [
            "--port",
            &format!("{}?listen", self.port()),
            "--target",
            &self.path("disk.img"),
            "--journal",
            &self.path("journal"),
            "--pub",
            &self.path("dev.pub"),
            "--board",
            "virt",
        ]
        .map(str::to_owned)
        .into()
    }

    /// A `flashd` on the socket.
    #[must_use]
    pub fn flashd(&self) -> Flashd {
        Flashd::start(self.flashd_args())
    }

    /// What `nx` is told: send an image over the port, with an envelope.
    #[must_use]
    pub fn send_args(&self, name: &str, port: &str) -> Vec<String> {
        [
            "--json",
            "flash",
            "send",
            "--img",
            &self.path(&format!("{name}.img")),
            "--manifest",
            &self.path(&format!("{name}.json")),
            "--sig",
            &self.path(&format!("{name}.sig")),
            "--port",
            port,
        ]
        .map(str::to_owned)
        .into()
    }

    /// Sends an image over the socket, to its end.
    #[must_use]
    pub fn send(&self, name: &str, more: &[&str]) -> Ran {
        let mut args = self.send_args(name, &self.port());
        args.extend(more.iter().map(ToString::to_string));
        nx(args)
    }

    /// Begins to send an image, over the socket as a line of 6 MB/s: that leaves time to aim.
    #[must_use]
    pub fn start_slowly(&self, name: &str, more: &[&str]) -> Nx {
        let mut args = self.send_args(name, &format!("slow+{}?rate=6000000", self.port()));
        args.extend(more.iter().map(ToString::to_string));
        Nx::start(args)
    }

    /// What the device holds of an image that is not installed yet, in bytes.
    #[must_use]
    pub fn staged_bytes(&self) -> u64 {
        let staging = self.work.path(".disk.img.nx-staging");
        fs::metadata(staging).map_or(0, |found| found.blocks().saturating_mul(512))
    }

    /// Waits until so much has arrived; gives up by elapsed time.
    pub fn wait_for_staged(&self, bytes: u64) {
        let started = Instant::now();
        while self.staged_bytes() < bytes {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "no more than {} bytes arrived",
                self.staged_bytes()
            );
            std::thread::yield_now();
        }
    }

    /// Waits until the file `events`, as `--events` writes it, has this one.
    pub fn wait_for_event(&self, event: &str) {
        let started = Instant::now();
        let wanted = format!("\"event\":\"{event}\"");
        loop {
            let events = fs::read_to_string(self.work.path("events")).unwrap_or_default();
            if events.contains(&wanted) {
                return;
            }
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "no {event}: {events}"
            );
            std::thread::yield_now();
        }
    }

    /// The names of all that lies in the folder, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.work.root()).into_iter().flatten();
        let mut names: Vec<String> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// What the device has installed must be this image.
    #[track_caller]
    pub fn assert_installed(&self, name: &str) {
        let read = |name: &str| fs::read(self.work.path(name)).unwrap_or_default();
        let image = read(&format!("{name}.img"));
        assert!(
            !image.is_empty() && read("disk.img") == image,
            "the installed file is not the image"
        );
    }
}
