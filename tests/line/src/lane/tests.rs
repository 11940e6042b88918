#![allow(
    clippy::arithmetic_side_effects,
    reason = "a test stops at the first surprise"
)]

use super::*;
use crate::Pace;

const BAUD: u32 = 921_600;
const RATE: u32 = 92_160;

fn conditions() -> Conditions {
    Conditions {
        pace: Pace::Fixed(RATE),
        baud: BAUD,
        ..Conditions::default()
    }
}

/// Sends `bytes` from a source that is never empty before its end; the caller comes whenever it
/// is told to and `late` after that. Returns what came out, and when the last byte did.
fn pump(lane: &mut Lane, bytes: &[u8], late: Duration) -> (Vec<u8>, Duration) {
    let (mut source, mut out) = (bytes, Vec::new());
    let mut now = Duration::from_secs(5);
    let started = now;
    let mut last = now;
    loop {
        let (front, rest) = source.split_at(lane.room(now).min(source.len()));
        lane.put(front, now);
        source = rest;
        lane.advance(now);
        lane.arrive(BAUD, now);
        while !lane.inbox().is_empty() {
            last = now;
            let count = lane.inbox().len();
            out.extend_from_slice(lane.inbox());
            lane.taken(count);
        }
        match lane.next_change() {
            Some(at) => now = now.max(at) + late,
            None => return (out, last - started),
        }
    }
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i * 31 % 251) as u8).collect()
}

#[test]
fn bytes_pass_unchanged_at_the_rate_to_the_byte() {
    for rate in [960, RATE, 300_000] {
        let conditions = Conditions {
            pace: Pace::Fixed(rate),
            ..conditions()
        };
        let sent = bytes(100_000);
        let mut lane = Lane::new(&conditions, 0);
        let (out, took) = pump(&mut lane, &sent, Duration::ZERO);
        assert!(out == sent);
        assert_eq!(took, time_of(100_000, rate));
        assert_eq!(lane.tally().busy, took);
        assert_eq!(lane.tally().carried, 100_000);
    }
}

#[test]
fn a_caller_that_comes_late_costs_the_line_nothing() {
    let sent = bytes(100_000);
    let late = Duration::from_millis(7);
    let (out, took) = pump(&mut Lane::new(&conditions(), 0), &sent, late);
    assert!(out == sent);
    assert!(
        took < time_of(100_000, RATE) + Duration::from_millis(16),
        "{took:?}"
    );
}

#[test]
fn latency_delays_every_byte_and_slows_none() {
    let conditions = Conditions {
        latency: Duration::from_millis(50),
        ..conditions()
    };
    let (out, took) = pump(
        &mut Lane::new(&conditions, 0),
        &bytes(10_000),
        Duration::ZERO,
    );
    assert_eq!(out.len(), 10_000);
    assert_eq!(took, time_of(10_000, RATE) + Duration::from_millis(50));
}

#[test]
fn no_byte_arrives_before_its_last_bit() {
    let mut lane = Lane::new(&conditions(), 0);
    let ten = time_of(10, RATE);
    lane.put(&[7; 10], Duration::ZERO);
    assert_eq!(lane.next_change(), Some(ten));
    let early = ten - Duration::from_nanos(1);
    lane.advance(early);
    lane.arrive(BAUD, early);
    assert_eq!(lane.inbox().len(), 9);
    lane.advance(ten);
    lane.arrive(BAUD, ten);
    assert_eq!(lane.inbox(), [7; 10]);
    assert!(lane.is_silent());
}

#[test]
fn the_fifo_bounds_what_is_read_ahead_of_the_line() {
    let mut lane = Lane::new(&conditions(), 0);
    assert_eq!(lane.room(Duration::ZERO), 512);
    lane.put(&[0; 512], Duration::ZERO);
    assert_eq!(lane.room(Duration::ZERO), 0);
    assert_eq!(lane.room(time_of(100, RATE)), 100);
}

#[test]
fn silence_is_not_saved_up() {
    let mut lane = Lane::new(&conditions(), 0);
    let hour = Duration::from_secs(3600);
    lane.put(&[0; 10], Duration::ZERO);
    lane.advance(hour);
    lane.put(&[0; 10], hour);
    lane.advance(hour);
    assert_eq!(lane.tally().carried, 10);
    lane.advance(hour + time_of(10, RATE));
    assert_eq!(lane.tally().carried, 20);
}

#[test]
fn what_nobody_reads_is_lost_at_its_bound() {
    let mut lane = Lane::new(&conditions(), 0);
    let mut now = Duration::ZERO;
    let total = INBOX_BYTES_MAX + 1000;
    let mut left = total;
    while left > 0 || !lane.is_silent() {
        let count = lane.room(now).min(left);
        lane.put(&vec![1; count], now);
        left -= count;
        lane.advance(now);
        lane.arrive(BAUD, now);
        now = lane.next_change().map_or(now, |at| at.max(now));
    }
    lane.arrive(BAUD, now);
    assert_eq!(lane.tally().overrun, 1000);
    assert_eq!(lane.inbox.len(), INBOX_BYTES_MAX);
}

#[test]
fn what_is_sampled_at_another_speed_is_garbled_and_counted() {
    let mut lane = Lane::new(&conditions(), 0);
    let now = Duration::from_secs(1);
    lane.put(b"a line of text", Duration::ZERO);
    lane.advance(now);
    lane.arrive(115_200, now);
    assert!(!lane.inbox().windows(4).any(|w| w == b"line"));
    assert_eq!(lane.tally().mismatched, 14);
}

#[test]
fn a_new_speed_of_the_sender_counts_when_all_before_it_has_passed() {
    let conditions = Conditions {
        pace: Pace::Speed,
        baud: 9_600,
        ..Conditions::default()
    };
    let mut lane = Lane::new(&conditions, 0);
    lane.put(&[b'x'; 96], Duration::ZERO);
    lane.sender_speed(115_200);
    assert_eq!(lane.rate(), 960);
    let passed = Duration::from_millis(100);
    lane.advance(passed);
    lane.arrive(9_600, passed);
    assert_eq!(lane.inbox(), [b'x'; 96]);
    lane.put(b"y", passed);
    assert_eq!(lane.rate(), 11_520);
}

#[test]
fn above_its_greatest_speed_a_line_garbles() {
    let conditions = Conditions {
        pace: Pace::Speed,
        baud_max: Some(460_800),
        ..Conditions::default()
    };
    let mut lane = Lane::new(&conditions, 0);
    for (baud, flips) in [(460_800, false), (921_600, true), (460_800, false)] {
        let before = lane.tally().bits_flipped;
        let now = lane.next_change().unwrap_or_default();
        lane.sender_speed(baud);
        lane.put(&[0; 400], now);
        lane.advance(now + Duration::from_secs(1));
        assert_eq!(lane.tally().bits_flipped > before, flips, "{baud}");
    }
}
