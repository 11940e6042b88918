//! How jobs begin and end.

use alloc::vec::Vec;
use core::time::Duration;

use nx_image::digest::Digest;

use super::bench::{Bench, info};
use super::image::Image;
use crate::host::parting::FAREWELL;
use crate::host::{Event, Failure, Job};
use crate::limits::GIVE_UP_AFTER;
use crate::machine::Machine as _;
use crate::wire::{AbortReason, BootTarget, FromDevice, FromHost, Verdict, VerifiedSegment};

#[test]
fn a_job_is_asked_for_answered_and_ended() {
    let verified = FromDevice::Verified {
        manifest: Digest::of(b"m"),
        installed: Digest::of(b"i"),
        segments: vec![VerifiedSegment {
            name: "kernel".into(),
            sha256: Digest::of(b"k"),
            verdict: Verdict::Matches,
        }],
        gaps_zero: true,
    };
    let target = BootTarget::Recovery;
    for (job, asked, answer) in [
        (Job::Info, FromHost::Info, FromDevice::Info(info())),
        (Job::Verify, FromHost::Verify, verified),
        (
            Job::Reboot(target),
            FromHost::Reboot { target },
            FromDevice::Rebooting { target },
        ),
    ] {
        let mut bench = Bench::connected(job);
        assert_eq!(bench.messages, core::slice::from_ref(&asked));
        assert!(!bench.host.is_finished());
        bench.say(&answer);
        let reason = AbortReason::Finished;
        assert_eq!(bench.messages, [asked, FromHost::Abort { reason }]);
        assert_eq!(bench.events.len(), 3, "{:?}", bench.events);
        assert_eq!(bench.events.last(), Some(&Event::Finished));
        assert!(bench.host.is_finished());
    }
}

#[test]
fn a_farewell_that_nobody_answers_does_not_hold_it_up() {
    let mut bench = Bench::connected(Job::Info);
    let mut body = Vec::new();
    FromDevice::Info(info()).emit(&mut body);
    bench.peer.queue(body);
    bench.peer_speaks();
    bench.wait(FAREWELL);
    assert_eq!(bench.events.last(), Some(&Event::Finished));

    let mut bench = Bench::connected(Job::Info);
    let mut body = Vec::new();
    FromDevice::Info(info()).emit(&mut body);
    bench.peer.queue(body);
    bench.peer_speaks();
    bench.host.handle_closed(bench.now);
    bench.note();
    assert_eq!(bench.events.last(), Some(&Event::Finished), "closed");
}

#[test]
fn stopping_tells_the_device_first() {
    let image = Image::new();
    let mut bench = image.accepted();
    bench.host.stop(bench.now);
    bench.pump();
    let reason = AbortReason::Operator;
    assert_eq!(bench.messages.last(), Some(&FromHost::Abort { reason }));
    assert_eq!(bench.failure(), &Failure::Stopped);

    let mut bench = Bench::new(Job::Info);
    bench.host.stop(bench.now);
    bench.note();
    assert_eq!(bench.failure(), &Failure::Stopped, "before a session");
    assert!(bench.host.is_finished());
}

#[test]
fn a_closed_link_ends_the_job() {
    for mut bench in [Bench::new(Job::Info), Bench::connected(Job::Info)] {
        bench.host.handle_closed(bench.now);
        bench.note();
        assert_eq!(bench.failure(), &Failure::Closed);
        assert!(bench.host.is_finished());
    }
}

#[test]
fn a_busy_device_is_waited_for_as_long_as_it_gets_on() {
    let mut bench = Bench::connected(Job::Verify);
    for done in 1..=10 {
        bench.wait(GIVE_UP_AFTER - Duration::from_secs(1));
        bench.busy(done);
    }
    assert!(!matches!(bench.events.last(), Some(Event::Failed(_))));
    for _ in 0..31 {
        bench.wait(Duration::from_secs(1));
        bench.busy(10);
    }
    let failed = bench.events.iter().find_map(|event| match event {
        Event::Failed(failure) => Some(failure),
        _ => None,
    });
    assert_eq!(failed, Some(&Failure::Stalled { millis: 30_000 }));
}
