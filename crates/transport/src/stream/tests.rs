use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use super::*;

fn stream() -> (Stream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (
        Stream::over("unix:test", ours.into(), Caps::new()).unwrap(),
        theirs,
    )
}

#[test]
fn a_peer_that_does_not_read_cannot_hold_a_call_past_its_time() {
    let (mut stream, _theirs) = stream();
    let start = Instant::now();
    let mut sent = 0;
    let big = vec![1; 1 << 20];
    loop {
        let moved = stream
            .exchange(&big, &mut [], Duration::from_millis(50))
            .unwrap();
        if moved.is_nothing() {
            break;
        }
        sent += moved.sent;
    }
    assert!(sent > 0);
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn last_bytes_are_read_before_closed_even_while_sending_fails() {
    let (mut stream, mut theirs) = stream();
    theirs.write_all(b"last words").unwrap();
    drop(theirs);
    let mut inp = [0; 4];
    let mut read = Vec::new();
    let closed = loop {
        match stream.exchange(b"x", &mut inp, Duration::from_secs(5)) {
            Ok(moved) => read.extend_from_slice(&inp[..moved.received]),
            Err(error) => break error,
        }
    };
    assert_eq!(read, b"last words");
    assert!(closed.is_closed());
}

#[test]
fn sending_without_reading_ends_only_when_nothing_is_left_to_read() {
    let (mut stream, mut theirs) = stream();
    theirs.write_all(b"unread").unwrap();
    drop(theirs);
    let short = Duration::from_millis(20);
    assert!(stream.exchange(b"x", &mut [], short).unwrap().is_nothing());
    assert_eq!(
        stream.exchange(b"x", &mut [0; 9], short).unwrap().received,
        6
    );
    assert!(
        stream
            .exchange(b"x", &mut [], Duration::from_secs(5))
            .unwrap_err()
            .is_closed()
    );
}

#[test]
fn a_peer_that_hears_nothing_any_more_is_gone_once_it_is_read() {
    let (mut stream, mut theirs) = stream();
    theirs.write_all(b"last").unwrap();
    theirs.shutdown(std::net::Shutdown::Read).unwrap();
    let long = Duration::from_secs(30);
    let mut inp = [0; 9];
    assert_eq!(stream.exchange(b"x", &mut inp, long).unwrap().received, 4);
    let start = Instant::now();
    let closed = stream.exchange(b"x", &mut inp, long).unwrap_err();
    assert!(closed.is_closed(), "{closed:?}");
    assert!(start.elapsed() < long);
}

#[test]
fn two_descriptors_make_one_link() {
    let (input, mut theirs) = UnixStream::pair().unwrap();
    let (read_end, write_end) = rustix::pipe::pipe().unwrap();
    let mut stream = Stream::over_two("pipe:test", input.into(), write_end, Caps::new()).unwrap();
    theirs.write_all(b"in").unwrap();
    let mut inp = [0; 8];
    let moved = stream
        .exchange(b"out", &mut inp, Duration::from_secs(5))
        .unwrap();
    assert_eq!(
        moved,
        Moved {
            sent: 3,
            received: 2
        }
    );
    let mut out = [0; 8];
    assert_eq!(rustix::io::read(&read_end, &mut out), Ok(3));
}
