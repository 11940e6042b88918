//! The traps of serial lines and sockets that other tools fell into.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests stop at the first surprise"
)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nx_transport::{Moved, OpenOptions, Transport, TransportError, pty};

const SOON: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(30);

fn try_open(port: &str) -> Result<Box<dyn Transport>, TransportError> {
    nx_transport::open(&port.parse().unwrap(), &OpenOptions::default())
}

fn open(port: &str) -> Box<dyn Transport> {
    try_open(port).unwrap_or_else(|error| panic!("{port}: {error}"))
}

fn error(port: &str) -> TransportError {
    match try_open(port) {
        Ok(link) => panic!("{port} opened: {link:?}"),
        Err(error) => error,
    }
}

fn receive(link: &mut dyn Transport, count: usize) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < count {
        let mut inp = [0; 4096];
        let moved = link.exchange(&[], &mut inp, LONG).unwrap();
        assert!(!moved.is_nothing(), "{} of {count} bytes", read.len());
        read.extend_from_slice(&inp[..moved.received]);
    }
    read
}

fn closed(link: &mut dyn Transport) -> bool {
    link.exchange(&[], &mut [0; 8], LONG)
        .is_err_and(|error| error.is_closed())
}

#[test]
fn a_write_to_a_pty_that_nobody_reads_keeps_its_timeout() {
    let (_master, path) = pty::open().unwrap();
    let mut link = open(&format!("serial:{}", path.display()));
    let (start, big) = (Instant::now(), vec![7; 1 << 20]);
    let mut sent = 0;
    loop {
        let moved = link.exchange(&big[sent..], &mut [], SOON).unwrap();
        if moved.is_nothing() {
            break;
        }
        sent += moved.sent;
    }
    assert!(sent > 0 && sent < big.len(), "{sent}");
    assert!(start.elapsed() >= SOON && start.elapsed() < Duration::from_secs(20));
    let drained = link.drain(SOON);
    assert!(
        matches!(drained, Ok(()) | Err(TransportError::TimedOut { .. })),
        "{drained:?}"
    );
}

#[test]
fn the_last_bytes_before_a_pty_hangs_up_are_read() {
    let (mut master, path) = pty::open().unwrap();
    let mut link = open(&format!("serial:{}", path.display()));
    link.exchange(b"last words", &mut [], LONG).unwrap();
    drop(link);
    assert_eq!(receive(&mut master, 10), b"last words");
    assert!(closed(&mut master));
}

#[test]
fn a_master_that_goes_closes_the_line() {
    let (master, path) = pty::open().unwrap();
    let mut link = open(&format!("serial:{}", path.display()));
    drop(master);
    assert!(closed(&mut *link));
    assert!(closed(&mut *link));
    let start = Instant::now();
    assert!(
        link.exchange(b"x", &mut [], LONG)
            .is_err_and(|error| error.is_closed())
    );
    assert!(start.elapsed() < LONG);
}

#[test]
fn a_master_serves_one_visitor_after_another_and_keeps_nothing_for_the_next() {
    let (mut master, path) = pty::open().unwrap();
    let port = format!("serial:{}", path.display());
    for visit in [b"one", b"two"] {
        let mut link = open(&port);
        link.exchange(visit, &mut [], LONG).unwrap();
        assert_eq!(receive(&mut master, 3), visit);
        drop(link);
        assert!(closed(&mut master));
        // Nobody is there: nothing is taken, and the wait is a wait, not a spin.
        let start = Instant::now();
        assert_eq!(
            master.exchange(b"stale", &mut [0; 8], SOON).unwrap(),
            Moved::default()
        );
        assert!(start.elapsed() >= SOON);
    }
    let mut link = open(&port);
    assert!(link.exchange(&[], &mut [0; 8], SOON).unwrap().is_nothing());
}

#[test]
fn what_a_line_had_received_before_it_was_opened_is_discarded() {
    let (mut master, path) = pty::open().unwrap();
    master
        .exchange(b"of an old session", &mut [], LONG)
        .unwrap();
    let mut link = open(&format!("serial:{}", path.display()));
    master.exchange(b"new", &mut [], LONG).unwrap();
    assert_eq!(receive(&mut *link, 3), b"new");
}

#[test]
fn every_byte_value_passes_a_line_both_ways() {
    let (mut master, path) = pty::open().unwrap();
    let mut link = open(&format!("serial:{}", path.display()));
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(link.exchange(&all, &mut [], LONG).unwrap().sent, 256);
    assert_eq!(receive(&mut master, 256), all);
    assert_eq!(master.exchange(&all, &mut [], LONG).unwrap().sent, 256);
    assert_eq!(receive(&mut *link, 256), all);
}

#[test]
fn a_line_is_opened_by_one_only_and_says_by_whom() {
    let (_master, path) = pty::open().unwrap();
    let port = format!("serial:{}", path.display());
    let link = open(&port);
    let text = error(&port).to_string();
    assert!(text.contains("is in use by"), "{text}");
    assert!(
        text.contains(&format!("(process {})", std::process::id())),
        "{text}"
    );
    drop(link);
    open(&port);
}

#[test]
fn a_line_takes_any_speed_and_keeps_it() {
    let (_master, path) = pty::open().unwrap();
    let mut link = open(&format!("serial:{}?baud=123456", path.display()));
    assert_eq!(link.caps().rate_bytes_per_second, Some(12_345));
    assert_eq!(link.caps().baud, Some(123_456));
    link.set_baud(921_600).unwrap();
    assert_eq!(link.caps().baud, Some(921_600));
    assert!(matches!(
        link.set_baud(0),
        Err(TransportError::BaudRefused { want: 0, .. })
    ));
    assert_eq!(link.caps().baud, Some(921_600));
    assert_eq!(link.caps().rate_bytes_per_second, Some(92_160));
}

#[test]
fn what_is_no_serial_line_says_what_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, b"x").unwrap();
    let socket = directory.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    for (path, want) in [
        (directory.path(), "a directory"),
        (&file, "a file"),
        (&socket, "open it with `unix:`"),
        (
            Path::new("/dev/null"),
            "neither a serial line nor a virtio port",
        ),
        (Path::new("/nonexistent/tty"), "does not exist"),
        (&file.join("below"), "does not exist"),
    ] {
        let text = error(&format!("serial:{}", path.display())).to_string();
        assert!(text.contains(want), "{text}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"x");
}

fn socket_port(directory: &tempfile::TempDir) -> (String, String, std::path::PathBuf) {
    let path = directory.path().join("s");
    (
        format!("unix:{}?listen", path.display()),
        format!("unix:{}", path.display()),
        path,
    )
}

#[test]
fn no_peer_yet_is_silence_and_takes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (listen, _, _) = socket_port(&directory);
    let mut device = open(&listen);
    let start = Instant::now();
    assert_eq!(
        device.exchange(b"early", &mut [0; 8], SOON).unwrap(),
        Moved::default()
    );
    assert!(start.elapsed() >= SOON);
}

#[test]
fn a_second_client_is_turned_away_and_its_bytes_never_arrive() {
    let directory = tempfile::tempdir().unwrap();
    let (listen, connect, _) = socket_port(&directory);
    let mut device = open(&listen);
    let mut first = open(&connect);
    first.exchange(b"a", &mut [], LONG).unwrap();
    assert_eq!(receive(&mut *device, 1), b"a");
    let mut second = open(&connect);
    second.exchange(b"intruder", &mut [], LONG).unwrap();
    assert!(
        device
            .exchange(&[], &mut [0; 64], SOON)
            .unwrap()
            .is_nothing()
    );
    assert!(closed(&mut *second));
    first.exchange(b"b", &mut [], LONG).unwrap();
    assert_eq!(receive(&mut *device, 1), b"b");
}

#[test]
fn a_second_client_is_turned_away_however_busy_the_first_keeps_the_link() {
    let directory = tempfile::tempdir().unwrap();
    let (listen, connect, _) = socket_port(&directory);
    let mut device = open(&listen);
    let mut first = open(&connect);
    first.exchange(b"a", &mut [], LONG).unwrap();
    assert_eq!(receive(&mut *device, 1), b"a");
    let mut second = open(&connect);
    let start = Instant::now();
    loop {
        first.exchange(b"b", &mut [], LONG).unwrap();
        assert_eq!(receive(&mut *device, 1), b"b");
        match second.exchange(&[], &mut [0; 1], Duration::ZERO) {
            Ok(_) => assert!(start.elapsed() < LONG, "nobody looks at the door"),
            Err(error) => break assert!(error.is_closed(), "{error}"),
        }
    }
}

#[test]
fn a_client_that_came_and_went_while_another_was_served_leaves_no_trace() {
    let directory = tempfile::tempdir().unwrap();
    let (listen, connect, _) = socket_port(&directory);
    let mut device = open(&listen);
    let mut first = open(&connect);
    first.exchange(b"a", &mut [], LONG).unwrap();
    assert_eq!(receive(&mut *device, 1), b"a");
    let mut stale = open(&connect);
    stale.exchange(b"stale", &mut [], LONG).unwrap();
    drop(stale);
    assert!(
        device
            .exchange(&[], &mut [0; 64], SOON)
            .unwrap()
            .is_nothing()
    );
    drop(first);
    assert!(closed(&mut *device));
    let mut next = open(&connect);
    next.exchange(b"c", &mut [], LONG).unwrap();
    assert_eq!(receive(&mut *device, 1), b"c");
}

#[test]
fn a_peers_last_bytes_its_going_and_the_next_peer_come_apart() {
    let directory = tempfile::tempdir().unwrap();
    let (listen, connect, _) = socket_port(&directory);
    let mut device = open(&listen);
    let mut first = open(&connect);
    first.exchange(b"last", &mut [], LONG).unwrap();
    // The device has not looked yet, and the next one is at the door already.
    assert_eq!(receive(&mut *device, 1)[..1], b"l"[..]);
    first.exchange(b" words", &mut [], LONG).unwrap();
    drop(first);
    let mut second = open(&connect);
    second.exchange(b"new", &mut [], LONG).unwrap();
    let mut rest = Vec::new();
    while let Ok(moved) = {
        let mut inp = [0; 64];
        let moved = device.exchange(&[], &mut inp, LONG);
        rest.extend_from_slice(&inp[..moved.as_ref().map_or(0, |moved| moved.received)]);
        moved
    } {
        assert!(!moved.is_nothing());
    }
    assert_eq!(rest, b" words");
    assert_eq!(receive(&mut *device, 3), b"new");
}

#[test]
fn a_stale_socket_is_replaced_a_live_one_and_anything_else_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let (listen, connect, path) = socket_port(&directory);
    drop(UnixListener::bind(&path).unwrap());
    assert!(matches!(error(&connect), TransportError::Refused { .. }));
    let device = open(&listen);
    let text = error(&listen).to_string();
    assert!(
        text.contains("in use by a program that listens there"),
        "{text}"
    );
    drop(device);
    assert!(!path.exists());
    assert!(matches!(error(&connect), TransportError::NotFound { .. }));
    fs::write(&path, b"precious").unwrap();
    assert!(error(&listen).to_string().contains("a file, not a socket"));
    assert!(error(&connect).to_string().contains("a file, not a socket"));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[test]
fn a_socket_that_another_has_put_there_since_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (listen, _, path) = socket_port(&directory);
    let device = open(&listen);
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    drop(device);
    assert!(path.exists());
}

#[test]
fn a_socket_is_for_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let (listen, _, path) = socket_port(&directory);
    let _device = open(&listen);
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn a_path_too_long_for_a_socket_says_so() {
    let text = error(&format!("unix:/tmp/{}", "x".repeat(120))).to_string();
    assert!(text.contains("at most 107 bytes, this has 125"), "{text}");
    assert!(error("unix:").to_string().contains("missing"));
}

#[test]
fn what_a_killed_client_sent_last_is_read() {
    // A connection that is reset with bytes unread on both sides.
    let directory = tempfile::tempdir().unwrap();
    let (listen, _, path) = socket_port(&directory);
    let mut device = open(&listen);
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(b"done").unwrap();
    assert_eq!(device.exchange(b"unread", &mut [], LONG).unwrap().sent, 6);
    drop(client);
    assert_eq!(receive(&mut *device, 4), b"done");
    assert!(closed(&mut *device));
}

#[test]
fn nobody_at_a_tcp_port_is_refused_at_once() {
    let (listening, address) = nx_transport::tcp::listen_anywhere().unwrap();
    drop(listening);
    assert!(matches!(
        error(&format!("tcp:{address}")),
        TransportError::Refused { .. }
    ));
}

#[test]
fn last_bytes_arrive_though_the_closer_had_unread_ones() {
    let (mut listening, address) = nx_transport::tcp::listen_anywhere().unwrap();
    let mut client = open(&format!("tcp:{address}"));
    client.exchange(b"x", &mut [], LONG).unwrap();
    assert_eq!(receive(&mut *listening, 1), b"x");
    client.exchange(b"never read", &mut [], LONG).unwrap();
    // More than the peer's side holds, so that some has not left ours yet.
    let big: Vec<u8> = (0..=250).cycle().take(1 << 23).collect();
    let mut sent = 0;
    loop {
        match listening.exchange(&big[sent..], &mut [], SOON).unwrap() {
            moved if moved.is_nothing() => break,
            moved => sent += moved.sent,
        }
    }
    drop(listening);
    assert!(receive(&mut *client, sent) == big[..sent]);
    assert!(closed(&mut *client));
}

#[test]
fn a_tcp_port_in_use_says_so() {
    let (_listening, address) = nx_transport::tcp::listen_anywhere().unwrap();
    let text = error(&format!("tcp:{address}?listen")).to_string();
    assert!(text.contains("in use"), "{text}");
}

#[test]
fn a_cable_loses_what_nobody_is_there_for() {
    let cable = pty::Cable::plug().unwrap();
    let [near, far] = cable
        .paths()
        .map(|path| format!("serial:{}", path.display()));
    let (mut one, mut other) = (open(&near), open(&far));
    one.exchange(b"hello", &mut [], LONG).unwrap();
    assert_eq!(receive(&mut *other, 5), b"hello");
    drop(other);
    one.exchange(b"lost", &mut [], LONG).unwrap();
    one.drain(LONG).unwrap();
    let mut other = open(&far);
    one.exchange(b"heard", &mut [], LONG).unwrap();
    let mut read = receive(&mut *other, 5);
    while let Ok(moved) = {
        let mut inp = [0; 8];
        let moved = other.exchange(&[], &mut inp, SOON);
        read.extend_from_slice(&inp[..moved.as_ref().map_or(0, |moved| moved.received)]);
        moved
    } {
        if moved.is_nothing() {
            break;
        }
    }
    assert!(read.ends_with(b"heard"), "{read:?}");
}

#[test]
fn reading_and_writing_processes_see_plain_bytes_on_a_socket() {
    let directory = tempfile::tempdir().unwrap();
    let (listen, _, path) = socket_port(&directory);
    let mut device = open(&listen);
    let stranger = thread::spawn(move || {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.write_all(b"ping").unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).unwrap();
        answer
    });
    assert_eq!(receive(&mut *device, 4), b"ping");
    device.exchange(b"pong", &mut [], LONG).unwrap();
    assert_eq!(&stranger.join().unwrap(), b"pong");
}
