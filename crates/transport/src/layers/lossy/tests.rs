#![allow(
    clippy::arithmetic_side_effects,
    reason = "a test that overflows fails, as it should"
)]

use std::thread;
use std::time::Duration;

use super::*;
use crate::{FrameSplitter, Moved, Param, Params, Split, Transport, VirtualClock, loopback};

const SECOND: Duration = Duration::from_secs(1);

/// Frames are `<`, any bytes but `>`, `>`.
#[derive(Debug)]
struct Brackets;

impl FrameSplitter for Brackets {
    fn split(&mut self, bytes: &[u8]) -> Split {
        match bytes.iter().position(|byte| *byte == b'<') {
            Some(0) => match bytes.iter().position(|byte| *byte == b'>') {
                Some(end) => Split::Frame(end + 1),
                None => Split::NeedMore,
            },
            Some(junk) => Split::Junk(junk),
            None => Split::Junk(bytes.len()),
        }
    }
}

fn brackets() -> Box<dyn FrameSplitter> {
    Box::new(Brackets)
}

fn parse(text: &str) -> Result<Faults, crate::TransportError> {
    let values = text.split('&').filter(|item| !item.is_empty()).map(|item| {
        let (key, value) = item.split_once('=').unwrap();
        Param {
            key: key.to_owned(),
            value: value.to_owned(),
        }
    });
    Faults::parse(&Params::new("test", values.collect()))
}

/// What arrives of `input`, handed over in pieces of `piece` bytes, and when the last of it does.
fn pass(faults: &str, input: &[u8], piece: usize, other_way: bool) -> (Vec<u8>, Duration) {
    let (near, far) = loopback::pair(&VirtualClock::new(), "near", "far");
    let lossy = Lossy::new(near, "lossy", &parse(faults).unwrap(), Some(brackets)).unwrap();
    let (mut from, mut to): (Box<dyn Transport>, Box<dyn Transport>) = if other_way {
        (Box::new(far), Box::new(lossy))
    } else {
        (Box::new(lossy), Box::new(far))
    };
    let input = input.to_vec();
    let sender = thread::spawn(move || {
        for chunk in input.chunks(piece) {
            let mut left = chunk;
            while !left.is_empty() {
                match from.exchange(left, &mut [], SECOND) {
                    Ok(moved) => left = &left[moved.sent..],
                    Err(error) => return assert!(error.is_closed()),
                }
            }
        }
        let _ = from.drain(60 * SECOND);
    });
    let receiver = thread::spawn(move || {
        let (mut read, mut inp, mut last) = (Vec::new(), [0; 7], Duration::ZERO);
        while let Ok(moved) = to.exchange(&[], &mut inp, SECOND) {
            read.extend_from_slice(&inp[..moved.received]);
            if moved.received > 0 {
                last = to.clock().now();
            }
        }
        (read, last)
    });
    sender.join().unwrap();
    receiver.join().unwrap()
}

fn text(faults: &str, input: &str) -> String {
    let mut results: Vec<String> = Vec::new();
    for other_way in [false, true] {
        for piece in [1, 2, 3, 5, 1000] {
            let read = pass(faults, input.as_bytes(), piece, other_way).0;
            results.push(String::from_utf8(read).unwrap());
        }
    }
    // Neither the pieces nor the direction make a difference.
    results.dedup();
    assert_eq!(results.len(), 1, "{results:?}");
    results.remove(0)
}

#[test]
fn no_faults_change_nothing() {
    assert_eq!(text("", "x<1>y<2"), "x<1>y<2");
}

#[test]
fn every_nth_frame_is_dropped_whole_and_what_is_between_stays() {
    assert_eq!(
        text("drop_every=3", "<1>a<2>b<3>c<4><5><6>d"),
        "<1>a<2>bc<4><5>d"
    );
    assert_eq!(
        text("drop_every=3&phase=0", "<1>a<2>b<3>c<4><5><6>d"),
        "a<2>b<3>c<5><6>d"
    );
    assert_eq!(text("drop_every=1", "<1>a<2>b"), "ab");
}

#[test]
fn every_nth_frame_comes_twice() {
    assert_eq!(
        text("dup_every=2", "<1>a<2>b<3><4>"),
        "<1>a<2><2>b<3><4><4>"
    );
}

#[test]
fn a_truncated_frame_is_a_part_of_itself() {
    for other_way in [false, true] {
        let faults = "truncate_every=2&seed=3";
        let read = pass(faults, b"<1><abcdefgh>!", 5, other_way).0;
        let part = read
            .strip_prefix(b"<1>")
            .unwrap()
            .strip_suffix(b"!")
            .unwrap();
        assert!(
            b"<abcdefgh>".starts_with(part) && part.len() < 10,
            "{read:?}"
        );
        assert_eq!(pass(faults, b"<1><abcdefgh>!", 1, other_way).0, read);
    }
}

#[test]
fn a_stall_delays_all_behind_it() {
    for other_way in [false, true] {
        let (read, last) = pass("stall_every=2&stall_ms=5000", b"<1><2><3>", 100, other_way);
        assert_eq!(read, b"<1><2><3>");
        assert!(
            last.abs_diff(5 * SECOND) < Duration::from_millis(1),
            "{last:?}"
        );
    }
}

#[test]
fn a_cut_lets_exactly_so_many_bytes_through() {
    for at in [0, 1, 10, 99] {
        for other_way in [false, true] {
            let (read, _) = pass(&format!("cut_at={at}"), &[7; 100], 8, other_way);
            assert_eq!(read.len(), at);
        }
    }
}

#[test]
fn faults_act_in_their_direction_only() {
    assert_eq!(pass("drop_every=1&dir=rx", b"<1>", 9, false).0, b"<1>");
    assert_eq!(pass("drop_every=1&dir=tx", b"<1>", 9, true).0, b"<1>");
    assert_eq!(pass("drop_every=1&dir=tx", b"<1>", 9, false).0, b"");
}

#[test]
fn bits_flip_as_often_as_asked_and_the_same_ones_each_time() {
    let zeros = vec![0; 100_000];
    let first = pass("ber=0.001&seed=5", &zeros, 4096, false).0;
    let flipped: u32 = first.iter().map(|byte| byte.count_ones()).sum();
    // 800 expected; 6 standard deviations are 170.
    assert!((630..970).contains(&flipped), "{flipped}");
    assert_eq!(pass("ber=0.001&seed=5", &zeros, 999, false).0, first);
    assert_ne!(pass("ber=0.001&seed=6", &zeros, 4096, false).0, first);
    let many = pass("ber=0.5", &zeros, 4096, false).0;
    let flipped: u32 = many.iter().map(|byte| byte.count_ones()).sum();
    assert!((395_000..405_000).contains(&flipped), "{flipped}");
}

#[test]
fn bursts_lose_the_share_asked_for_in_runs() {
    let counting: Vec<u8> = (0..200_000_u32)
        .map(|value| value.to_le_bytes()[0])
        .collect();
    let read = pass("burst_rate=0.01&burst_len=50", &counting, 4096, false).0;
    let lost = counting.len() - read.len();
    // 2,000 expected, in runs of 50: 40 ± 6.3 of them.
    assert!((200..4000).contains(&lost), "{lost}");
    let gaps = read
        .windows(2)
        .filter(|pair| pair[1] != pair[0].wrapping_add(1))
        .count();
    assert!(gaps <= lost / 50 + 1, "{gaps} gaps for {lost} bytes");
}

#[test]
fn tallies_tell_what_happened() {
    let (near, mut far) = loopback::pair(&VirtualClock::new(), "near", "far");
    far.use_here();
    let faults = Faults {
        drop_every: Some(2),
        ..Faults::default()
    };
    let mut lossy = Lossy::new(near, "lossy", &faults, Some(brackets)).unwrap();
    let [sent, received] = lossy.tallies();
    lossy.exchange(b"<1><2><3><4><5>", &mut [], SECOND).unwrap();
    assert_eq!((sent.frames(), sent.dropped()), (5, 2));
    assert_eq!(received.frames(), 0);
    let mut inp = [0; 64];
    assert_eq!(
        far.exchange(&[], &mut inp, SECOND).unwrap(),
        Moved {
            sent: 0,
            received: 9
        }
    );
}

#[test]
fn frames_need_a_splitter_and_bytes_do_not() {
    let (near, _far) = loopback::pair(&VirtualClock::new(), "near", "far");
    let faults = Faults {
        drop_every: Some(5),
        ..Faults::default()
    };
    let refused = Lossy::new(near, "lossy", &faults, None).unwrap_err();
    assert!(matches!(
        refused,
        crate::TransportError::NeedsSplitter { .. }
    ));
    let options = crate::OpenOptions::default();
    let open = |port: &str| crate::open(&port.parse().unwrap(), &options);
    assert!(open("lossy+loopback:needs-none?ber=1e-5").is_ok());
    assert!(open("lossy+loopback:needs-one?drop_every=5").is_err());
}

#[rstest::rstest]
#[case("drop_every=0", "from 1")]
#[case("phase=0", "below drop_every")]
#[case("drop_every=3&phase=3", "below drop_every")]
#[case("ber=1", "share")]
#[case("ber=NaN", "share")]
#[case("dir=up", "tx, rx or both")]
#[case("stall_ms=5", "go together")]
#[case("stall_every=5", "go together")]
#[case("burst_len=0", "from 1")]
fn bad_values_say_what_is_wanted(#[case] keys: &str, #[case] want: &str) {
    let error = parse(keys).unwrap_err().to_string();
    assert!(error.contains(want), "{error}");
}
