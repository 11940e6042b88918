#![allow(
    clippy::arithmetic_side_effects,
    reason = "a test that overflows fails, as it should"
)]

use std::thread;

use super::*;
use crate::{VirtualClock, loopback};

const MINUTE: Duration = Duration::from_secs(60);

/// Sends `count` bytes through a slow end and returns when the last has arrived.
fn arrival(slowness: Slowness, count: usize, other_way: bool) -> Duration {
    let (near, far) = loopback::pair(&VirtualClock::new(), "near", "far");
    let slow: Box<dyn Transport> = Box::new(Slow::new(near, slowness));
    let far: Box<dyn Transport> = Box::new(far);
    let (mut from, mut to) = if other_way { (far, slow) } else { (slow, far) };
    let sender = thread::spawn(move || {
        let mut left = count;
        while left > 0 {
            left -= from.exchange(&vec![7; left], &mut [], MINUTE).unwrap().sent;
        }
        from.drain(MINUTE).unwrap();
    });
    let receiver = thread::spawn(move || {
        let mut left = count;
        while left > 0 {
            left -= to
                .exchange(&[], &mut vec![0; left], MINUTE)
                .unwrap()
                .received;
        }
        to.clock().now()
    });
    sender.join().unwrap();
    receiver.join().unwrap()
}

#[test]
fn a_rate_sets_the_time_that_bytes_take() {
    for other_way in [false, true] {
        let slowness = Slowness {
            bytes_per_second: Some(11_520),
            latency: Duration::ZERO,
        };
        let took = arrival(slowness, 115_200, other_way);
        assert!(
            took.abs_diff(Duration::from_secs(10)) < Duration::from_millis(5),
            "{took:?}"
        );
    }
}

#[test]
fn latency_delays_without_slowing() {
    for other_way in [false, true] {
        let slowness = Slowness {
            bytes_per_second: None,
            latency: Duration::from_millis(20),
        };
        let took = arrival(slowness, 10_000, other_way);
        assert!(
            took.abs_diff(Duration::from_millis(20)) < Duration::from_millis(1),
            "{took:?}"
        );
        let both = Slowness {
            bytes_per_second: Some(10_000),
            latency: Duration::from_millis(20),
        };
        let took = arrival(both, 10_000, other_way);
        assert!(
            took.abs_diff(Duration::from_millis(1020)) < Duration::from_millis(5),
            "{took:?}"
        );
    }
}

#[test]
fn a_call_keeps_to_its_timeout() {
    let (near, far) = loopback::pair(&VirtualClock::new(), "near", "far");
    far.use_here();
    let slowness = Slowness {
        bytes_per_second: Some(1),
        latency: MINUTE,
    };
    let mut slow = Slow::new(near, slowness);
    let timeout = Duration::from_millis(100);
    let start = slow.clock().now();
    while !slow
        .exchange(&[1; 9000], &mut [0; 1], timeout)
        .unwrap()
        .is_nothing()
    {}
    let took = slow.clock().now() - start;
    assert!(
        took.abs_diff(timeout) < Duration::from_millis(1),
        "{took:?}"
    );
    assert!(matches!(
        slow.drain(timeout),
        Err(TransportError::TimedOut { .. })
    ));
}

#[test]
fn the_rate_only_narrows() {
    let (near, _far) = loopback::pair(&VirtualClock::new(), "near", "far");
    let at = |rate| Slowness {
        bytes_per_second: Some(rate),
        latency: Duration::ZERO,
    };
    let slow = Slow::new(Slow::new(near, at(100)), at(500));
    assert_eq!(slow.caps().rate_bytes_per_second, Some(100));
}

#[test]
fn what_was_under_way_when_the_peer_left_still_arrives() {
    let (near, mut far) = loopback::pair(&VirtualClock::new(), "near", "far");
    near.use_here();
    let slowness = Slowness {
        bytes_per_second: Some(1000),
        // Longer than the line is busy, so that nothing else is left to wait for.
        latency: Duration::from_secs(10),
    };
    let mut slow = Slow::new(near, slowness);
    far.exchange(b"last words", &mut [], MINUTE).unwrap();
    drop(far);
    let (mut read, mut inp) = (Vec::new(), [0; 16]);
    let closed = loop {
        // Something to send all the time, which nobody takes.
        match slow.exchange(&[1; 9000], &mut inp, MINUTE) {
            Ok(moved) => read.extend_from_slice(&inp[..moved.received]),
            Err(error) => break error,
        }
    };
    assert!(closed.is_closed());
    assert_eq!(read, b"last words");
    let took = slow.clock().now();
    assert!(
        took >= Duration::from_millis(10_010) && took < MINUTE,
        "{took:?}"
    );
}
