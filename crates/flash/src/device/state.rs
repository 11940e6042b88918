//! The device's machine: what comes in, and who deals with it.

use alloc::string::ToString as _;
use alloc::vec::Vec;

use crate::device::config::DeviceConfig;
use crate::device::desk::{Desk, Purpose};
use crate::device::event::Event;
use crate::device::offer::Refused;
use crate::device::request::{Outcome, Request, StoreStatus};
use crate::device::session::{Session, Stage, Welcomed};
use crate::device::speed::Speed;
use crate::device::transfer::say;
use crate::limits::{BUSY_EVERY, MESSAGES_IN_FLIGHT_MAX};
use crate::machine::{Machine, RequestId};
use crate::session::{Handled, Incoming as FromLink, Intake};
use crate::speed::SpeedChange;
use crate::time::Instant;
use crate::wire::{
    BAUD_BIT, Baud, Frame, FromDevice, FromHost, Kind, Refusal, RejectCode, SlotsInfo,
};

/// Answers that may wait for a host that asks and does not listen.
const ANSWERS_QUEUED_MAX: usize = 4 * MESSAGES_IN_FLIGHT_MAX;

/// The device's half of the protocol. No I/O, no clock.
#[derive(Debug)]
pub struct Device {
    pub(super) config: DeviceConfig,
    pub(super) intake: Intake,
    pub(super) desk: Desk,
    pub(super) session: Option<Session>,
    pub(super) sessions: u16,
    pub(super) status: StoreStatus,
    /// What was told last of a disk with two slots.
    pub(super) told_slots: Option<Option<SlotsInfo>>,
    pub(super) welcome_due: bool,
    pub(super) refusal: Option<Refusal>,
    pub(super) aside_seq: u32,
    pub(super) refused_at: Option<Instant>,
    pub(super) last_good_seq: u32,
    pub(super) damaged_frames: u64,
    /// The acknowledgement of a farewell.
    pub(super) last_words: Vec<u8>,
    pub(super) speed: Speed,
}

/// Bytes of a `WELCOME` and of the frame around its answer, at least.
const WELCOME_BYTES: usize = 70;

impl Device {
    /// A device that waits for a host. It begins by asking its storage what there is.
    pub fn new(config: DeviceConfig) -> Self {
        let mut desk = Desk::default();
        desk.ask(Request::Status, Purpose::Status);
        let speed = Speed::new(config.baud);
        Self {
            config,
            intake: Intake::new(),
            desk,
            session: None,
            sessions: 0,
            status: StoreStatus::default(),
            told_slots: None,
            welcome_due: false,
            refusal: None,
            aside_seq: 0,
            refused_at: None,
            last_good_seq: 0,
            damaged_frames: 0,
            last_words: Vec::new(),
            speed,
        }
    }

    /// Whether a host has a session.
    pub const fn has_session(&self) -> bool {
        self.session.is_some()
    }

    /// Frames that arrived damaged.
    pub const fn damaged_frames(&self) -> u64 {
        self.damaged_frames
    }

    /// Ends the session, if there is one; what was received is made durable.
    pub fn stop(&mut self) {
        self.end(None);
    }

    fn incoming(&mut self, incoming: FromLink<'_>, now: Instant) {
        match incoming {
            FromLink::Frame(frame) => self.frame(&frame, now),
            FromLink::OtherVersion(_) => self.refuse(RejectCode::Version, 0, 0, now),
            FromLink::Damaged => self.damaged_frames = self.damaged_frames.saturating_add(1),
            FromLink::Console(_) => {}
        }
    }

    fn frame(&mut self, frame: &Frame<'_>, now: Instant) {
        match Kind::from_number(frame.kind) {
            Some(Kind::Hello) => self.hello(frame, now),
            // Only a device says these: another one, or our own echo.
            Some(Kind::Welcome | Kind::Refuse | Kind::Busy) => {}
            Some(_) => self.session_frame(frame, now),
            None => self.refuse(RejectCode::UnknownKind, 0, frame.session, now),
        }
    }

    fn session_frame(&mut self, frame: &Frame<'_>, now: Instant) {
        let current = self
            .session
            .as_mut()
            .filter(|s| s.channel.session() == frame.session);
        let Some(session) = current else {
            let kind = Kind::from_number(frame.kind);
            // A host that only waits sends nothing but acknowledgements. To those of a host that
            // another one took the place of there is nothing to say.
            let waits = kind == Some(Kind::Ack) && self.session.is_none();
            if waits || kind.is_some_and(Kind::is_acknowledged) {
                self.refuse(RejectCode::Session, 0, frame.session, now);
            }
            return;
        };
        session.last_heard = now;
        self.speed.heard(now);
        if let Some(Welcomed::Once(at)) = session.welcomed.replace(Welcomed::Heard) {
            let bytes = frame.payload.len().saturating_add(WELCOME_BYTES);
            session.channel.took(now.since(at), bytes);
        }
        if frame.kind == Kind::Baud.number() {
            if let Some(baud) = Baud::of(frame) {
                self.speed.frame(baud, now);
                self.settle_speed();
            }
            return;
        }
        let result = match session.channel.handle_frame(frame, now) {
            Handled::Payload => {
                session.payload(frame, &self.config, &self.status, &mut self.desk, now)
            }
            Handled::Malformed => Err((
                RejectCode::Malformed,
                "frame payload is malformed".to_string(),
            )),
            Handled::Done | Handled::Foreign => Ok(()),
        };
        self.settle(result, now);
        self.take_messages(now);
        self.pump();
    }

    fn take_messages(&mut self, now: Instant) {
        while let Some(body) = self.next_message() {
            let result = match FromHost::parse(&body) {
                Ok(message) => self.message(message, now),
                Err(error) => Err((RejectCode::Malformed, error.to_string())),
            };
            self.settle(result, now);
        }
    }

    /// The next message, if the host has taken the answers to those before, and what the store
    /// holds is known.
    fn next_message(&mut self) -> Option<Vec<u8>> {
        if self.desk.awaits_status() {
            return None;
        }
        let channel = &mut self.session.as_mut()?.channel;
        if channel.queued() >= ANSWERS_QUEUED_MAX {
            return None;
        }
        channel.next_message()
    }

    /// Tells the host about a refusal; the transfer ends with it, and what is staged stays.
    fn settle(&mut self, result: Result<(), Refused>, now: Instant) {
        let Err((code, detail)) = result else { return };
        let Some(session) = &mut self.session else {
            return;
        };
        self.desk.forget();
        if let Stage::Transfer(transfer) = &mut session.stage {
            transfer.abandon(&mut self.desk);
        }
        session.stage = Stage::Idle;
        session.has_refused = true;
        session.busy_at = None;
        session.last_heard = now;
        if session.channel.queued() < ANSWERS_QUEUED_MAX {
            let rejected = FromDevice::rejected(code, detail.clone());
            say(&mut session.channel, &rejected);
        }
        self.desk.tell(Event::Rejected { code, detail });
        self.desk.ask(Request::Status, Purpose::Status);
    }

    /// What is left of the codecs of a host: what this device can do.
    pub(super) const fn speed_bit(&self) -> u32 {
        if self.speed.is_known() { BAUD_BIT } else { 0 }
    }

    /// What the line's speed asks for and tells.
    fn settle_speed(&mut self) {
        if let Some(change) = self.speed.poll_request() {
            self.desk.ask(Request::Speed(change), Purpose::Speed);
        }
        if let Some(baud) = self.speed.poll_news() {
            self.desk.tell(Event::BaudChanged { baud });
        }
    }

    fn pump(&mut self) {
        if let Some(Session {
            channel,
            stage: Stage::Transfer(transfer),
            ..
        }) = &mut self.session
        {
            transfer.pump(channel, &mut self.desk);
        }
    }

    /// What does not come from outside: restarts that are due, sessions that fell silent.
    fn tick(&mut self, now: Instant) {
        self.speed.handle_timeout(self.session.is_some(), now);
        self.settle_speed();
        let Some(session) = &mut self.session else {
            return;
        };
        let told = session.reboot.filter(|reboot| reboot.told);
        let heard = session.channel.queued() == 0;
        if let Some(reboot) = told.filter(|reboot| heard || reboot.at <= now) {
            session.reboot = None;
            self.desk.tell(Event::Reboot(reboot.target));
        }
        let Some(session) = &mut self.session else {
            return;
        };
        if let Stage::Transfer(transfer) = &mut session.stage {
            if transfer.checkpoint_at().is_some_and(|at| at <= now) {
                transfer.checkpoint(&mut self.desk);
            }
            if transfer.ask_at().is_some_and(|at| at <= now) {
                transfer.ask_for_missing(&mut session.channel);
            }
        }
        // A host has nothing to say while the device works.
        if session.busy().is_some() {
            session.last_heard = now;
        }
        if now.since(session.last_heard) >= self.config.give_up_after {
            self.end(Some(Event::TimedOut));
        }
    }
}

impl Machine for Device {
    type Event = Event;
    type Request = Request;
    type Outcome = Outcome;

    fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        let mut intake = core::mem::take(&mut self.intake);
        intake.feed(bytes, now, &mut |incoming| self.incoming(incoming, now));
        self.intake = intake;
        self.tick(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        let mut intake = core::mem::take(&mut self.intake);
        intake.handle_timeout(now, &mut |incoming| self.incoming(incoming, now));
        self.intake = intake;
        if let Some(session) = &mut self.session {
            session.channel.handle_timeout(now);
            while session.channel.next_acked().is_some() {}
            while session.channel.next_lost().is_some() {}
        }
        self.pump();
        self.tick(now);
    }

    fn handle_closed(&mut self, _now: Instant) {
        self.intake = Intake::new();
        self.refusal = None;
        self.last_words.clear();
        self.speed.closed();
        if self.session.is_some() {
            self.end(Some(Event::Closed));
        }
    }

    fn handle_done(&mut self, id: RequestId, outcome: Outcome, now: Instant) {
        let Some(purpose) = self.desk.answered(id) else {
            return;
        };
        let result = self.answered(purpose, outcome, now);
        self.settle(result, now);
        if purpose == Purpose::Status {
            self.take_messages(now);
        }
        self.pump();
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<usize> {
        if !self.last_words.is_empty() {
            let len = self.last_words.len();
            out.append(&mut self.last_words);
            return Some(len);
        }
        if let Some(len) = self.transmit_aside(now, out) {
            return Some(len);
        }
        let session = self.session.as_mut()?;
        if let Some(baud) = self.speed.poll_transmit() {
            let mut payload = Vec::new();
            baud.emit(&mut payload);
            let len = session.channel.send_unnumbered(Kind::Baud, &payload, out);
            self.settle_speed();
            return Some(len);
        }
        if session.busy_at.is_some_and(|at| at <= now) {
            session.busy_at = Some(now.after(BUSY_EVERY));
            if let Some(busy) = session.busy() {
                let mut payload = Vec::new();
                busy.emit(&mut payload);
                return Some(session.channel.send_unnumbered(Kind::Busy, &payload, out));
            }
        }
        let len = session.channel.poll_control(now, out);
        if len.is_none() {
            session.channel.note_idle();
        }
        len
    }

    fn poll_request(&mut self) -> Option<(RequestId, Request)> {
        self.desk.next_request()
    }

    fn speed_change(request: &Request) -> Option<SpeedChange> {
        match request {
            Request::Speed(change) => Some(*change),
            _ => None,
        }
    }

    fn speed_changed(held: bool) -> Outcome {
        Outcome::Speed { held }
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.desk.next_event()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let Some(session) = &self.session else {
            let timers = [self.intake.poll_timeout(), self.speed.poll_timeout(false)];
            return timers.into_iter().flatten().min();
        };
        let (checkpoint, ask) = match &session.stage {
            Stage::Transfer(transfer) => (transfer.checkpoint_at(), transfer.ask_at()),
            _ => (None, None),
        };
        let timers = [
            self.intake.poll_timeout(),
            self.speed.poll_timeout(true),
            session.channel.poll_timeout(),
            session.busy_at.filter(|_| session.busy().is_some()),
            session
                .reboot
                .filter(|reboot| reboot.told)
                .map(|reboot| reboot.at),
            checkpoint,
            ask,
            Some(session.last_heard.after(self.config.give_up_after)),
        ];
        timers.into_iter().flatten().min()
    }

    fn is_finished(&self) -> bool {
        false
    }
}
