//! What a device answers to `HELLO`, and a session that it takes back.

use alloc::boxed::Box;
use core::time::Duration;

use crate::host::calling::Calling;
use crate::host::event::{Event, Failure};
use crate::host::job::Running;
use crate::host::state::{Host, State};
use crate::session::Channel;
use crate::time::Instant;
use crate::wire::{BAUD_BIT, Frame, Refusal, RejectCode, VERSION, Welcome};

/// Sessions that may be lost to another host before this one leaves it the device.
const SESSIONS_LOST_MAX: u32 = 3;
/// A session that lasted so long was not taken by a host that fights for the device.
const SESSION_LASTS: Duration = Duration::from_secs(10);

/// Bytes of a `HELLO` and of the frame around its answer, at least.
const HELLO_BYTES: usize = 55;

impl Host {
    pub(super) fn welcome(&mut self, frame: &Frame<'_>, now: Instant) {
        let State::Calling(calling) = &self.state else {
            return;
        };
        let round_trip = calling.round_trip(now);
        let Ok(welcome) = Welcome::parse(frame.payload) else {
            return;
        };
        if welcome.nonce != self.nonce {
            return;
        }
        if welcome.version != VERSION {
            let (min, max) = (welcome.version, welcome.version);
            self.fail(Failure::Version { min, max }, now);
            return;
        }
        self.last_progress = now;
        self.last_heard = now;
        self.session_since = now;
        if self.boot.replace(welcome.boot) != Some(welcome.boot) {
            // It restarted: nobody took it.
            self.sessions_lost = 0;
            self.speed.forget_losses();
        }
        let mut channel = Channel::new(welcome.session, now);
        if let Some(round_trip) = round_trip {
            let bytes = frame.payload.len().saturating_add(HELLO_BYTES);
            channel.took(round_trip, bytes);
        }
        let job = Running::begin(
            &self.config.job,
            &mut channel,
            welcome.slice_max,
            welcome.window,
            welcome.codecs & self.config.codecs,
        );
        let job = Box::new(job);
        self.state = State::Running { channel, job };
        if welcome.codecs & BAUD_BIT != 0 {
            self.speed.begin(now);
        }
        self.events.push_back(Event::Connected {
            session: welcome.session,
            boot: welcome.boot,
            board: welcome.board,
        });
    }

    pub(super) fn refused(&mut self, frame: &Frame<'_>, now: Instant) {
        let Ok(refusal) = Refusal::parse(frame.payload) else {
            return;
        };
        match (&self.state, refusal.known_code()) {
            (State::Calling(_), Some(RejectCode::Version))
                if refusal.nonce == self.nonce || refusal.nonce == 0 =>
            {
                let (min, max) = (refusal.version_min, refusal.version_max);
                self.fail(Failure::Version { min, max }, now);
            }
            (State::Running { channel, .. }, Some(RejectCode::Session))
                if refusal.session == channel.session() =>
            {
                if now.since(self.session_since) >= SESSION_LASTS {
                    self.sessions_lost = 0;
                }
                self.sessions_lost = self.sessions_lost.saturating_add(1);
                if self.sessions_lost > SESSIONS_LOST_MAX {
                    self.remember();
                    self.state = State::Ended;
                    self.events.push_back(Event::Failed(Failure::TakenOver));
                } else {
                    self.events.push_back(Event::SessionLost);
                    self.call_again(now);
                }
            }
            (State::Leaving { channel, .. }, Some(RejectCode::Session))
                if refusal.session == channel.session() =>
            {
                self.leave();
            }
            _ => {}
        }
    }

    fn call_again(&mut self, now: Instant) {
        self.remember();
        self.last_progress = now;
        // What is still missing is asked for again in the next session.
        self.past.blocks_needed = self.past.blocks_sent;
        self.nonce = self.nonce.wrapping_add(1);
        self.forget_asked();
        self.speed.call_again();
        self.state = State::Calling(Calling::new(now));
    }
}
