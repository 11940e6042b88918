//! `nx flash send --wait`: devices that come and go.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use processes::{Bench, Flashd, Nx, nx_path};
use rustix::process::Signal;

const IMAGE_BYTES: usize = 2 << 20;
/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn device(bench: &Bench, name: &str) -> Flashd {
    let mut args = bench.flashd_args();
    for (flag, file) in [
        ("--target", format!("{name}.disk")),
        ("--journal", format!("{name}.journal")),
    ] {
        let at = args.iter().position(|arg| arg == flag).unwrap();
        args[at + 1] = bench.path(&file);
    }
    args[1] = format!("unix:{}?listen", bench.path(&format!("{name}.sock")));
    Flashd::start(args)
}

fn args(bench: &Bench, more: &[&str]) -> Vec<String> {
    let mut args = bench.send_args("os", &format!("unix:{}", bench.path("*.sock")));
    args.push("--wait".to_owned());
    args.extend(more.iter().map(ToString::to_string));
    args
}

/// A waiting `nx` whose notes are read as they come.
struct Waiting {
    child: Child,
    notes: Receiver<String>,
    seen: Vec<String>,
}

impl Waiting {
    fn start(bench: &Bench, more: &[&str]) -> Self {
        let mut child = Command::new(nx_path())
            .args(args(bench, more).iter().filter(|arg| *arg != "--json"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, notes) = channel();
        let stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self {
            child,
            notes,
            seen: Vec::new(),
        }
    }

    /// Waits for the next note that has this in it.
    #[track_caller]
    fn wait_for(&mut self, what: &str) {
        let started = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(started.elapsed());
            let note = self.notes.recv_timeout(left);
            let note = note.unwrap_or_else(|_| panic!("never said `{what}`: {:#?}", self.seen));
            let found = note.contains(what);
            self.seen.push(note);
            if found {
                return;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Its exit code, and all that it said.
    fn wait(mut self) -> (i32, Vec<String>) {
        let code = self.child.wait().unwrap().code();
        self.seen.extend(self.notes.iter());
        (code.unwrap_or(128), std::mem::take(&mut self.seen))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn assert_installed(bench: &Bench, name: &str) {
    let image = fs::read(bench.work().path("os.img")).unwrap();
    let disk = fs::read(bench.work().path(&format!("{name}.disk"))).unwrap_or_default();
    assert!(disk == image, "{name} does not have the image");
}

#[test]
fn devices_that_come_later_are_taken_each_once() {
    let bench = Bench::new();
    bench.image("os", IMAGE_BYTES, 1);
    let mut waiting = Waiting::start(&bench, &["--wait-for", "3"]);
    waiting.wait_for("waiting for devices at ");
    let first = device(&bench, "a");
    waiting.wait_for("a.sock: installed and read back");
    assert_installed(&bench, "a");
    // The first stays where it is, and is not written again while the second is.
    let _second = device(&bench, "b");
    waiting.wait_for("b.sock: installed and read back");
    assert_installed(&bench, "b");
    // Another device comes to where the first was.
    first.kill();
    fs::remove_file(bench.work().path("a.disk")).unwrap();
    let _third = device(&bench, "a");
    let (code, seen) = waiting.wait();
    assert_eq!(code, 0, "{seen:#?}");
    assert_installed(&bench, "a");
    let done = |name: &str| {
        let line = format!("{name}.sock: installed and read back");
        seen.iter().filter(|note| note.contains(&line)).count()
    };
    assert_eq!((done("a"), done("b")), (2, 1), "{seen:#?}");
}

#[test]
fn a_socket_that_nobody_serves_is_waited_for_and_said_to_be_that_once() {
    let bench = Bench::new();
    bench.image("os", IMAGE_BYTES, 2);
    // It leaves its socket behind.
    device(&bench, "a").kill();
    let mut waiting = Waiting::start(&bench, &["--wait-for", "1"]);
    waiting.wait_for("a.sock: no device yet: nobody answers");
    let _flashd = device(&bench, "a");
    let (code, seen) = waiting.wait();
    assert_eq!(code, 0, "{seen:#?}");
    let complaints = seen.iter().filter(|note| note.contains("no device yet"));
    assert_eq!(complaints.count(), 1, "{seen:#?}");
    assert_installed(&bench, "a");
}

#[test]
fn a_device_that_refuses_is_done_and_the_next_is_taken() {
    let bench = Bench::new();
    bench.key("other");
    bench.image("os", IMAGE_BYTES, 3);
    bench.build("strange", IMAGE_BYTES, 3, &["--table", "none"], "other.key");
    let _flashd = device(&bench, "a");
    let mut args = bench.send_args("strange", &format!("unix:{}", bench.path("*.sock")));
    args.extend(["--wait", "--wait-for", "1"].map(str::to_owned));
    let ran = Nx::start(args).wait();
    assert_eq!(ran.code, 3, "{ran:#?}");
    let json = ran.json();
    assert_eq!(json["data"]["reason"], "device.signature", "{json:#}");
    assert_eq!(json["data"]["devices"][0]["reason"], "device.signature");
}

#[test]
fn ctrl_c_is_how_a_wait_ends() {
    let bench = Bench::new();
    bench.image("os", IMAGE_BYTES, 4);
    let mut waiting = Waiting::start(&bench, &[]);
    waiting.wait_for("waiting for devices at ");
    waiting.signal(Signal::INT);
    let (code, seen) = waiting.wait();
    assert_eq!(code, 7, "{seen:#?}");
    assert_eq!(seen.last().unwrap(), "nx: interrupted before a device came");

    let _flashd = device(&bench, "a");
    let mut waiting = Waiting::start(&bench, &[]);
    waiting.wait_for("a.sock: installed and read back");
    waiting.signal(Signal::INT);
    let (code, seen) = waiting.wait();
    assert_eq!(code, 0, "{seen:#?}");
}
