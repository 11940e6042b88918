//! What is no regular file is refused at once where one is expected: nothing is waited for.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::os::unix::net::UnixListener;
use std::process::Command;

use processes::{Bench, Nx, flashd_path};
use rstest::rstest;
use rustix::fs::{CWD, FileType, Mode, mknodat};

/// What lies where a file should: its name, and how it is made.
#[derive(Clone, Copy, Debug)]
enum Odd {
    /// Opening one blocks until somebody writes to it.
    Fifo,
    /// Never ends.
    Device,
    Folder,
    Socket,
}

impl Odd {
    fn make(self, bench: &Bench) -> String {
        let path = bench.work().path("odd");
        match self {
            Self::Fifo => {
                let mode = Mode::RUSR | Mode::WUSR;
                mknodat(CWD, &path, FileType::Fifo, mode, 0).unwrap();
            }
            Self::Device => return "/dev/zero".to_owned(),
            Self::Folder => fs::create_dir(&path).unwrap(),
            Self::Socket => drop(UnixListener::bind(&path).unwrap()),
        }
        bench.path("odd")
    }
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.image("os", 300_000, 1);
    bench
}

/// The command line, with what is odd in place of the value behind `flag`.
fn with(args: &[String], flag: &str, odd: &str) -> Vec<String> {
    let mut args = args.to_vec();
    let at = args.iter().position(|arg| arg == flag).unwrap();
    let value = args.get_mut(at.saturating_add(1)).unwrap();
    odd.clone_into(value);
    args
}

#[track_caller]
fn assert_refused(args: Vec<String>, odd: &str) {
    let ran = Nx::start(&args).wait();
    let json = ran.json();
    assert_eq!(ran.code, 3, "{args:?}: {json:#}");
    let message = json["message"].as_str().unwrap();
    assert!(message.contains(odd), "{message}");
}

fn texts(args: &[&str]) -> Vec<String> {
    args.iter().map(ToString::to_string).collect()
}

#[rstest]
fn by_nx_flash_send(
    #[values("--img", "--manifest", "--sig", "--pub")] flag: &str,
    #[values(Odd::Fifo, Odd::Device, Odd::Folder, Odd::Socket)] odd: Odd,
) {
    let bench = bench();
    let mut args = bench.send_args("os", "unix:/nobody/is/here");
    args.extend(["--pub".to_owned(), bench.path("dev.pub")]);
    let odd = odd.make(&bench);
    assert_refused(with(&args, flag, &odd), &odd);
}

#[rstest]
fn by_nx_image_verify(
    #[values("--img", "--manifest", "--sig", "--pub")] flag: &str,
    #[values(Odd::Fifo, Odd::Device, Odd::Folder, Odd::Socket)] odd: Odd,
) {
    let bench = bench();
    let (image, manifest, signature, key) = (
        bench.path("os.img"),
        bench.path("os.json"),
        bench.path("os.sig"),
        bench.path("dev.pub"),
    );
    let args = texts(&[
        "--json",
        "image",
        "verify",
        "--img",
        &image,
        "--manifest",
        &manifest,
        "--sig",
        &signature,
        "--pub",
        &key,
    ]);
    let odd = odd.make(&bench);
    assert_refused(with(&args, flag, &odd), &odd);
}

#[rstest]
fn by_nx_image_build(
    #[values("--pkgfs", "--kernel", "--sign")] flag: &str,
    #[values(Odd::Fifo, Odd::Device, Odd::Folder, Odd::Socket)] odd: Odd,
) {
    let bench = bench();
    let (part, image, manifest, key) = (
        bench.path("os.pkgfs"),
        bench.path("new.img"),
        bench.path("new.json"),
        bench.path("dev.key"),
    );
    let args = texts(&[
        "--json",
        "image",
        "build",
        "--profile",
        "dev",
        "--pkgfs",
        &part,
        "--kernel",
        &part,
        "--out",
        &image,
        "--manifest",
        &manifest,
        "--sign",
        &key,
    ]);
    let odd = odd.make(&bench);
    assert_refused(with(&args, flag, &odd), &odd);
    assert!(!bench.work().path("new.img").exists());
}

#[rstest]
fn by_nx_flash_replay(#[values(Odd::Fifo, Odd::Device, Odd::Folder, Odd::Socket)] odd: Odd) {
    let bench = Bench::new();
    let odd = odd.make(&bench);
    assert_refused(texts(&["--json", "flash", "replay", &odd]), &odd);
}

#[rstest]
fn by_flashd(
    #[values("--target", "--pub")] flag: &str,
    #[values(Odd::Fifo, Odd::Device, Odd::Folder, Odd::Socket)] odd: Odd,
) {
    let bench = Bench::new();
    let odd = odd.make(&bench);
    let args = with(&bench.flashd_args(), flag, &odd);
    let output = Command::new(flashd_path()).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&odd), "{said}");
}

#[test]
fn by_flashd_among_its_anchors() {
    let bench = Bench::new();
    fs::create_dir(bench.work().path("anchors")).unwrap();
    let fifo = bench.work().path("anchors/odd.pub");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let args = with(&bench.flashd_args(), "--pub", &bench.path("dev.pub"));
    let output = Command::new(flashd_path())
        .args(args)
        .args(["--anchors", &bench.path("anchors")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("odd.pub"), "{said}");
}
