//! Who has a session, and for how long.

use std::time::Duration;

use nx_flash::device::{Event, Outcome, Request, StoreError};
use nx_flash::machine::Machine as _;
use nx_flash::storage::MemoryStore;
use nx_flash::wire::{
    AbortReason, BootTarget, Frame, FromDevice, FromHost, Kind, OfferFlags, RejectCode,
};

use crate::bench::Bench;
use crate::image;

fn bench() -> Bench<MemoryStore> {
    Bench::new(MemoryStore::new())
}

#[test]
fn a_session_is_named_after_the_boot_and_never_zero() {
    let mut bench = bench();
    let first = bench.hello();
    assert_eq!((first.session, first.boot), (7 << 16 | 1, 7));
    assert_eq!(bench.hello().session, 7 << 16 | 2);
    assert!(bench.has(|event| *event == Event::Superseded));
}

#[test]
fn the_same_nonce_gets_the_same_session() {
    let mut bench = bench();
    let bytes = Bench::<MemoryStore>::hello_bytes(5, (1, 1));
    bench.input(&bytes);
    bench.input(&bytes);
    assert_eq!(bench.welcomes.len(), 2);
    assert_eq!(bench.welcomes[0], bench.welcomes[1]);
}

#[test]
fn no_version_in_common_is_refused_with_ours() {
    let mut bench = bench();
    bench.input(&Bench::<MemoryStore>::hello_bytes(5, (2, 9)));
    let refusal = &bench.refusals[0];
    assert_eq!(refusal.known_code(), Some(RejectCode::Version));
    assert_eq!((refusal.version_min, refusal.nonce), (1, 5));
    assert!(!bench.device.has_session());
}

#[test]
fn stale_frames_are_refused_at_a_bounded_rate_and_change_nothing() {
    let mut bench = bench();
    bench.hello();
    let stale = bench.data_frame(0, &[1; 64]);
    bench.hello();
    for _ in 0..50 {
        bench.input(&stale);
    }
    assert_eq!(bench.refusals.len(), 1);
    bench.pass(Duration::from_millis(100));
    bench.input(&stale);
    assert_eq!(bench.refusals.len(), 2);
    assert_eq!(bench.refusals[1].session, 7 << 16 | 1);
    bench.say(FromHost::Info);
    assert!(matches!(bench.take_said()[..], [FromDevice::Info(_)]));
}

#[test]
fn a_refusal_in_the_same_breath_does_not_swallow_a_welcome() {
    let mut bench = bench();
    bench.hello();
    let stale = bench.data_frame(0, &[1; 64]);
    let mut both = Bench::<MemoryStore>::hello_bytes(900, (1, 1));
    both.extend(stale);
    bench.input(&both);
    assert_eq!(bench.welcomes.last().unwrap().nonce, 900);
    assert_eq!(bench.refusals.len(), 1);
}

#[test]
fn silence_ends_a_session_and_keeps_what_came() {
    let mut bench = bench();
    let image = image::plain(1);
    bench.hello();
    let needs = bench.begin(&image, OfferFlags::default());
    bench.fill(&image, &needs[..1]);
    bench.pass(Duration::from_secs(31));
    assert!(bench.has(|event| *event == Event::TimedOut));
    let before = bench.store.writes();
    assert_eq!(before, 4);
    assert_eq!(bench.send(&image, OfferFlags::default()), 6);
}

#[test]
fn a_host_that_waits_for_the_device_is_not_taken_for_gone() {
    let mut bench = bench();
    let image = image::plain(1);
    bench.hello();
    let needs = bench.begin(&image, OfferFlags::default());
    bench.fill(&image, &needs);
    bench.queue(&FromHost::Done {
        manifest: image.digest(),
    });
    // The read-back takes two minutes: a request answered every 25 s.
    let mut out = Vec::new();
    bench.transmit_peer(&mut out);
    bench.device.handle_input(&out, bench.now);
    for _ in 0..5 {
        bench.wait_unserved(Duration::from_secs(25));
        assert!(bench.device.has_session());
        bench.serve_one();
    }
    assert!(bench.busy.len() >= 100, "{} in 120 s", bench.busy.len());
    bench.settle();
    assert!(bench.has(|event| matches!(event, Event::Installed { .. })));
}

#[test]
fn a_promised_restart_outlives_the_farewell() {
    let mut bench = bench();
    bench.hello();
    bench.say(FromHost::Reboot {
        target: BootTarget::Recovery,
    });
    let rebooting = FromDevice::Rebooting {
        target: BootTarget::Recovery,
    };
    assert_eq!(bench.take_said(), [rebooting]);
    bench.say(FromHost::Abort {
        reason: AbortReason::Finished,
    });
    let told = bench
        .events
        .iter()
        .filter(|e| **e == Event::Reboot(BootTarget::Recovery));
    assert_eq!(told.count(), 1, "{:?}", bench.events);
    assert_eq!(bench.store.next_boot(), Some(BootTarget::Recovery));
}

#[test]
fn a_farewell_before_the_answer_restarts_nothing() {
    let mut bench = bench();
    bench.hello();
    bench.queue(&FromHost::Reboot {
        target: BootTarget::Normal,
    });
    bench.queue(&FromHost::Abort {
        reason: AbortReason::Finished,
    });
    bench.settle();
    assert!(!bench.has(|event| matches!(event, Event::Reboot(_))));
}

#[test]
fn a_link_that_closes_after_the_promise_restarts_the_device() {
    let mut bench = bench();
    bench.hello();
    bench.say(FromHost::Reboot {
        target: BootTarget::Normal,
    });
    bench.device.handle_closed(bench.now);
    bench.settle();
    let told = bench
        .events
        .iter()
        .filter(|e| **e == Event::Reboot(BootTarget::Normal));
    assert_eq!(told.count(), 1);
}

#[test]
fn a_boot_that_cannot_be_set_is_refused_for_what_is_in_the_way() {
    type Intercept = fn(&Request) -> Option<Outcome>;
    let cases: [(Intercept, RejectCode); 3] = [
        (
            |request| fails(request, StoreError::Unsupported("none".into())),
            RejectCode::NoReboot,
        ),
        (
            |request| fails(request, StoreError::Failed("worn out".into())),
            RejectCode::Storage,
        ),
        (
            |request| fails(request, StoreError::Full("by a byte".into())),
            RejectCode::StorageFull,
        ),
    ];
    for (intercept, code) in cases {
        let mut bench = bench();
        bench.intercept = intercept;
        bench.hello();
        bench.say(FromHost::Reboot {
            target: BootTarget::Normal,
        });
        assert_eq!(bench.rejected(), code);
        bench.pass(Duration::from_secs(2));
        assert!(!bench.has(|event| matches!(event, Event::Reboot(_))));
    }
}

fn fails(request: &Request, error: StoreError) -> Option<Outcome> {
    matches!(request, Request::SetBoot(_)).then_some(Outcome::Failed(error))
}

#[test]
fn a_farewell_is_acknowledged() {
    let mut bench = bench();
    bench.hello();
    bench.say(FromHost::Abort {
        reason: AbortReason::Operator,
    });
    assert_eq!(bench.queued(), 0, "the host knows that the device heard it");
    assert!(bench.has(|event| *event == Event::Ended(AbortReason::Operator)));
}

#[test]
fn a_host_that_asks_and_never_listens_is_kept_in_bounds() {
    let mut bench = bench();
    bench.hello();
    let taken = bench.ask_without_listening(5_000);
    assert!(
        taken < 200,
        "{taken} questions were taken without an answer being heard"
    );
}

#[test]
fn a_host_that_only_waits_is_told_that_its_session_is_over() {
    let mut bench = bench();
    let session = bench.hello().session;
    let ack = |session| {
        let mut bytes = Vec::new();
        Frame::new(Kind::Ack, session, 7, &[]).emit(&mut bytes);
        bytes
    };
    // One that another host took the place of has been told so by what else it sends.
    bench.input(&ack(session + 1));
    assert!(bench.refusals.is_empty(), "{:?}", bench.refusals);
    bench.device.handle_closed(bench.now);
    bench.input(&ack(session));
    let [refusal] = bench.refusals.as_slice() else {
        panic!("{:?}", bench.refusals);
    };
    assert_eq!(
        (refusal.code, refusal.session),
        (RejectCode::Session.number(), session)
    );
}
