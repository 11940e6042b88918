//! The same fault ends `nx` and `flashd` with the same exit code.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::process::Command;

use processes::{Bench, flashd_path, nx};
use rstest::rstest;
use rustix::fs::{Mode, mkfifoat};

fn set(args: &mut Vec<String>, flag: &str, value: &str) {
    match args.iter().position(|arg| arg == flag) {
        Some(at) => args[at + 1] = value.to_owned(),
        None => args.extend([flag.to_owned(), value.to_owned()]),
    }
}

/// How `flashd` ends with these arguments instead of its usual ones.
fn flashd(bench: &Bench, flag: &str, value: &str) -> (i32, String) {
    let mut args = bench.flashd_args();
    set(&mut args, flag, value);
    let output = Command::new(flashd_path()).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), said)
}

/// How `nx flash send` ends with them.
fn send(bench: &Bench, flag: &str, value: &str) -> (i32, String) {
    // The device in this process answers, unless the port is what is wrong.
    let mut args = bench.send_args("os", "loopback:x");
    args.extend(["--pub".to_owned(), bench.path("dev.pub")]);
    set(&mut args, flag, value);
    let ran = nx(args);
    (ran.code, ran.stdout)
}

#[rstest]
#[case("--pub", "missing", 4)]
#[case("--pub", "file/below", 4)]
#[case("--pub", "folder", 3)]
#[case("--pub", "pipe", 3)]
#[case("--pub", "file", 3)]
#[case("--pub", "dev.key", 3)]
#[case("--capture", "file", 3)]
#[case("--capture", "folder", 3)]
#[case("--capture", "missing/capture", 4)]
#[case("--capture", "file/below", 4)]
#[case("--port", "unx:SOCKET", 2)]
#[case("--port", "unix:SOCKET?lisen", 2)]
#[case("--port", "unix:SOCKET?listen=7", 2)]
#[case("--port", "tcp:192.0.2.1:7000", 2)]
#[case("--port", "/dev/null", 3)]
#[case("--port", "serial:/dev/missing", 4)]
#[case("--port", "unix:missing", 4)]
#[case("--port", "replay:folder", 3)]
#[case("--port", "replay:file", 3)]
fn a_fault_ends_both_alike(#[case] flag: &str, #[case] value: &str, #[case] code: i32) {
    let bench = Bench::new();
    bench.image("os", 100_000, 1);
    fs::write(bench.path("file"), "something else").unwrap();
    fs::create_dir(bench.path("folder")).unwrap();
    let pipe = bench.path("pipe");
    mkfifoat(rustix::fs::CWD, pipe.as_str(), Mode::RUSR | Mode::WUSR).unwrap();
    let value = match value.split_once(':') {
        Some((scheme, rest)) if ["unix", "replay"].contains(&scheme) => {
            format!("{scheme}:{}", bench.path(rest))
        }
        None if !value.starts_with('/') => bench.path(value),
        _ => value.to_owned(),
    };
    let (flashd, nx) = (flashd(&bench, flag, &value), send(&bench, flag, &value));
    assert_eq!(nx.0, code, "nx: {}", nx.1);
    assert_eq!(flashd.0, code, "flashd: {}", flashd.1);
}
