#![allow(
    clippy::arithmetic_side_effects,
    reason = "a test that overflows fails, as it should"
)]

use std::sync::mpsc;

use super::*;

const MS: Duration = Duration::from_millis(1);

type Log = Arc<Mutex<Vec<(u32, Duration)>>>;

/// Parties that sleep for their own periods and write down when they wake.
fn wakings(periods: &[u32]) -> Vec<(u32, Duration)> {
    let clock = VirtualClock::new();
    let log = Log::default();
    let parties: Vec<Party> = periods
        .iter()
        .map(|period| clock.register(&period.to_string()))
        .collect();
    let threads: Vec<_> = parties
        .into_iter()
        .zip(0_u32..)
        .zip(periods.to_vec())
        .map(|((party, index), period)| {
            let log = Arc::clone(&log);
            thread::spawn(move || {
                for _ in 0..50 {
                    party.clock().sleep_until(party.clock().now() + MS * period);
                    log.lock().unwrap().push((index, party.clock().now()));
                }
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    Arc::into_inner(log).unwrap().into_inner().unwrap()
}

#[test]
fn identical_runs_interleave_identically() {
    let first = wakings(&[3, 2, 7, 2]);
    assert_eq!(first.len(), 200);
    for _ in 0..50 {
        assert_eq!(wakings(&[3, 2, 7, 2]), first);
    }
}

#[test]
fn ties_are_broken_by_the_order_of_registration() {
    let log = wakings(&[5, 5, 5]);
    assert!(
        log.is_sorted_by_key(|(index, time)| (*time, *index)),
        "{log:?}"
    );
}

#[test]
fn a_party_counts_before_its_thread_starts() {
    let clock = VirtualClock::new();
    let (early, late) = (clock.register("early"), clock.register("late"));
    let (start, started) = mpsc::channel();
    let first = thread::spawn(move || {
        start.send(()).unwrap();
        early.clock().sleep_until(MS * 1000);
    });
    started.recv().unwrap();
    // However long this thread takes to get here, no time has passed.
    let second = thread::spawn(move || late.clock().now());
    assert_eq!(second.join().unwrap(), Duration::ZERO);
    first.join().unwrap();
}

#[test]
fn a_party_that_left_no_longer_counts() {
    let clock = VirtualClock::new();
    let (stays, leaves) = (clock.register("stays"), clock.register("leaves"));
    drop(leaves);
    stays.clock().sleep_until(MS * 7);
    assert_eq!(clock.now(), MS * 7);
}

#[test]
fn joining_outside_lets_the_other_run() {
    let clock = VirtualClock::new();
    let (joins, works) = (clock.register("joins"), clock.register("works"));
    let worker = thread::spawn(move || works.clock().sleep_until(MS * 9));
    // Takes the turn, so that the worker depends on giving it up.
    assert_eq!(joins.clock().now(), Duration::ZERO);
    joins.clock().outside(|| worker.join().unwrap());
    assert_eq!(joins.clock().now(), MS * 9);
}

#[test]
fn parties_of_one_thread_do_not_hold_each_other_up() {
    let clock = VirtualClock::new();
    let [one, other] = ["one", "other"].map(|name| clock.register(name));
    other.use_here();
    one.clock().sleep_until(MS * 5);
    other.clock().sleep_until(MS * 6);
    one.clock().sleep_until(MS * 7);
    assert_eq!(clock.now(), MS * 7);
}

#[test]
fn a_party_that_does_not_come_back_is_named() {
    let clock = VirtualClock::new();
    let (holds, waits) = (clock.register("holds"), clock.register("waits"));
    let error = waits.seat.take_turn(MS * 20).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`waits` waited 0 s of real time for `holds`, whose turn it is"
    );
    drop(holds);
    waits.take_turn().unwrap();
}

#[test]
fn a_clock_outlives_its_party() {
    let party = VirtualClock::new().register("gone");
    let clock = party.clock();
    clock.sleep_until(MS);
    drop(party);
    clock.sleep_until(MS * 2);
    assert_eq!(clock.now(), MS);
}
