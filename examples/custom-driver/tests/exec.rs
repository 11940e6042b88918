//! The driver keeps the rules, and the `nx` built with it knows it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests stop at the first surprise"
)]

use std::process::Command;
use std::time::Duration;

use custom_driver as _;
use nx_transport::{OpenOptions, Transport, TransportError, conformance};

fn try_open(port: &str) -> Result<Box<dyn Transport>, TransportError> {
    nx_transport::open(&port.parse().unwrap(), &OpenOptions::default())
}

fn open(port: &str) -> Box<dyn Transport> {
    try_open(port).unwrap_or_else(|error| panic!("{port}: {error}"))
}

#[test]
fn exec_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let mut number = 0_u32;
    let report = conformance::check(|| {
        number = number.wrapping_add(1);
        let socket = format!("unix:{}/{number}", directory.path().display());
        let listening = open(&format!("{socket}?listen"));
        let program = env!("CARGO_BIN_EXE_stdio-to-port");
        (open(&format!("exec:{program} {socket}")), listening)
    });
    assert_eq!(report.skipped().count(), 0);
}

#[test]
fn a_program_answers_on_its_standard_output() {
    let mut link = open("exec:/bin/cat");
    link.exchange(b"echo", &mut [], Duration::from_secs(10))
        .unwrap();
    let mut inp = [0; 16];
    let moved = link
        .exchange(&[], &mut inp, Duration::from_secs(10))
        .unwrap();
    assert_eq!(inp.get(..moved.received), Some(b"echo".as_slice()));
}

#[test]
fn a_program_that_ends_closes_the_link_after_its_last_bytes() {
    let mut link = open("exec:/bin/echo $HOME `id`");
    let (mut read, mut inp) = (Vec::<u8>::new(), [0; 16]);
    let closed = loop {
        match link.exchange(&[], &mut inp, Duration::from_secs(10)) {
            Ok(moved) => read.extend(inp.iter().take(moved.received)),
            Err(error) => break error,
        }
    };
    assert!(closed.is_closed());
    // No shell has seen it.
    assert_eq!(read, b"$HOME `id`\n");
}

#[test]
fn no_program_is_a_clear_error() {
    assert!(matches!(
        try_open("exec:"),
        Err(TransportError::BadSpec { .. })
    ));
    assert!(matches!(
        try_open("exec:/nonexistent"),
        Err(TransportError::NotFound { .. })
    ));
    assert!(matches!(
        try_open("exec:cat?no=1"),
        Err(TransportError::UnknownKey { .. })
    ));
}

#[test]
fn the_nx_built_with_it_lists_it() {
    let listed = Command::new(env!("CARGO_BIN_EXE_nx-with-exec"))
        .args(["flash", "ports"])
        .output()
        .unwrap();
    assert!(listed.status.success(), "{listed:?}");
    let text = String::from_utf8(listed.stdout).unwrap();
    assert!(text.contains("exec:PROGRAM"), "{text}");
    assert!(text.contains("loopback:NAME"), "{text}");
}
