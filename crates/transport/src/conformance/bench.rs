//! Runs the two ends of a link in threads of their own, and never waits for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::conformance::Outcome;
use crate::{Caps, Moved, Transport, TransportError};

/// Real time after which a thread counts as hung. Far beyond what a loaded machine needs.
const HUNG: Duration = Duration::from_secs(120);

/// Time without any progress, on the link's clock, after which a transfer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// How late a call may be on real time: a loaded machine runs a thread late.
const LATE: Duration = Duration::from_secs(10);

/// Wait of one call where the length does not matter.
const STEP: Duration = Duration::from_millis(20);

/// What a thread of a claim comes to: nothing, or what went wrong.
pub(super) type Done = Result<(), String>;

/// Two connected ends.
#[derive(Debug)]
pub(super) struct Ends {
    /// The end that the claim is about.
    subject: Box<dyn Transport>,
    partner: Box<dyn Transport>,
}

/// One end, in its thread.
#[derive(Debug)]
pub(super) struct End {
    link: Box<dyn Transport>,
    done: Arc<AtomicBool>,
    other_done: Arc<AtomicBool>,
}

impl Ends {
    pub(super) const fn new(subject: Box<dyn Transport>, partner: Box<dyn Transport>) -> Self {
        Self { subject, partner }
    }

    pub(super) fn caps(&self) -> Caps {
        self.subject.caps()
    }

    /// Whether both ends promise that.
    pub(super) fn both(&self, promised: fn(Caps) -> bool) -> bool {
        promised(self.subject.caps()) && promised(self.partner.caps())
    }

    /// Runs each end in a thread of its own, until both are done.
    pub(super) fn play(
        self,
        subject: impl FnOnce(&mut End) -> Done + Send + 'static,
        partner: impl FnOnce(End) -> Done + Send + 'static,
    ) -> Outcome {
        let flags = [
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        ];
        let [ours, theirs] = flags;
        let mut one = End {
            link: self.subject,
            done: Arc::clone(&ours),
            other_done: Arc::clone(&theirs),
        };
        let other = End {
            link: self.partner,
            done: theirs,
            other_done: ours,
        };
        let (report, reports) = mpsc::channel();
        let partner_report = report.clone();
        // Detached: a thread that hangs inside the driver must not hang the suite.
        thread::spawn(move || {
            let result = subject(&mut one);
            one.done.store(true, Ordering::SeqCst);
            drop(one);
            let _ = report.send(result.map_err(|why| format!("the end under test: {why}")));
        });
        thread::spawn(move || {
            let result = partner(other);
            let _ = partner_report.send(result.map_err(|why| format!("its partner: {why}")));
        });
        let mut failures = Vec::new();
        for _ in 0..2 {
            match reports.recv_timeout(HUNG) {
                Ok(Ok(())) => {}
                Ok(Err(why)) => failures.push(why),
                Err(_) => {
                    failures.push("a call never returned, or a thread panicked".to_owned());
                    break;
                }
            }
        }
        if failures.is_empty() {
            Outcome::Passed
        } else {
            Outcome::Failed(failures.join("; "))
        }
    }
}

impl End {
    pub(super) fn link(&mut self) -> &mut dyn Transport {
        &mut *self.link
    }

    /// One call, which must keep to its timeout.
    pub(super) fn exchange(
        &mut self,
        out: &[u8],
        inp: &mut [u8],
        timeout: Duration,
    ) -> Result<Result<Moved, TransportError>, String> {
        let clock = self.link.clock();
        let start = clock.now();
        let result = self.link.exchange(out, inp, timeout);
        let took = clock.now().saturating_sub(start);
        let late = if clock.is_virtual() {
            Duration::from_millis(1)
        } else {
            LATE
        };
        if took > timeout.saturating_add(late) {
            return Err(format!(
                "a call with a timeout of {timeout:?} took {took:?}"
            ));
        }
        match result {
            Ok(moved) if moved.sent > out.len() || moved.received > inp.len() => {
                Err(format!("a call moved more than it was given: {moved:?}"))
            }
            Ok(moved) if moved.is_nothing() && took.saturating_add(STEP) < timeout => Err(format!(
                "a call with a timeout of {timeout:?} gave up after {took:?}"
            )),
            other => Ok(other),
        }
    }

    /// Sends `out` and receives until `inp` is full, both at once.
    pub(super) fn transfer(&mut self, out: &[u8], inp: &mut [u8]) -> Done {
        let clock = self.link.clock();
        let (mut sent, mut received) = (0_usize, 0_usize);
        let mut progress = clock.now();
        while sent < out.len() || received < inp.len() {
            let to_send = out.get(sent..).unwrap_or_default();
            let room = inp.get_mut(received..).unwrap_or_default();
            let moved = self
                .exchange(to_send, room, STEP)?
                .map_err(|error| format!("after {sent} sent, {received} received: {error}"))?;
            sent = sent.saturating_add(moved.sent);
            received = received.saturating_add(moved.received);
            if !moved.is_nothing() {
                progress = clock.now();
            } else if clock.now().saturating_sub(progress) > PATIENCE {
                return Err(format!(
                    "no progress after {sent} of {} bytes sent, {received} of {} received",
                    out.len(),
                    inp.len()
                ));
            }
        }
        Ok(())
    }

    pub(super) fn send(&mut self, out: &[u8]) -> Done {
        self.transfer(out, &mut [])
    }

    /// Receives as many bytes as `want` has, which must be those.
    pub(super) fn receive(&mut self, want: &[u8]) -> Done {
        let mut inp = vec![0; want.len()];
        self.transfer(&[], &mut inp)?;
        same(&inp, want)
    }

    /// Receives until `Closed`.
    pub(super) fn receive_until_closed(&mut self, out: &[u8]) -> Result<Vec<u8>, String> {
        let clock = self.link.clock();
        let start = clock.now();
        let (mut read, mut inp) = (Vec::new(), [0; 256]);
        while clock.now().saturating_sub(start) <= PATIENCE {
            match self.exchange(out, &mut inp, STEP)? {
                Ok(moved) => read.extend(inp.iter().take(moved.received)),
                Err(error) if error.is_closed() => return Ok(read),
                Err(error) => return Err(format!("instead of `Closed`: {error}")),
            }
        }
        Err(format!(
            "no `Closed` within {PATIENCE:?} after the other end was dropped"
        ))
    }

    /// Neither sends nor receives until the other end is done.
    pub(super) fn idle_until_other_done(&mut self) -> Done {
        while !self.other_done.load(Ordering::SeqCst) {
            match self.exchange(&[], &mut [], STEP)? {
                Ok(moved) if moved.is_nothing() => {}
                Ok(moved) => return Err(format!("moved {moved:?} with nothing to move")),
                Err(error) if error.is_closed() => break,
                Err(error) => return Err(format!("while idle: {error}")),
            }
        }
        Ok(())
    }

    /// Says that this end is done, for [`idle_until_other_done`](Self::idle_until_other_done).
    pub(super) fn say_done(&self) {
        self.done.store(true, Ordering::SeqCst);
    }
}

/// Whether two byte strings are the same; if not, where they first differ.
pub(super) fn same(got: &[u8], want: &[u8]) -> Done {
    if got == want {
        return Ok(());
    }
    let at = got
        .iter()
        .zip(want)
        .take_while(|(got, want)| got == want)
        .count();
    Err(format!(
        "{} bytes arrived, {} were sent; the first difference is at byte {at}",
        got.len(),
        want.len()
    ))
}
