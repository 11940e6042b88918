//! From the first `HELLO` to a session.

use alloc::vec::Vec;
use core::time::Duration;

use super::bench::{Bench, NONCE, SESSION, info};
use crate::host::{Event, Failure, Host, HostConfig, Job};
use crate::limits::GIVE_UP_AFTER;
use crate::machine::Machine as _;
use crate::wire::{FromDevice, RejectCode};

#[test]
fn hellos_go_out_ever_more_slowly_until_30_s_of_silence() {
    let mut bench = Bench::new(Job::Info);
    assert_eq!(bench.hellos(), [(0, NONCE)]);
    let (mut waits, mut tries) = (Vec::new(), 1);
    while bench.events.is_empty() {
        waits.push(bench.next_timer().as_millis());
        for hello in bench.hellos() {
            assert_eq!(hello, (tries, NONCE));
            tries += 1;
        }
    }
    assert_eq!(waits[..7], [50, 75, 112, 168, 253, 379, 569]);
    assert_eq!(bench.failure(), &Failure::Silent { millis: 30_000 });
    assert!(bench.host.is_finished());
    assert_eq!(bench.host.poll_timeout(), None);
    assert_eq!(
        bench.host.progress().wire_bytes,
        u64::from(tries) * (20 + 2 + 8 + 4 + 6)
    );
}

#[test]
fn a_line_that_carries_other_things_is_told_from_silence() {
    let mut bench = Bench::new(Job::Info);
    bench.hellos();
    for _ in 0..40 {
        let now = bench.now;
        bench.host.handle_input(b"login:\r\n\x9e\x9eN\xff", now);
        bench.note();
        bench.wait(Duration::from_secs(1));
    }
    let failure = bench.failure();
    assert!(matches!(failure, Failure::NotADevice { bytes, echo: false } if *bytes >= 12 * 29));
    assert!(
        bench.saw(&Event::Console("login:".into())),
        "{:?}",
        bench.events
    );
}

#[test]
fn an_echo_is_no_device() {
    let mut bench = Bench::new(Job::Info);
    for _ in 0..40 {
        for hello in bench.frames() {
            bench.host.handle_input(&hello, bench.now);
        }
        bench.note();
        bench.wait(Duration::from_secs(1));
    }
    let failure = bench.failure();
    assert!(
        matches!(failure, Failure::NotADevice { echo: true, .. }),
        "{failure:?}"
    );
}

#[test]
fn another_host_is_no_device_and_no_echo() {
    let mut bench = Bench::new(Job::Info);
    bench.hellos();
    let mut others = Bench::new(Job::Info);
    others.host = Host::new(HostConfig::new(NONCE + 1, Job::Info));
    for hello in others.frames() {
        bench.host.handle_input(&hello, bench.now);
    }
    bench.wait(GIVE_UP_AFTER);
    let failure = bench.failure();
    assert!(
        matches!(failure, Failure::NotADevice { echo: false, .. }),
        "{failure:?}"
    );
}

#[test]
fn console_lines_disturb_nothing() {
    let mut bench = Bench::connected(Job::Info);
    bench
        .host
        .handle_input(b"[ 1.0] usb 1-1: new\r\n", bench.now);
    bench.say(&FromDevice::Info(info()));
    assert!(bench.saw(&Event::Console("[ 1.0] usb 1-1: new".into())));
    assert_eq!(bench.events.last(), Some(&Event::Finished));
}

#[test]
fn nothing_is_told_after_the_end_not_even_a_console_line() {
    let mut bench = Bench::new(Job::Info);
    bench.host.handle_input(b"half a li", bench.now);
    bench.host.handle_closed(bench.now);
    bench.note();
    assert_eq!(bench.failure(), &Failure::Closed);
    bench.host.handle_input(b"ne\r\nand another\r\n", bench.now);
    bench.wait(Duration::from_secs(1));
    bench.note();
    assert_eq!(bench.failure(), &Failure::Closed);
    assert!(bench.host.is_finished());
}

#[test]
fn only_the_answer_to_its_own_hello_opens_a_session() {
    let mut bench = Bench::new(Job::Info);
    bench.hellos();
    bench.welcome(NONCE + 1, 9);
    assert_eq!(bench.events, []);
    bench.welcome(NONCE, SESSION);
    bench.welcome(NONCE, 10);
    let connected = Event::Connected {
        session: SESSION,
        boot: 1,
        board: "virt".into(),
    };
    assert_eq!(bench.events, [connected]);
}

#[test]
fn another_protocol_version_ends_the_job_at_once() {
    let mut bench = Bench::new(Job::Info);
    bench.hellos();
    bench.refuse(RejectCode::Version, NONCE + 1, 0);
    assert_eq!(bench.events, [], "an answer to somebody else");
    bench.refuse(RejectCode::Version, NONCE, 0);
    assert_eq!(bench.failure(), &Failure::Version { min: 2, max: 5 });
    assert!(bench.host.is_finished());
}
