//! The one loop that owns a link and a clock, and drives a machine with them.

use std::time::Duration;

use nx_transport::{Transport, TransportError};

use crate::machine::{Machine, RequestId};
use crate::speed::SpeedChange;
use crate::time::Instant;

/// Bytes that may wait for the link before the machine is asked for another frame. Small,
/// so that a repeated frame does not queue behind many new ones.
const QUEUE_BYTES: usize = 2_048;
/// Bytes taken from the link at once: two of the largest slices, so that a fast link costs few
/// calls of the system.
const INPUT_BYTES: usize = 64 * 1_024;
/// Bytes that a machine takes before it may answer: few enough that an acknowledgement can name
/// all the runs of small frames in them.
const PIECE_BYTES: usize = 8 * 1_024;
/// Time given to requests before the link is looked at again.
const SERVE_FOR: Duration = Duration::from_millis(50);
/// Longest wait for an answer of the shell before the link is looked at again, which cannot be
/// waited for meanwhile.
const ANSWER_PATIENCE: Duration = Duration::from_millis(1);
/// Longest wait, so that a stop asked for by a signal is seen.
const PATIENCE: Duration = Duration::from_millis(200);
/// Shortest wait for a link that takes nothing: what is due could not go out anyway.
const FULL_PATIENCE: Duration = Duration::from_millis(5);
/// How long the link may take for what a finished machine has left to say.
const REMAINS_FOR: Duration = Duration::from_secs(1);
/// How long what was said at a speed may take to leave before the speed is changed.
const DRAIN_FOR: Duration = Duration::from_secs(1);

/// What surrounds a machine: storage or image data, and somebody who listens.
pub trait Shell<M: Machine> {
    /// Answers a request.
    fn serve(&mut self, request: M::Request) -> M::Outcome;
    /// Takes a request, and answers it at once, or not yet: then [`answer`](Self::answer) gives
    /// the answer. A shell that always answers at once has [`serve`](Self::serve) do so.
    fn take(&mut self, id: RequestId, request: M::Request) -> Option<M::Outcome> {
        let _ = id;
        Some(self.serve(request))
    }
    /// The next answer to a request that was taken and not answered at once, waited for at most so
    /// long.
    fn answer(&mut self, patience: Duration) -> Option<(RequestId, M::Outcome)> {
        let _ = patience;
        None
    }
    /// Whether a request is taken and not answered yet. Only on a link in real time.
    fn owes_answers(&self) -> bool {
        false
    }
    /// Takes note of an event.
    fn event(&mut self, event: M::Event, machine: &M);
    /// Called once a round: the place to stop the machine, or to show progress.
    fn tick(&mut self, machine: &mut M, now: Instant) {
        let _ = (machine, now);
    }
}

/// Sees everything that goes into a machine and comes out of it, in order. All calls of
/// the machine that follow a [`Tape::round`] get its time.
pub trait Tape<M: Machine>: std::fmt::Debug {
    /// A round begins.
    fn round(&mut self, now: Instant) {
        let _ = now;
    }
    /// `handle_input`.
    fn input(&mut self, bytes: &[u8]) {
        let _ = bytes;
    }
    /// `handle_timeout`.
    fn timeout(&mut self) {}
    /// `handle_closed`.
    fn closed(&mut self) {}
    /// `poll_request` gave a request that is not answered yet.
    fn asked(&mut self, id: RequestId) {
        let _ = id;
    }
    /// `handle_done`, and before it, but for what was [asked](Self::asked), `poll_request`.
    fn done(&mut self, id: RequestId, outcome: &M::Outcome) {
        let _ = (id, outcome);
    }
    /// `poll_transmit` gave this frame.
    fn transmit(&mut self, frame: &[u8]) {
        let _ = frame;
    }
    /// `poll_transmit` gave nothing.
    fn idle(&mut self) {}
    /// `poll_event` gave this.
    fn event(&mut self, event: &M::Event) {
        let _ = event;
    }
}

/// Records nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTape;

impl<M: Machine> Tape<M> for NoTape {}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// There is more to do.
    Going,
    /// The machine is finished, and what it said has been handed over, unless the link did not
    /// take it in time.
    Finished,
    /// The link is closed; the machine knows.
    Closed,
}

/// The bytes between a machine and a link.
#[derive(Debug)]
pub struct Driver {
    out: Vec<u8>,
    sent: usize,
    inp: Box<[u8]>,
    /// When the machine was seen to be finished.
    finished_at: Option<Instant>,
}

impl Default for Driver {
    fn default() -> Self {
        Self {
            out: Vec::new(),
            sent: 0,
            inp: vec![0; INPUT_BYTES].into_boxed_slice(),
            finished_at: None,
        }
    }
}

impl Driver {
    /// Nothing is under way.
    pub fn new() -> Self {
        Self::default()
    }

    /// What waits for the link is for a peer that is gone.
    pub fn forget(&mut self) {
        self.out.clear();
        self.sent = 0;
    }

    /// One round: serve requests, send, tell events, move bytes.
    ///
    /// # Errors
    /// What the link reports, but for its closing, which is a way for a round to end.
    pub fn round<M: Machine>(
        &mut self,
        link: &mut dyn Transport,
        machine: &mut M,
        shell: &mut dyn Shell<M>,
        tape: &mut dyn Tape<M>,
    ) -> Result<Round, TransportError> {
        let clock = link.clock();
        let mut now = Instant::from(clock.now());
        tape.round(now);
        shell.tick(machine, now);
        let more_requests = loop {
            if let Some((id, outcome)) = shell.answer(Duration::ZERO) {
                tape.done(id, &outcome);
                machine.handle_done(id, outcome, now);
            } else if let Some((id, request)) = machine.poll_request() {
                let outcome = match M::speed_change(&request) {
                    Some(change) => {
                        let held = self.change_speed(link, &change);
                        now = Instant::from(clock.now());
                        tape.round(now);
                        Some(M::speed_changed(held))
                    }
                    None => shell.take(id, request),
                };
                match outcome {
                    Some(outcome) => {
                        tape.done(id, &outcome);
                        machine.handle_done(id, outcome, now);
                    }
                    None => tape.asked(id),
                }
            } else {
                break false;
            }
            if Instant::from(clock.now()).since(now) >= SERVE_FOR {
                break true;
            }
        };
        self.fill(machine, now, tape);
        while let Some(event) = machine.poll_event() {
            tape.event(&event);
            shell.event(event, machine);
        }
        let remains_for = self.remains_for(machine.is_finished(), now);
        if remains_for.is_some_and(|left| left.is_zero()) {
            self.forget();
            return Ok(Round::Finished);
        }
        let patience = match (more_requests, remains_for) {
            (true, _) => Duration::ZERO,
            (false, Some(left)) => left.min(PATIENCE),
            (false, None) => self.patience(machine.poll_timeout(), clock.now().into()),
        };
        let owes = shell.owes_answers();
        let (patience, answer_patience) = match owes {
            true => (Duration::ZERO, patience.min(ANSWER_PATIENCE)),
            false => (patience, Duration::ZERO),
        };
        let pending = self.out.get(self.sent..).unwrap_or_default();
        let moved = match link.exchange(pending, &mut self.inp, patience) {
            Ok(moved) => moved,
            Err(error) if error.is_closed() => {
                let now = Instant::from(clock.now());
                self.forget();
                tape.round(now);
                tape.closed();
                machine.handle_closed(now);
                while let Some(event) = machine.poll_event() {
                    tape.event(&event);
                    shell.event(event, machine);
                }
                return Ok(Round::Closed);
            }
            Err(error) => return Err(error),
        };
        self.sent = self.sent.saturating_add(moved.sent);
        let answer = if owes && moved.is_nothing() {
            shell.answer(answer_patience)
        } else {
            None
        };
        let now = Instant::from(clock.now());
        tape.round(now);
        if let Some((id, outcome)) = answer {
            tape.done(id, &outcome);
            machine.handle_done(id, outcome, now);
        }
        let inp = std::mem::take(&mut self.inp);
        let arrived = inp.get(..moved.received).unwrap_or_default();
        for (number, bytes) in arrived.chunks(PIECE_BYTES).enumerate() {
            if number > 0 {
                self.fill(machine, now, tape);
            }
            tape.input(bytes);
            machine.handle_input(bytes, now);
        }
        self.inp = inp;
        // Not only when nothing came: a chatty peer must not hold off our timers.
        if machine.poll_timeout().is_some_and(|at| at <= now) {
            tape.timeout();
            machine.handle_timeout(now);
        }
        Ok(Round::Going)
    }

    /// Has the link change its speed; returns whether it did.
    fn change_speed(&mut self, link: &mut dyn Transport, change: &SpeedChange) -> bool {
        if change.drain && !(self.hand_over(link) && link.drain(DRAIN_FOR).is_ok()) {
            return false;
        }
        let held = link.set_baud(change.baud).is_ok();
        match change.back {
            Some(back) if held => link.set_baud(back).is_ok(),
            _ => held,
        }
    }

    /// Hands over all that waits for the link; returns whether it was taken in time.
    fn hand_over(&mut self, link: &mut dyn Transport) -> bool {
        let clock = link.clock();
        let until = clock.now().saturating_add(DRAIN_FOR);
        while !self.pending().is_empty() {
            let left = until.saturating_sub(clock.now());
            if left.is_zero() {
                return false;
            }
            let pending = self.out.get(self.sent..).unwrap_or_default();
            // A link that fails says so again.
            match link.exchange(pending, &mut [], left) {
                Ok(moved) => self.sent = self.sent.saturating_add(moved.sent),
                Err(_) => return false,
            }
        }
        true
    }

    /// How long what a finished machine has left to say may wait for the link: it may matter to
    /// the peer, but not for ever.
    fn remains_for(&mut self, finished: bool, now: Instant) -> Option<Duration> {
        if !finished {
            self.finished_at = None;
            return None;
        }
        let since = *self.finished_at.get_or_insert(now);
        Some(if self.pending().is_empty() {
            Duration::ZERO
        } else {
            REMAINS_FOR.saturating_sub(now.since(since))
        })
    }

    /// How long the link may take, with the machine's timer due at this time.
    fn patience(&self, due_at: Option<Instant>, now: Instant) -> Duration {
        let is_full = self.pending().len() >= QUEUE_BYTES;
        let least = if is_full {
            FULL_PATIENCE
        } else {
            Duration::ZERO
        };
        due_at.map_or(PATIENCE, |at| at.since(now).clamp(least, PATIENCE))
    }

    fn pending(&self) -> &[u8] {
        self.out.get(self.sent..).unwrap_or_default()
    }

    fn fill<M: Machine>(&mut self, machine: &mut M, now: Instant, tape: &mut dyn Tape<M>) {
        self.out.drain(..self.sent.min(self.out.len()));
        self.sent = 0;
        while self.out.len() < QUEUE_BYTES {
            let before = self.out.len();
            if machine.poll_transmit(now, &mut self.out).is_none() {
                tape.idle();
                break;
            }
            tape.transmit(self.out.get(before..).unwrap_or_default());
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "the tests' own small numbers"
)]
mod tests;
