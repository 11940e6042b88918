//! A line on real terminals. What passes when is shown by the tests of `Lane`, on their own time;
//! here: that the thread moves bytes as a lane says, and that the terminals' settings matter.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use line::{Conditions, Line, Pace};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

const PATIENCE: Duration = Duration::from_secs(60);

fn open(path: &Path) -> File {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap()
}

fn set_speed(terminal: &File, baud: u32) {
    let mut mode = tcgetattr(terminal).unwrap();
    mode.set_speed(baud).unwrap();
    tcsetattr(terminal, OptionalActions::Now, &mode).unwrap();
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i * 31 % 251) as u8).collect()
}

/// Reads what has come within a short time.
fn read_some(end: &mut File, out: &mut Vec<u8>) {
    let mut fds = [PollFd::new(end, PollFlags::IN)];
    let wait = Timespec::try_from(Duration::from_millis(20)).unwrap();
    if poll(&mut fds, Some(&wait)).unwrap() > 0 {
        let mut buffer = [0; 4096];
        let count = end.read(&mut buffer).unwrap();
        out.extend_from_slice(&buffer[..count]);
    }
}

/// Sends `sent` from one end to the other; returns what came, and how long it took. With losses,
/// what was there when the line had carried all and fell silent.
fn pump(line: &Line, from: usize, sent: &[u8], is_whole: bool) -> (Vec<u8>, Duration) {
    let ends = line.ends();
    let (mut near, mut far) = (open(ends[from]), open(ends[1 - from]));
    let carried_before = line.tallies()[from].carried;
    let started = Instant::now();
    let bytes = sent.to_vec();
    let writer = thread::spawn(move || near.write_all(&bytes).unwrap());
    let mut out = Vec::new();
    loop {
        let before = out.len();
        let is_carried = line.tallies()[from].carried - carried_before == sent.len() as u64;
        read_some(&mut far, &mut out);
        let is_done = if is_whole {
            out.len() == sent.len()
        } else {
            is_carried && out.len() == before
        };
        if is_done {
            break;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "{} of {}",
            out.len(),
            sent.len()
        );
    }
    let took = started.elapsed();
    writer.join().unwrap();
    (out, took)
}

#[test]
fn bytes_pass_whole_both_ways_and_never_faster_than_the_line() {
    let conditions = Conditions {
        pace: Pace::Fixed(300_000),
        latency: Duration::from_millis(1),
        ..Conditions::default()
    };
    let line = Line::start(&conditions).unwrap();
    let sent = bytes(300_000);
    for from in [0, 1] {
        let (out, took) = pump(&line, from, &sent, true);
        assert!(out == sent);
        assert!(took >= Duration::from_millis(1_001), "{took:?}");
        let tally = line.tallies()[from];
        assert_eq!(
            (tally.carried, tally.overrun, tally.mismatched),
            (300_000, 0, 0)
        );
    }
}

#[test]
fn what_goes_wrong_is_what_the_tally_says_and_repeats_with_its_seed() {
    let run = |seed, from| {
        let conditions = Conditions {
            pace: Pace::Fixed(1_000_000),
            bit_error_rate: 1e-4,
            burst_rate: 0.01,
            seed,
            ..Conditions::default()
        };
        let line = Line::start(&conditions).unwrap();
        let (out, _) = pump(&line, from, &vec![0; 300_000], false);
        let tally = line.tallies()[from];
        let flips: u64 = out.iter().map(|byte| u64::from(byte.count_ones())).sum();
        assert!(
            tally.bits_flipped >= flips && flips > 100,
            "{flips}: {tally}"
        );
        assert_eq!(out.len() as u64, 300_000 - tally.burst_lost);
        assert!(tally.burst_lost > 0);
        out
    };
    let first = run(7, 0);
    assert!(first == run(7, 0));
    assert!(first != run(8, 0));
    assert!(first != run(7, 1));
}

#[test]
fn a_writer_is_held_back_by_the_line() {
    let conditions = Conditions {
        pace: Pace::Fixed(1),
        ..Conditions::default()
    };
    let line = Line::start(&conditions).unwrap();
    let mut near = open(line.ends()[0]);
    let flags = rustix::fs::fcntl_getfl(&near).unwrap() | rustix::fs::OFlags::NONBLOCK;
    rustix::fs::fcntl_setfl(&near, flags).unwrap();
    let (mut taken, started) = (0, Instant::now());
    let full = loop {
        match near.write(&[0; 1024]) {
            Ok(count) => taken += count,
            Err(error) => break error,
        }
        assert!(started.elapsed() < PATIENCE);
    };
    assert_eq!(full.kind(), std::io::ErrorKind::WouldBlock);
    // What the system queues, and what the line reads ahead.
    assert!((4_096..=32_768).contains(&taken), "{taken}");
}

#[test]
fn ends_set_to_different_speeds_understand_nothing_until_they_agree() {
    let line = Line::start(&Conditions::default()).unwrap();
    let [near, far] = line.ends().map(open);
    let text = b"the quick brown fox jumps over the lazy dog".repeat(4);
    set_speed(&far, 57_600);
    for from in [0, 1] {
        let (out, _) = pump(&line, from, &text, false);
        assert!(!out.windows(5).any(|word| word == b"quick"), "{out:?}");
        // A receiver that is too slow sees fewer bytes, one that is too fast sees more.
        assert_eq!(out.len() < text.len(), from == 0, "{}", out.len());
    }
    set_speed(&near, 57_600);
    // The line looks at the speeds while nothing passes: what comes first may still go at the old.
    let started = Instant::now();
    for from in [0, 1] {
        while pump(&line, from, &text, false).0 != text {
            assert!(started.elapsed() < PATIENCE);
        }
    }
}

#[test]
fn dropping_a_line_takes_its_ends_away() {
    let line = Line::start(&Conditions::default()).unwrap();
    let mut far = open(line.ends()[1]);
    let reader = thread::spawn(move || far.read(&mut [0; 1]));
    drop(line);
    assert_eq!(reader.join().unwrap().unwrap_or_default(), 0);
}
