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
