//! How a job ends.

use alloc::boxed::Box;
use core::time::Duration;

use crate::host::event::{Event, Failure, Request};
use crate::host::job::queue;
use crate::host::state::{Host, State};
use crate::time::Instant;
use crate::wire::{AbortReason, FromHost};

/// How long the end of a session is waited for.
pub(super) const FAREWELL: Duration = Duration::from_secs(3);

impl Host {
    /// The job is over: tells the device, if there is a session.
    pub(super) fn part(&mut self, reason: AbortReason, outcome: Event, now: Instant) {
        self.forget_asked();
        self.speed.cancel();
        self.remember();
        match core::mem::replace(&mut self.state, State::Ended) {
            State::Running { mut channel, .. } => {
                self.past.subtract_channel(&channel);
                queue(&mut channel, &FromHost::Abort { reason });
                self.state = State::Leaving {
                    channel,
                    until: now.after(FAREWELL),
                    outcome: Box::new(outcome),
                };
            }
            State::Leaving {
                channel,
                until,
                outcome,
            } => {
                self.state = State::Leaving {
                    channel,
                    until,
                    outcome,
                };
            }
            State::Calling(_) => self.events.push_back(outcome),
            State::Ended => {}
        }
    }

    pub(super) fn leave(&mut self) {
        if let State::Leaving {
            channel, outcome, ..
        } = core::mem::replace(&mut self.state, State::Ended)
        {
            self.past.add_channel(&channel);
            self.events.push_back(*outcome);
        }
    }

    pub(super) fn fail(&mut self, failure: Failure, now: Instant) {
        let reason = match failure {
            Failure::Stopped => AbortReason::Operator,
            _ => AbortReason::Failed,
        };
        self.part(reason, Event::Failed(failure), now);
    }

    pub(super) fn give_up(&mut self, now: Instant) {
        let waited = now.since(self.last_progress);
        if waited < self.config.give_up_after {
            return;
        }
        let millis = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        let failure = match (&self.state, self.received_bytes) {
            (State::Calling(_), 0) => Failure::Silent { millis },
            (State::Calling(_), bytes) if !self.frames_seen => Failure::NotADevice {
                bytes,
                echo: self.echo_seen,
            },
            _ => Failure::Stalled { millis },
        };
        // Nobody listens: there is nobody to part from.
        self.remember();
        self.forget_asked();
        self.state = State::Ended;
        self.events.push_back(Event::Failed(failure));
    }

    /// Nobody waits for the image's bytes any more. What the line does is of interest still.
    pub(super) fn forget_asked(&mut self) {
        self.asked
            .retain(|_, request| matches!(request, Request::Speed(_)));
    }

    /// Keeps what a session cost when it ends.
    pub(super) fn remember(&mut self) {
        let progress = self.progress();
        self.past = progress;
    }
}
