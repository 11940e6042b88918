//! What becomes of a line when another speed is tried.

use std::time::Duration;

use nx_flash::device;
use nx_flash::host::{Event, Failure, Job};
use nx_flash::machine::Machine as _;
use nx_flash::speed::LADDER;
use nx_flash::wire::{BaudStep, Kind};

use crate::duet::{Duet, OPENING, Way};

fn info(ladder: &[u32]) -> Duet {
    Duet::new(Job::Info, ladder, Some(OPENING))
}

/// The job has been done, and the device will be found by the next host.
#[track_caller]
fn ended_well(duet: &mut Duet) {
    assert_eq!(
        duet.events.last(),
        Some(&Event::Finished),
        "{:?}",
        duet.events
    );
    assert!(
        duet.events
            .iter()
            .any(|event| matches!(event, Event::Info(..)))
    );
    duet.pass(Duration::from_secs(4));
    assert_eq!(duet.device_baud, OPENING);
    assert!(!duet.device.has_session());
}

#[test]
fn a_line_that_holds_goes_up_step_by_step_to_the_fastest_speed() {
    let mut duet = info(&LADDER);
    let took = duet.finish();
    assert_eq!(duet.changes(), LADDER);
    assert_eq!((duet.host_baud, duet.device_baud), (3_000_000, 3_000_000));
    assert_eq!(duet.host.baud(), Some(3_000_000));
    assert!(took < Duration::from_secs(1), "{took:?}");
    ended_well(&mut duet);
    let changed: Vec<_> = duet
        .device_events
        .iter()
        .filter_map(|event| match event {
            device::Event::BaudChanged { baud } => Some(*baud),
            _ => None,
        })
        .collect();
    assert_eq!(changed, [&LADDER[..], &[OPENING]].concat());
}

#[test]
fn a_line_that_garbles_above_a_speed_stays_at_the_best_below() {
    let mut duet = info(&LADDER);
    duet.holds = 1_000_000;
    let took = duet.finish();
    assert_eq!(duet.changes(), [230_400, 460_800, 921_600]);
    assert_eq!((duet.host_baud, duet.device_baud), (921_600, 921_600));
    // Two speeds in a row that fail end the search.
    assert_eq!(
        duet.times(|baud, step| baud == 3_000_000 && step == BaudStep::Ask),
        0
    );
    assert!(took < Duration::from_secs(4), "{took:?}");
    ended_well(&mut duet);
}

#[test]
fn a_line_that_holds_nothing_more_stays_where_it_was() {
    let mut duet = info(&LADDER);
    duet.holds = OPENING;
    duet.finish();
    assert!(duet.changes().is_empty());
    assert_eq!((duet.host_baud, duet.device_baud), (OPENING, OPENING));
    ended_well(&mut duet);
}

#[test]
fn speeds_that_a_driver_cannot_set_are_passed_over() {
    for host in [true, false] {
        let mut duet = info(&[230_400, 921_600, 460_800]);
        if host {
            duet.host_can = 500_000;
        } else {
            duet.device_can = 500_000;
        }
        let took = duet.finish();
        assert_eq!(duet.changes(), [230_400, 460_800]);
        let is_asked = |baud, step| baud == 921_600 && step == BaudStep::Ask;
        assert_eq!(duet.times(is_asked), usize::from(!host));
        assert!(took < Duration::from_secs(1), "{took:?}");
        ended_well(&mut duet);
    }
}

#[test]
fn a_device_that_cannot_is_not_asked() {
    for (ladder, device) in [(&LADDER[..], None), (&[], Some(OPENING))] {
        let mut duet = Duet::new(Job::Info, ladder, device);
        let took = duet.finish();
        assert_eq!(duet.times(|_, _| true), 0);
        assert!(took < Duration::from_millis(100), "{took:?}");
        ended_well(&mut duet);
    }
}

#[test]
fn a_host_that_is_stopped_in_the_middle_of_a_move_tells_the_device() {
    type Is = fn(BaudStep) -> bool;
    let steps: [Is; 6] = [
        |step| step == BaudStep::Ask,
        |step| step == BaudStep::Able,
        |step| step == BaudStep::Call,
        |step| step == BaudStep::Test(9),
        |step| step == BaudStep::Test(31),
        |step| step == BaudStep::Keep,
    ];
    for (at, is) in steps.into_iter().enumerate() {
        let mut duet = info(&LADDER);
        duet.run_until(|duet| duet.times(|_, step| is(step)) > 0);
        duet.host.stop(duet.now);
        duet.finish();
        let stopped = Event::Failed(Failure::Stopped);
        assert_eq!(duet.events.last(), Some(&stopped), "{at}");
        duet.pass(Duration::from_secs(4));
        assert_eq!(duet.device_baud, OPENING, "{at}");
        assert!(!duet.device.has_session(), "{at}");
    }
}

#[test]
fn a_device_that_starts_again_is_found_and_goes_up_again() {
    let mut duet = info(&[921_600]);
    duet.arrives = Box::new(|way, kind, _| way == Way::ToDevice || kind != Kind::Message.number());
    duet.run_until(|duet| duet.changes() == [921_600]);
    duet.restart_device(2);
    duet.arrives = Box::new(|_, _, _| true);
    duet.finish();
    assert_eq!(duet.changes(), [921_600, OPENING, 921_600]);
    assert!(duet.events.contains(&Event::SessionLost));
    ended_well(&mut duet);
}

#[test]
fn a_short_patience_with_the_job_is_none_with_the_search() {
    let mut duet = info(&LADDER);
    duet.patience(Duration::from_millis(300));
    duet.holds = OPENING;
    duet.finish();
    ended_well(&mut duet);
}

/// Which step of a move is lost.
fn kind_of(step: BaudStep) -> u8 {
    match step {
        BaudStep::Ask => 0,
        BaudStep::Able => 1,
        BaudStep::Unable => 2,
        BaudStep::Call => 3,
        BaudStep::Test(31) => 4,
        BaudStep::Test(_) => 5,
        BaudStep::Heard(0) => 6,
        BaudStep::Heard(_) => 7,
        BaudStep::Keep => 8,
        BaudStep::Kept => 9,
    }
}

#[test]
fn any_step_may_be_lost_once_or_twice() {
    for lost in 0..=9 {
        for times in [1, 2] {
            let mut duet = info(&[921_600]);
            let mut left = times;
            duet.arrives = Box::new(move |_, _, baud| {
                let hit = left > 0 && baud.is_some_and(|baud| kind_of(baud.step) == lost);
                left -= u32::from(hit);
                !hit
            });
            duet.finish();
            assert_eq!(duet.changes(), [921_600], "{lost} lost {times} times");
            ended_well(&mut duet);
        }
    }
}

#[test]
fn any_step_may_never_arrive() {
    for lost in [0, 1, 3, 6, 7, 8, 9] {
        let mut duet = info(&[921_600]);
        duet.arrives =
            Box::new(move |_, _, baud| baud.is_none_or(|baud| kind_of(baud.step) != lost));
        let took = duet.finish();
        assert!(duet.changes().is_empty(), "{lost}");
        assert_eq!(
            (duet.host_baud, duet.device_baud),
            (OPENING, OPENING),
            "{lost}"
        );
        // With KEPT alone lost the device is at the new speed until it has heard nothing there.
        assert!(took < Duration::from_secs(8), "{lost}: {took:?}");
        ended_well(&mut duet);
    }
}

#[test]
fn a_speed_at_which_a_quarter_of_the_pattern_is_lost_is_good_and_one_more_is_not() {
    for (lost, changes) in [(8, &[921_600][..]), (9, &[])] {
        let mut duet = info(&[921_600]);
        duet.arrives = Box::new(move |_, _, baud| {
            !baud.is_some_and(|baud| matches!(baud.step, BaudStep::Test(n) if n < lost))
        });
        duet.finish();
        assert_eq!(duet.changes(), changes);
        ended_well(&mut duet);
    }
}

#[test]
fn a_speed_that_is_lost_later_is_left_by_both_sides() {
    for way in [None, Some(Way::ToDevice), Some(Way::ToHost)] {
        let mut duet = info(&[921_600]);
        // The answer never arrives at the new speed: the job is still there when the line breaks.
        duet.arrives =
            Box::new(|way, kind, _| way == Way::ToDevice || kind != Kind::Message.number());
        duet.run_until(|duet| duet.changes() == [921_600]);
        duet.pass(Duration::from_secs(7));
        assert_eq!((duet.host_baud, duet.device_baud), (921_600, 921_600));
        duet.arrives = Box::new(move |which, kind, _| {
            kind != Kind::Message.number() && way.is_some_and(|way| way != which)
        });
        duet.run_until(|duet| duet.host_baud == OPENING && duet.device_baud == OPENING);
        assert!(!duet.host.is_finished());
        duet.arrives = Box::new(|_, _, _| true);
        duet.finish();
        assert_eq!(duet.changes(), [921_600, OPENING]);
        ended_well(&mut duet);
    }
}
