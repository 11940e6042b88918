//! Who gets a session, who is turned away, and how a session ends.

use alloc::vec::Vec;
use core::time::Duration;

use crate::device::desk::Purpose;
use crate::device::event::Event;
use crate::device::request::Request;
use crate::device::session::{Reboot, Session, Stage, Welcomed};
use crate::device::state::Device;
use crate::limits::SLICE_BYTES_MAX;
use crate::session::Channel;
use crate::time::Instant;
use crate::wire::{Frame, Hello, Kind, Refusal, RejectCode, VERSION, Welcome};

/// At most one `REFUSE` in this time.
const REFUSE_EVERY: Duration = Duration::from_millis(100);

impl Device {
    pub(super) fn hello(&mut self, frame: &Frame<'_>, now: Instant) {
        let Ok(hello) = Hello::parse(frame.payload) else {
            return;
        };
        if let Some(session) = self.session.as_mut().filter(|s| s.nonce == hello.nonce) {
            session.last_heard = now;
            self.welcome_due = true;
            return;
        }
        if !(hello.version_min..=hello.version_max).contains(&VERSION) {
            self.refuse(RejectCode::Version, hello.nonce, 0, now);
            return;
        }
        if self.session.is_some() {
            self.end(Some(Event::Superseded));
        }
        self.sessions = self.sessions.wrapping_add(1);
        if self.sessions == 0 {
            self.sessions = 1;
        }
        let id = (self.config.boot << 16) | u32::from(self.sessions);
        let welcome = Welcome {
            version: VERSION,
            nonce: hello.nonce,
            session: id.max(1),
            boot: self.config.boot,
            window: self.config.window_bytes,
            slice_max: u32::try_from(SLICE_BYTES_MAX).unwrap_or(u32::MAX),
            codecs: hello.codecs & (self.config.codecs | self.speed_bit()),
            last_good_seq: self.last_good_seq,
            board: self.config.board.clone().unwrap_or_default(),
            profile: self.config.profile,
        };
        let mut channel = Channel::new(welcome.session, now);
        channel.set_grant(self.config.window_bytes, 0, 0);
        if self.status.slots.is_some() {
            // The running system may have been confirmed meanwhile.
            self.desk.ask(Request::Status, Purpose::Status);
        }
        self.desk.tell(Event::Hello {
            host: hello.host,
            version: VERSION,
            session: welcome.session,
        });
        self.session = Some(Session {
            channel,
            nonce: hello.nonce,
            welcome,
            last_heard: now,
            stage: Stage::Idle,
            reboot: None,
            welcomed: None,
            has_refused: false,
            asked_early: Vec::new(),
            busy_at: None,
        });
        self.welcome_due = true;
    }

    pub(super) fn refuse(&mut self, code: RejectCode, nonce: u64, session: u32, now: Instant) {
        if self
            .refused_at
            .is_some_and(|at| now.since(at) < REFUSE_EVERY)
        {
            return;
        }
        self.refused_at = Some(now);
        self.refusal = Some(Refusal {
            code: code.number(),
            nonce,
            session,
            version_min: VERSION,
            version_max: VERSION,
        });
    }

    pub(super) fn end(&mut self, event: Option<Event>) {
        let Some(mut session) = self.session.take() else {
            return;
        };
        self.last_good_seq = session.channel.last_good_seq();
        self.welcome_due = false;
        self.desk.forget();
        if let Stage::Transfer(transfer) = &mut session.stage {
            transfer.abandon(&mut self.desk);
        }
        self.desk.ask(Request::Status, Purpose::Status);
        // The host was promised a restart: that it left does not take it back.
        if let Some(Reboot {
            target, told: true, ..
        }) = session.reboot
        {
            self.desk.tell(Event::Reboot(target));
        }
        if let Some(event) = event {
            self.desk.tell(event);
        }
    }

    /// What belongs to no session: welcomes and refusals.
    pub(super) fn transmit_aside(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<usize> {
        let mut payload = Vec::new();
        // An offer is judged by what the store holds: no host is let in before that is known.
        let welcomes = self.welcome_due && !self.desk.awaits_status();
        let kind = match self.session.as_mut().filter(|_| welcomes) {
            Some(session) => {
                session.welcome.emit(&mut payload);
                session.welcomed = Some(match session.welcomed {
                    None => Welcomed::Once(now),
                    Some(Welcomed::Heard) => Welcomed::Heard,
                    Some(_) => Welcomed::Again,
                });
                self.welcome_due = false;
                Kind::Welcome
            }
            None => {
                self.refusal.take()?.emit(&mut payload);
                Kind::Refuse
            }
        };
        let seq = self.aside_seq;
        self.aside_seq = seq.wrapping_add(1);
        Some(Frame::new(kind, 0, seq, &payload).emit(out))
    }
}
