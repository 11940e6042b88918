//! Devices that talk and get nowhere.

use alloc::vec;
use core::time::Duration;

use super::bench::Bench;
use super::image::{Image, need};
use crate::host::{Event, Failure, Job};
use crate::machine::Machine as _;
use crate::wire::{BusyPhase, FromDevice, Need, Object};

const SECOND: Duration = Duration::from_secs(1);
const PAGE: FromDevice = FromDevice::Want(Object::Page {
    segment: 0,
    page: 0,
});

/// Says this every second, for an hour at most.
fn chatter(bench: &mut Bench, image: &Image, says: impl Fn(&mut Bench, u64)) -> Failure {
    for second in 0..3_600 {
        if bench.host.is_finished() {
            break;
        }
        says(bench, second);
        while bench.serve(image) > 0 {
            bench.pump();
        }
        bench.now = bench.now.after(SECOND);
        bench.host.handle_timeout(bench.now);
        bench.pump();
    }
    bench.note();
    bench.failure().clone()
}

#[test]
fn what_moves_nothing_on_does_not_keep_the_host() {
    let image = Image::new();
    let empty = FromDevice::Need(Need {
        segment: 0,
        page: 0,
        last: false,
        kept: false,
        bitmap: vec![0],
    });
    for message in [empty, need(0, 0)] {
        let mut bench = image.accepted();
        let failure = chatter(&mut bench, &image, |bench, _| bench.say(&message));
        let stalled = matches!(failure, Failure::Stalled { millis: 30_000.. });
        assert!(stalled, "{message:?}: {failure:?}");
    }
    let mut bench = Bench::connected(Job::Verify);
    let failure = chatter(&mut bench, &image, |bench, second| bench.busy(second % 2));
    assert!(matches!(failure, Failure::Stalled { .. }), "{failure:?}");
    let mut bench = Bench::connected(Job::Verify);
    let failure = chatter(&mut bench, &image, |bench, second| {
        let phase = match second % 2 {
            0 => BusyPhase::Survey,
            _ => BusyPhase::Verify,
        };
        bench.busy_with(phase, second);
    });
    assert!(matches!(failure, Failure::Stalled { .. }), "{failure:?}");
}

#[test]
fn the_same_asked_for_again_and_again_breaks_the_protocol() {
    let image = Image::new();
    for message in [PAGE, need(0, 1), FromDevice::Accepted] {
        let mut bench = image.accepted();
        let failure = chatter(&mut bench, &image, |bench, _| bench.say(&message));
        let broken = matches!(failure, Failure::Protocol(_));
        assert!(broken, "{message:?}: {failure:?}");
    }
}

#[test]
fn an_object_that_is_wanted_again_while_it_waits_is_one_request() {
    let image = Image::new();
    let mut bench = image.accepted();
    for _ in 0..60 {
        bench.say(&PAGE);
        bench.now = bench.now.after(SECOND / 10);
        bench.pump();
    }
    let mut served = 0;
    loop {
        match bench.serve(&image) {
            0 => break,
            more => served += more,
        }
        bench.pump();
    }
    assert!(!matches!(bench.events.last(), Some(Event::Failed(_))));
    assert_eq!(served, 1);
}

#[test]
fn a_segment_is_planned_once() {
    let image = Image::new();
    let mut bench = image.accepted();
    for bits in [0b1, 0b1, 0b10] {
        bench.say(&need(0, bits));
    }
    let planned = |event: &&Event| matches!(event, Event::Planned { .. });
    assert_eq!(bench.events.iter().filter(planned).count(), 1);
}
