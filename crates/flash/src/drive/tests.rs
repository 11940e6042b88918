use std::time::Duration;

use nx_transport::{Caps, Clock, ManualClock, Moved, Transport, TransportError};

use super::*;
use crate::host::{Event, Failure, Host, HostConfig, Job, Outcome, Request};

/// A link that takes nothing and gives nothing.
#[derive(Debug, Default)]
struct Stuck {
    clock: ManualClock,
    exchanges: u32,
}

impl Transport for Stuck {
    fn caps(&self) -> Caps {
        Caps::default()
    }

    fn exchange(
        &mut self,
        _out: &[u8],
        _inp: &mut [u8],
        timeout: Duration,
    ) -> Result<Moved, TransportError> {
        self.exchanges += 1;
        let until = self.clock.now() + timeout;
        self.clock.advance_to(until);
        Ok(Moved::default())
    }

    fn drain(&mut self, _timeout: Duration) -> Result<(), TransportError> {
        Ok(())
    }

    fn clock(&self) -> Clock {
        self.clock.clock()
    }
}

/// Keeps the events.
#[derive(Default)]
struct Told(Vec<Event>);

impl Shell<Host> for Told {
    fn serve(&mut self, request: Request) -> Outcome {
        panic!("no image is sent: {request:?}")
    }

    fn event(&mut self, event: Event, _machine: &Host) {
        self.0.push(event);
    }
}

#[test]
fn what_a_finished_machine_leaves_behind_waits_a_bounded_time_and_without_spinning() {
    for stop_after in [None, Some(Duration::from_secs(2))] {
        let mut config = HostConfig::new(1, Job::Info);
        config.give_up_after = Duration::from_secs(3);
        let (mut link, mut host, mut told) = (Stuck::default(), Host::new(config), Told::default());
        let mut driver = Driver::new();
        loop {
            let now = link.clock().now();
            if stop_after.is_some_and(|at| at <= now) {
                host.stop(Instant::from(now));
            }
            assert!(
                link.exchanges < 50,
                "{} exchanges by {now:?}",
                link.exchanges
            );
            let round = driver.round(&mut link, &mut host, &mut told, &mut NoTape);
            if round.unwrap() == Round::Finished {
                break;
            }
        }
        let [Event::Failed(failure)] = &told.0[..] else {
            panic!("{:?}", told.0);
        };
        match stop_after {
            Some(_) => assert_eq!(failure, &Failure::Stopped),
            None => assert_eq!(failure, &Failure::Silent { millis: 3_000 }),
        }
        let most = stop_after.unwrap_or(Duration::from_secs(3)) + REMAINS_FOR;
        assert!(link.clock().now() <= most + PATIENCE);
        assert!(driver.pending().is_empty());
    }
}

/// A link with a speed that keeps what is done with it, in order.
#[derive(Debug, Default)]
struct Wired {
    clock: ManualClock,
    did: Vec<String>,
    /// Bytes that it takes at once.
    takes: usize,
    /// Speeds above this are refused.
    can: u32,
}

impl Transport for Wired {
    fn caps(&self) -> Caps {
        Caps::new().with_baud_of(9_600)
    }

    fn exchange(
        &mut self,
        out: &[u8],
        inp: &mut [u8],
        timeout: Duration,
    ) -> Result<Moved, TransportError> {
        let sent = out.len().min(self.takes);
        if sent == 0 {
            self.clock.advance_to(self.clock.now() + timeout);
        }
        self.did.push(format!("{sent} out, {} in", inp.len()));
        Ok(Moved { sent, received: 0 })
    }

    fn drain(&mut self, _timeout: Duration) -> Result<(), TransportError> {
        self.did.push("drained".to_owned());
        Ok(())
    }

    fn set_baud(&mut self, baud: u32) -> Result<(), TransportError> {
        self.did.push(baud.to_string());
        if baud <= self.can {
            return Ok(());
        }
        Err(TransportError::BaudRefused {
            port: "wired".to_owned(),
            want: baud,
            got: 9_600,
        })
    }

    fn clock(&self) -> Clock {
        self.clock.clock()
    }
}

/// What changing the speed does with a link that takes and can so much, with 100 bytes waiting.
fn change(takes: usize, can: u32, back: Option<u32>, drain: bool) -> (bool, Vec<String>) {
    let mut link = Wired {
        takes,
        can,
        ..Wired::default()
    };
    let mut driver = Driver::new();
    driver.out.resize(100, 0);
    let baud = 19_200;
    let change = SpeedChange { baud, back, drain };
    let held = driver.change_speed(&mut link, &change);
    (held, link.did)
}

#[test]
fn what_was_said_at_a_speed_leaves_at_it() {
    let (held, did) = change(60, u32::MAX, None, true);
    assert!(held);
    assert_eq!(did, ["60 out, 0 in", "40 out, 0 in", "drained", "19200"]);
    // A line that takes nothing stays as it is.
    let (held, did) = change(0, u32::MAX, None, true);
    assert!(!held);
    assert_eq!(did, ["0 out, 0 in"]);
    // On the way back from a speed that nobody understands there is no reason to wait.
    let (held, did) = change(0, u32::MAX, None, false);
    assert!(held);
    assert_eq!(did, ["19200"]);
}

#[test]
fn a_speed_is_tried_and_left_again_unless_the_link_refuses_it() {
    let (held, did) = change(100, u32::MAX, Some(9_600), true);
    assert!(held);
    assert_eq!(did[2..], ["19200", "9600"]);
    let (held, did) = change(100, 9_600, Some(9_600), true);
    assert!(!held);
    assert_eq!(did[2..], ["19200"]);
}

/// Always has something to say, and something that is due.
struct Pressed;

impl Machine for Pressed {
    type Event = ();
    type Request = ();
    type Outcome = ();

    fn handle_input(&mut self, _bytes: &[u8], _now: Instant) {}
    fn handle_timeout(&mut self, _now: Instant) {}
    fn handle_closed(&mut self, _now: Instant) {}
    fn handle_done(&mut self, _id: RequestId, _outcome: (), _now: Instant) {}
    fn poll_transmit(&mut self, _now: Instant, out: &mut Vec<u8>) -> Option<usize> {
        out.extend_from_slice(&[0; 100]);
        Some(100)
    }
    fn poll_request(&mut self) -> Option<(RequestId, ())> {
        None
    }
    fn speed_change((): &()) -> Option<SpeedChange> {
        None
    }
    fn speed_changed(_held: bool) {}
    fn poll_event(&mut self) -> Option<()> {
        None
    }
    fn poll_timeout(&self) -> Option<Instant> {
        Some(Instant::ZERO)
    }
    fn is_finished(&self) -> bool {
        false
    }
}

impl Shell<Pressed> for Told {
    fn serve(&mut self, (): ()) {}
    fn event(&mut self, (): (), _machine: &Pressed) {}
}

#[test]
fn what_is_due_while_the_link_is_full_waits_for_the_link() {
    let (mut link, mut told) = (Stuck::default(), Told::default());
    let mut driver = Driver::new();
    for _ in 0..100 {
        let round = driver.round(&mut link, &mut Pressed, &mut told, &mut NoTape);
        assert_eq!(round.unwrap(), Round::Going);
    }
    assert!(link.clock().now() >= 99 * FULL_PATIENCE);
}
