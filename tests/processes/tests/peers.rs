//! Who answers on the line is no `flashd`, or one of another age.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

use processes::{Bench, Ran, nx};

/// What `nx` is told to wait, in seconds.
const PATIENCE_SECONDS: u64 = 2;

/// `nx flash info` with someone on the other side of the socket, and how long it took.
fn ask(peer: impl Fn(UnixStream) + Send + 'static) -> (Ran, Duration) {
    ask_as(peer, &["--json"])
}

fn ask_as(peer: impl Fn(UnixStream) + Send + 'static, more: &[&str]) -> (Ran, Duration) {
    let work = processes::Workdir::new();
    let path = work.path("s");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || peer(listener.accept().unwrap().0));
    let port = format!("unix:{}", path.display());
    let seconds = PATIENCE_SECONDS.to_string();
    let args = [
        "flash",
        "info",
        "--port",
        &port,
        "--give-up-after",
        &seconds,
    ];
    let started = Instant::now();
    let ran = nx(more.iter().chain(&args));
    (ran, started.elapsed())
}

/// Reads and forgets whatever comes, until the other side goes.
fn listen(mut stream: UnixStream) {
    let mut bytes = [0; 4096];
    while stream.read(&mut bytes).is_ok_and(|count| count > 0) {}
}

#[track_caller]
fn assert_given_up((ran, took): &(Ran, Duration), reason: &str, words: &[&str]) {
    let json = ran.json();
    assert_eq!(ran.code, 5, "{json:#}");
    assert_eq!(json["data"]["reason"], reason, "{json:#}");
    let message = json["message"].as_str().unwrap();
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
    assert!(json["data"]["hint"].as_str().unwrap().contains("flashd"));
    // Not before its time, nor long after, on however busy a machine.
    assert!(took.as_secs() >= PATIENCE_SECONDS, "after {took:?}");
    assert!(took.as_secs() < PATIENCE_SECONDS + 28, "after {took:?}");
}

#[test]
fn a_peer_that_is_silent_is_given_up() {
    assert_given_up(&ask(listen), "device.silent", &["nothing answered", "2 s"]);
}

#[test]
fn a_login_prompt_is_no_flashd_and_is_shown() {
    let login = |mut stream: UnixStream| {
        stream
            .write_all(b"\r\nDebian 13 board ttyS0\r\n\r\nboard login: ")
            .unwrap();
        let mut bytes = [0; 256];
        // It echoes, as a terminal does, and asks again.
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            let answer = [&bytes[..count], b"\r\nPassword: "].concat();
            let _ = stream.write_all(&answer);
        }
    };
    assert_given_up(
        &ask(login),
        "device.not_flashd",
        &["something else is on the line"],
    );
    let (ran, _) = ask_as(login, &[]);
    assert_eq!(ran.code, 5);
    assert!(
        ran.stderr.contains("device: Debian 13 board ttyS0\n"),
        "{ran:#?}"
    );
}

#[test]
fn garbage_without_end_is_no_flashd() {
    let garbage = |mut stream: UnixStream| {
        let mut state = 1_u64;
        let mut noise = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        loop {
            let bytes: Vec<u8> = (0..512).flat_map(|_| noise()).collect();
            if stream.write_all(&bytes).is_err() {
                return;
            }
        }
    };
    assert_given_up(
        &ask(garbage),
        "device.not_flashd",
        &["something else is on the line"],
    );
}

#[test]
fn a_peer_that_goes_at_once_is_said_to_be_gone() {
    let (ran, _) = ask(drop);
    let json = ran.json();
    assert_eq!(ran.code, 5, "{json:#}");
    assert_eq!(json["data"]["reason"], "port.closed", "{json:#}");
}

/// The CRC of a frame's header: `docs/provisioning/protocol.md`, "Frames".
fn header_check(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 {
                shifted
            } else {
                shifted ^ 0x1021
            }
        })
    })
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            let shifted = crc >> 1;
            if crc & 1 == 0 {
                shifted
            } else {
                shifted ^ 0xedb8_8320
            }
        })
    })
}

fn frame(layout: u8, kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x9e, 0x4e, layout, kind];
    bytes.extend([0; 8]);
    bytes.extend(u16::try_from(payload.len()).unwrap().to_le_bytes());
    bytes.extend(header_check(&bytes).to_le_bytes());
    bytes.extend(payload);
    bytes.extend(crc32(&bytes).to_le_bytes());
    bytes
}

/// Of the first `Hello`: 16 bytes of header, two of versions, then the nonce.
fn nonce_of_hello(stream: &mut UnixStream) -> [u8; 8] {
    let mut hello = [0; 26];
    stream.read_exact(&mut hello).unwrap();
    assert_eq!(hello[..4], [0x9e, 0x4e, 1, 1]);
    hello[18..].try_into().unwrap()
}

#[track_caller]
fn assert_other_version((ran, _): &(Ran, Duration), words: &str) {
    let json = ran.json();
    assert_eq!(ran.code, 6, "{json:#}");
    assert_eq!(json["data"]["reason"], "device.version", "{json:#}");
    let message = json["message"].as_str().unwrap();
    assert!(message.contains(words), "{message}");
}

#[test]
fn a_device_that_speaks_other_versions_says_which() {
    let refuses = |mut stream: UnixStream| {
        let nonce = nonce_of_hello(&mut stream);
        let refusal = [&1_u16.to_le_bytes()[..], &nonce, &[0; 4], &[4, 7]].concat();
        stream.write_all(&frame(1, 3, &refusal)).unwrap();
        listen(stream);
    };
    assert_other_version(&ask(refuses), "versions 4 to 7");
}

#[test]
fn a_device_with_other_frames_is_no_stranger() {
    let answers = |mut stream: UnixStream| {
        nonce_of_hello(&mut stream);
        stream
            .write_all(&frame(2, 2, b"what comes here is for it to know"))
            .unwrap();
        listen(stream);
    };
    assert_other_version(&ask(answers), "versions 2 to 2");
}

#[test]
fn a_flashd_survives_garbage_and_a_host_of_another_version() {
    let bench = Bench::new();
    bench.image("os", 300_000, 1);
    let _flashd = bench.flashd();
    let mut garbage = UnixStream::connect(bench.work().path("s")).unwrap();
    garbage
        .write_all(&[0x9e, 0x4e, 1, 1, 7].repeat(20_000))
        .unwrap();
    drop(garbage);
    let mut host = UnixStream::connect(bench.work().path("s")).unwrap();
    let hello = [&[8, 9][..], b"my nonce", &[0; 4], b"\x03new"].concat();
    host.write_all(&frame(1, 1, &hello)).unwrap();
    let mut answer = [0; 36];
    host.read_exact(&mut answer).unwrap();
    // `Refuse`: `Version`, the nonce, no session, and what it speaks.
    assert_eq!(answer[..4], [0x9e, 0x4e, 1, 3]);
    assert_eq!(answer[16..32], *b"\x01\0my nonce\0\0\0\0\x01\x01");
    drop(host);
    bench.send("os", &[]).ok();
    bench.assert_installed("os");
}
