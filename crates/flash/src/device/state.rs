//! The device's machine: sessions, and who does what in them.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::time::Duration;

use nx_image::manifest::Manifest;

use crate::device::config::DeviceConfig;
use crate::device::desk::{Desk, Purpose};
use crate::device::event::Event;
use crate::device::finish::{Finished, say_installed};
use crate::device::offer::{Incoming, Offer, Refused, judge, offer_len};
use crate::device::request::{Outcome, Request, StoreStatus};
use crate::device::transfer::{Transfer, failed, say};
use crate::device::verify::Verify;
use crate::limits::{BUSY_EVERY, MESSAGES_IN_FLIGHT_MAX, SLICE_BYTES_MAX};
use crate::machine::{Machine, RequestId};
use crate::session::{Channel, Handled, Incoming as FromLink, Intake};
use crate::time::Instant;
use crate::wire::{
    BootTarget, DeviceInfo, Frame, FromDevice, FromHost, Hello, Kind, Object, OfferFlags, Reader,
    Refusal, RejectCode, VERSION, Welcome,
};

/// At most one `REFUSE` in this time.
const REFUSE_EVERY: Duration = Duration::from_millis(100);
/// Answers that may wait for a host that asks and does not listen.
const ANSWERS_QUEUED_MAX: usize = 4 * MESSAGES_IN_FLIGHT_MAX;
/// Segments that may be asked for and not answered yet; a manifest has no more.
const ASKED_MAX: usize = nx_image::limits::SEGMENTS_MAX;
/// How long the answer to `REBOOT` may take to arrive before the device restarts anyway.
const REBOOT_AFTER: Duration = Duration::from_secs(1);

/// What a session is at.
#[derive(Debug)]
enum Stage {
    /// Nothing is being transferred.
    Idle,
    /// The signed manifest is coming.
    Offered {
        flags: OfferFlags,
        incoming: Incoming,
    },
    /// The store gets ready for the image.
    Beginning(Option<Offer>),
    /// The image is coming.
    Transfer(Box<Transfer>),
    /// What is installed is being digested.
    Verifying(Verify),
}

#[derive(Debug)]
struct Session {
    channel: Channel,
    nonce: u64,
    welcome: Welcome,
    last_heard: Instant,
    stage: Stage,
    reboot: Option<Reboot>,
    busy_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Reboot {
    target: BootTarget,
    /// When it happens even if the host does not hear of it.
    at: Instant,
    /// The answer is on its way.
    told: bool,
}

/// The device's half of the protocol. No I/O, no clock.
#[derive(Debug)]
pub struct Device {
    config: DeviceConfig,
    intake: Intake,
    desk: Desk,
    session: Option<Session>,
    sessions: u16,
    status: StoreStatus,
    welcome_due: bool,
    refusal: Option<Refusal>,
    aside_seq: u32,
    refused_at: Option<Instant>,
    last_good_seq: u32,
    damaged_frames: u64,
    /// The acknowledgement of a farewell.
    last_words: Vec<u8>,
}

impl Device {
    /// A device that waits for a host. It begins by asking its storage what there is.
    pub fn new(config: DeviceConfig) -> Self {
        let mut desk = Desk::default();
        desk.ask(Request::Status, Purpose::Status);
        Self {
            config,
            intake: Intake::new(),
            desk,
            session: None,
            sessions: 0,
            status: StoreStatus::default(),
            welcome_due: false,
            refusal: None,
            aside_seq: 0,
            refused_at: None,
            last_good_seq: 0,
            damaged_frames: 0,
            last_words: Vec::new(),
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

    fn hello(&mut self, frame: &Frame<'_>, now: Instant) {
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
            codecs: 0,
            last_good_seq: self.last_good_seq,
            board: self.config.board.clone().unwrap_or_default(),
            profile: self.config.profile,
        };
        let mut channel = Channel::new(welcome.session, now);
        channel.set_grant(self.config.window_bytes, 0, 0);
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
            busy_at: None,
        });
        self.welcome_due = true;
    }

    fn refuse(&mut self, code: RejectCode, nonce: u64, session: u32, now: Instant) {
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

    fn end(&mut self, event: Option<Event>) {
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

    fn session_frame(&mut self, frame: &Frame<'_>, now: Instant) {
        let current = self
            .session
            .as_mut()
            .filter(|s| s.channel.session() == frame.session);
        let Some(session) = current else {
            if Kind::from_number(frame.kind).is_some_and(Kind::is_acknowledged) {
                self.refuse(RejectCode::Session, 0, frame.session, now);
            }
            return;
        };
        session.last_heard = now;
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
        while let Some(body) = self.next_message() {
            let result = match FromHost::parse(&body) {
                Ok(message) => self.message(message, now),
                Err(error) => Err((RejectCode::Malformed, error.to_string())),
            };
            self.settle(result, now);
        }
        self.pump();
    }

    /// The next message, if the host has taken the answers to those before.
    fn next_message(&mut self) -> Option<Vec<u8>> {
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
        session.busy_at = None;
        session.last_heard = now;
        if session.channel.queued() < ANSWERS_QUEUED_MAX {
            let rejected = FromDevice::rejected(code, detail.clone());
            say(&mut session.channel, &rejected);
        }
        self.desk.tell(Event::Rejected { code, detail });
        self.desk.ask(Request::Status, Purpose::Status);
    }

    fn message(&mut self, message: FromHost, now: Instant) -> Result<(), Refused> {
        let info = self.info();
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        let state = |what: &str| Err((RejectCode::State, what.to_string()));
        match (message, &mut session.stage) {
            (FromHost::Info, _) => {
                say(&mut session.channel, &FromDevice::Info(info));
                Ok(())
            }
            (FromHost::Offer { bytes, flags }, stage) => {
                if matches!(stage, Stage::Transfer(transfer) if transfer.finish.is_some()) {
                    return state("an offer while the image before is being installed");
                }
                let detail = || (RejectCode::Limit, format!("an offer of {bytes} bytes"));
                let len = offer_len(bytes).ok_or_else(detail)?;
                self.desk.forget();
                if let Stage::Transfer(transfer) = stage {
                    transfer.abandon(&mut self.desk);
                }
                session.busy_at = None;
                *stage = Stage::Offered {
                    flags,
                    incoming: Incoming::with_len(len),
                };
                Ok(())
            }
            (FromHost::Write { segment }, Stage::Transfer(transfer)) => {
                if transfer.finish.is_some() {
                    return state("WRITE while the image is being installed");
                }
                if transfer.asked.len() >= ASKED_MAX {
                    let detail = format!("more than {ASKED_MAX} segments asked for at once");
                    return Err((RejectCode::Limit, detail));
                }
                let found = transfer.offer.manifest.segment(&segment);
                let index = found.and_then(|(index, _)| u8::try_from(index).ok());
                let unknown = || (RejectCode::Address, format!("no segment {segment}"));
                transfer.ask(index.ok_or_else(unknown)?);
                Ok(())
            }
            (FromHost::Done { manifest }, Stage::Transfer(transfer)) => {
                if manifest != transfer.offer.digest {
                    let detail = format!("accepted {}, done {manifest}", transfer.offer.digest);
                    return Err((RejectCode::OtherManifest, detail));
                }
                if transfer.surveyed < transfer.map.segment_count() {
                    return state("DONE before WRITE was answered for every segment");
                }
                transfer.done(&mut session.channel, &mut self.desk);
                Ok(())
            }
            (FromHost::Write { .. } | FromHost::Done { .. }, _) => state("no manifest is accepted"),
            (FromHost::Verify, Stage::Idle) => {
                let nothing = || (RejectCode::NothingInstalled, String::new());
                let raw = self.status.installed.as_deref().ok_or_else(nothing)?;
                let manifest = Manifest::parse(raw)
                    .map_err(|error| (RejectCode::Storage, error.to_string()))?;
                session.stage = Stage::Verifying(Verify::new(raw, manifest, &mut self.desk));
                session.busy_at = Some(now.after(BUSY_EVERY));
                Ok(())
            }
            (FromHost::Verify, _) => state("VERIFY in the middle of something else"),
            (FromHost::Reboot { target }, _) => {
                session.reboot = Some(Reboot {
                    target,
                    at: now.after(REBOOT_AFTER),
                    told: false,
                });
                self.desk.ask(Request::SetBoot(target), Purpose::Boot);
                Ok(())
            }
            (FromHost::Abort { reason }, _) => {
                self.farewell();
                self.end(Some(Event::Ended(reason)));
                Ok(())
            }
        }
    }

    /// The host's farewell is acknowledged before the session is forgotten.
    fn farewell(&mut self) {
        if let Some(session) = &mut self.session {
            self.last_words.clear();
            session.channel.urge();
            session
                .channel
                .poll_control(session.last_heard, &mut self.last_words);
        }
    }

    fn info(&self) -> DeviceInfo {
        let installed = self.status.installed.as_deref();
        let version = installed.and_then(|raw| Manifest::parse(raw).ok());
        DeviceInfo {
            agent: self.config.agent.clone(),
            board: self.config.board.clone().unwrap_or_default(),
            profile: self.config.profile,
            boot: self.config.boot,
            installed: installed.map(Manifest::digest_of),
            installed_version: version.map(|m| m.image.image_version).unwrap_or_default(),
            staged: self.status.staged,
            capacity: self.status.capacity,
            layout: self.status.layout.clone(),
            keys: self
                .config
                .keys
                .iter()
                .map(|key| key.fingerprint().to_string())
                .collect(),
        }
    }

    /// The offered image is installed now.
    fn installed(&mut self) {
        let Some(session) = &mut self.session else {
            return;
        };
        let Stage::Transfer(transfer) = &session.stage else {
            return;
        };
        say_installed(transfer, &mut session.channel);
        self.desk.tell(Event::Installed {
            manifest: transfer.offer.digest,
        });
        session.stage = Stage::Idle;
        session.busy_at = None;
        self.desk.ask(Request::Status, Purpose::Status);
    }

    fn answered(
        &mut self,
        purpose: Purpose,
        outcome: Outcome,
        now: Instant,
    ) -> Result<(), Refused> {
        if purpose == Purpose::Status {
            if let Outcome::Status(status) = outcome {
                self.status = status;
            }
            return Ok(());
        }
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        if purpose == Purpose::Boot {
            let Some(Reboot { target, .. }) = session.reboot else {
                return Ok(());
            };
            if let Outcome::Failed(error) = outcome {
                session.reboot = None;
                return Err((RejectCode::NoReboot, error.to_string()));
            }
            say(&mut session.channel, &FromDevice::Rebooting { target });
            session.reboot = Some(Reboot {
                target,
                at: now.after(REBOOT_AFTER),
                told: true,
            });
            return Ok(());
        }
        if let Some(refused) = failed(&outcome) {
            return Err(refused);
        }
        if purpose == Purpose::Begin {
            self.begun(outcome == Outcome::Began { resumed: true }, now);
            return Ok(());
        }
        let Session { channel, stage, .. } = session;
        match (purpose, stage) {
            (Purpose::Survey, Stage::Transfer(transfer)) => {
                transfer.surveyed(outcome, channel, &mut self.desk)?;
            }
            (Purpose::Prove(number), Stage::Transfer(transfer)) => {
                let page = match outcome {
                    Outcome::Bytes(page) => page,
                    _ => None,
                };
                transfer.prove(number, page, channel, &mut self.desk)?;
                transfer.go_on(channel, &mut self.desk);
            }
            (Purpose::Written(number), Stage::Transfer(transfer)) => {
                transfer.written(number, now, &mut self.desk);
                let (received, durable) = (transfer.received, transfer.durable);
                channel.set_grant(transfer.window_bytes, received, durable);
                transfer.go_on(channel, &mut self.desk);
            }
            (Purpose::Synced(received), Stage::Transfer(transfer)) => {
                transfer.synced(received);
                let durable = transfer.durable;
                channel.set_grant(transfer.window_bytes, transfer.received, durable);
            }
            (Purpose::Finish, Stage::Transfer(transfer)) => {
                if let Finished::Installed = transfer.finished(outcome, channel, &mut self.desk)? {
                    self.installed();
                }
            }
            (Purpose::Verify, Stage::Verifying(verify)) => {
                let told = verify.read(outcome, channel, &mut self.desk);
                if told {
                    self.verified();
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The store is ready for the image: the manifest counts as accepted.
    fn begun(&mut self, resumed: bool, now: Instant) {
        let Some(session) = &mut self.session else {
            return;
        };
        let Stage::Beginning(offer) = &mut session.stage else {
            return;
        };
        let Some(offer) = offer.take() else { return };
        for code in &offer.tolerated {
            self.desk.tell(Event::Tolerated(*code));
        }
        self.desk.tell(Event::Accepted {
            manifest: offer.digest,
            image_version: offer.manifest.image.image_version.clone(),
            resumed,
        });
        say(&mut session.channel, &FromDevice::Accepted);
        let installed = self.status.installed.as_deref();
        let window = self.config.window_bytes;
        let transfer = Transfer::new(offer, installed, resumed, window);
        session.channel.set_grant(transfer.window_bytes, 0, 0);
        session.stage = Stage::Transfer(Box::new(transfer));
        session.busy_at = Some(now.after(BUSY_EVERY));
    }

    fn verified(&mut self) {
        if let Some(session) = &mut self.session {
            session.stage = Stage::Idle;
            session.busy_at = None;
        }
    }

    /// What belongs to no session: welcomes and refusals.
    fn transmit_aside(&mut self, out: &mut Vec<u8>) -> Option<usize> {
        let mut payload = Vec::new();
        let welcome = self.session.as_ref().filter(|_| self.welcome_due);
        let kind = match welcome.map(|session| &session.welcome) {
            Some(welcome) => {
                welcome.emit(&mut payload);
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
        if let Stage::Transfer(transfer) = &mut session.stage
            && transfer.checkpoint_at().is_some_and(|at| at <= now)
        {
            transfer.checkpoint(&mut self.desk);
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

impl Session {
    fn payload(
        &mut self,
        frame: &Frame<'_>,
        config: &DeviceConfig,
        status: &StoreStatus,
        desk: &mut Desk,
        now: Instant,
    ) -> Result<(), Refused> {
        let is_meta = Kind::from_number(frame.kind) == Some(Kind::Meta);
        let channel = &mut self.channel;
        let taken = match (&mut self.stage, is_meta) {
            (Stage::Offered { incoming, .. }, true) => {
                let mut fields = Reader::new(frame.payload);
                let (Ok(object), Ok(offset)) = (fields.u32(), fields.u32()) else {
                    return Ok(());
                };
                let offered = Object::from_number(object) == Some(Object::Offer);
                offered && incoming.fit(offset, fields.rest())
            }
            (Stage::Transfer(transfer), true) => {
                let (taken, whole) = transfer.meta(frame.payload);
                if let Some((object, bytes)) = whole {
                    transfer.object(object, bytes, channel, desk)?;
                }
                taken
            }
            (Stage::Transfer(transfer), false) => transfer.data(frame.payload, channel, desk)?,
            // Slices that were had before; what is new is not wanted now.
            (Stage::Beginning(_), true) => true,
            _ => false,
        };
        if taken {
            self.channel.accept(frame.seq, now);
        }
        let whole = matches!(&self.stage, Stage::Offered { incoming, .. } if incoming.is_whole());
        if !whole {
            return Ok(());
        }
        let offered = core::mem::replace(&mut self.stage, Stage::Idle);
        if let Stage::Offered { flags, incoming } = offered {
            let offer = judge(&incoming.into_bytes(), flags, config, status)?;
            let begin = Request::Begin {
                manifest: offer.manifest_bytes.clone(),
                signature: offer.signature.clone(),
                image_bytes: offer.manifest.image.size,
                restart: flags.restart,
                keeps_state: offer.keeps_state,
            };
            desk.ask(begin, Purpose::Begin);
            self.stage = Stage::Beginning(Some(offer));
        }
        Ok(())
    }

    fn busy(&self) -> Option<crate::wire::Busy> {
        match &self.stage {
            Stage::Transfer(transfer) => transfer.busy(),
            Stage::Verifying(verify) => Some(verify.busy()),
            Stage::Idle | Stage::Offered { .. } | Stage::Beginning(_) => None,
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
        self.pump();
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<usize> {
        if !self.last_words.is_empty() {
            let len = self.last_words.len();
            out.append(&mut self.last_words);
            return Some(len);
        }
        if let Some(len) = self.transmit_aside(out) {
            return Some(len);
        }
        let session = self.session.as_mut()?;
        if session.busy_at.is_some_and(|at| at <= now) {
            session.busy_at = Some(now.after(BUSY_EVERY));
            if let Some(busy) = session.busy() {
                let mut payload = Vec::new();
                busy.emit(&mut payload);
                return Some(session.channel.send_unnumbered(Kind::Busy, &payload, out));
            }
        }
        session.channel.poll_control(now, out)
    }

    fn poll_request(&mut self) -> Option<(RequestId, Request)> {
        self.desk.next_request()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.desk.next_event()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let Some(session) = &self.session else {
            return self.intake.poll_timeout();
        };
        let checkpoint = match &session.stage {
            Stage::Transfer(transfer) => transfer.checkpoint_at(),
            _ => None,
        };
        let timers = [
            self.intake.poll_timeout(),
            session.channel.poll_timeout(),
            session.busy_at.filter(|_| session.busy().is_some()),
            session
                .reboot
                .filter(|reboot| reboot.told)
                .map(|reboot| reboot.at),
            checkpoint,
            Some(session.last_heard.after(self.config.give_up_after)),
        ];
        timers.into_iter().flatten().min()
    }

    fn is_finished(&self) -> bool {
        false
    }
}
