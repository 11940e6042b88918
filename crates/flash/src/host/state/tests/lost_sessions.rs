//! Sessions that the device forgets.

use core::time::Duration;

use super::bench::{Bench, NONCE, SESSION};
use super::image::{Image, installed, need};
use crate::host::{Event, Failure, Job};
use crate::limits::{GIVE_UP_AFTER, REMIND_AFTER};
use crate::machine::Machine as _;
use crate::time::Instant;
use crate::wire::{Frame, FromDevice, Kind, RejectCode};

#[test]
fn a_lost_session_is_resumed_and_the_fourth_is_left_to_the_other() {
    let image = Image::new();
    let mut bench = image.accepted();
    bench.say(&need(0, 0b0001_1111));
    bench.serve(&image);
    bench.pump();
    for round in 1..=4_u32 {
        let session = SESSION + round - 1;
        bench.refuse(RejectCode::Session, 0, session + 77);
        assert!(!matches!(bench.events.last(), Some(Event::SessionLost)));
        bench.refuse(RejectCode::Session, 0, session);
        if round == 4 {
            break;
        }
        assert_eq!(bench.events.last(), Some(&Event::SessionLost));
        let nonce = NONCE + u64::from(round);
        assert_eq!(bench.hellos(), [(0, nonce)]);
        bench.welcome(nonce, session + 1);
        // The other host does not let it get far.
        bench.pump();
        bench.say(&FromDevice::Accepted);
    }
    assert_eq!(bench.failure(), &Failure::TakenOver);
    assert!(bench.host.is_finished());
}

#[test]
fn a_device_that_restarts_was_not_taken_and_neither_is_one_that_is_lost_now_and_then() {
    let pause = Duration::from_secs(10);
    for (next_boot, lasts) in [(1, Duration::ZERO), (0, pause)] {
        let mut bench = Bench::connected(Job::Verify);
        for round in 1..=9_u32 {
            bench.now = bench.now.after(lasts);
            bench.refuse(RejectCode::Session, 0, SESSION + round - 1);
            assert_eq!(bench.events.last(), Some(&Event::SessionLost), "{round}");
            let nonce = NONCE + u64::from(round);
            assert_eq!(bench.hellos(), [(0, nonce)]);
            bench.welcome_by(1 + round * next_boot, nonce, SESSION + round);
            bench.pump();
        }
    }
}

#[test]
fn a_session_lost_long_after_it_began_is_resumed_with_fresh_patience() {
    let mut bench = Bench::connected(Job::Verify);
    for done in 1..=2 {
        bench.wait(Duration::from_secs(20));
        bench.busy(done);
    }
    bench.refuse(RejectCode::Session, 0, SESSION);
    bench.host.handle_timeout(bench.now);
    bench.note();
    assert_eq!(bench.events.last(), Some(&Event::SessionLost));
    bench.wait(GIVE_UP_AFTER - Duration::from_millis(1));
    assert_eq!(bench.events.last(), Some(&Event::SessionLost));
    bench.wait(Duration::from_millis(1));
    assert_eq!(bench.failure(), &Failure::Stalled { millis: 30_000 });
}

#[test]
fn what_was_sent_before_a_session_was_lost_is_counted_once() {
    let image = Image::new();
    let mut bench = image.accepted();
    bench.say(&need(0, 0b0001_1111));
    bench.serve(&image);
    bench.pump();
    assert_eq!(bench.host.progress().blocks_sent, 3);
    bench.refuse(RejectCode::Session, 0, SESSION);
    bench.hellos();
    bench.welcome(NONCE + 1, SESSION + 1);
    bench.pump();
    bench.say(&FromDevice::Accepted);
    bench.say(&need(0, 0b0001_1000));
    bench.say(&need(1, 0));
    while bench.serve(&image) > 0 {
        bench.pump();
    }
    let progress = bench.host.progress();
    assert_eq!((progress.blocks_needed, progress.blocks_sent), (5, 5));
    // What was sent in the first session counts as sent, and not as there before.
    assert_eq!(progress.blocks_skipped(), 3);
    bench.say(&installed(&image));
    assert_eq!(bench.events.last(), Some(&Event::Finished));
    assert_eq!(bench.host.progress().blocks_needed, 5);
    assert_eq!(bench.host.progress().blocks_sent, 5);
}

/// What it waited for may have been lost with the link and the session, and then nobody speaks.
#[test]
fn a_silent_device_is_reminded_of_what_has_arrived_until_it_says_something() {
    let image = Image::new();
    let mut bench = image.accepted();
    bench.pump();
    // What it has to acknowledge first.
    bench.next_timer();
    bench.frames();
    let mut heard = Instant::ZERO;
    for round in 0..4 {
        if round == 3 {
            bench.now = bench.now.after(REMIND_AFTER / 2);
            heard = bench.now;
            bench.busy(1);
        }
        let reminder = loop {
            bench.next_timer();
            let frames = bench.frames();
            if !frames.is_empty() {
                break frames;
            }
        };
        let [frame] = reminder.as_slice() else {
            panic!("{reminder:?}");
        };
        assert_eq!(Frame::parse(frame).unwrap().0.kind, Kind::Ack.number());
        if round > 0 {
            assert_eq!(bench.now.since(heard), REMIND_AFTER, "{round}");
        }
        heard = bench.now;
    }
}
