//! A host, and a peer that does by hand what a device does.

use alloc::vec::Vec;
use core::time::Duration;

use nx_image::manifest::Profile;

use super::image::Image;
use crate::host::{Event, Failure, Host, HostConfig, Job, Outcome};
use crate::machine::Machine as _;
use crate::session::{Channel, Handled};
use crate::time::Instant;
use crate::wire::{
    Busy, BusyPhase, DeviceInfo, Frame, FromDevice, FromHost, Hello, Kind, Reader, Refusal,
    RejectCode, VERSION, Welcome,
};

pub(super) const NONCE: u64 = 70;
pub(super) const SESSION: u32 = 0x0001_0001;
pub(super) const BLOCK: u32 = 4_096;
pub(super) const WINDOW: u32 = 3 * BLOCK;

/// A host, and a peer that does by hand what a device does.
pub(super) struct Bench {
    pub(super) host: Host,
    pub(super) now: Instant,
    pub(super) peer: Channel,
    pub(super) messages: Vec<FromHost>,
    /// Slices that arrived: object or address, offset in the object, bytes.
    pub(super) objects: Vec<(u32, u32, Vec<u8>)>,
    pub(super) data: Vec<(u32, Vec<u8>)>,
    pub(super) events: Vec<Event>,
    /// Frames that the peer never sees: kind, and how many of it.
    pub(super) drop: Option<(Kind, u32)>,
    /// What the device says that it can unpack.
    pub(super) codecs: u32,
    /// Time that frames take.
    pub(super) flight: Duration,
}

impl Bench {
    pub(super) fn new(job: Job) -> Self {
        let now = Instant::from_micros(5_000_000);
        let mut config = HostConfig::new(NONCE, job);
        config.name = "bench".into();
        Self {
            host: Host::new(config),
            now,
            peer: Channel::new(SESSION, now),
            messages: Vec::new(),
            objects: Vec::new(),
            data: Vec::new(),
            events: Vec::new(),
            drop: None,
            codecs: 0,
            flight: Duration::ZERO,
        }
    }

    /// In a session, with the first messages taken.
    pub(super) fn connected(job: Job) -> Self {
        let mut bench = Self::new(job);
        assert_eq!(bench.hellos(), [(0, NONCE)]);
        bench.welcome(NONCE, SESSION);
        bench.pump();
        bench
    }

    pub(super) fn give(&mut self, kind: Kind, session: u32, payload: &[u8]) {
        let mut bytes = Vec::new();
        Frame::new(kind, session, 0, payload).emit(&mut bytes);
        self.host.handle_input(&bytes, self.now);
        self.note();
    }

    pub(super) fn welcome(&mut self, nonce: u64, session: u32) {
        self.welcome_by(1, nonce, session);
    }

    pub(super) fn welcome_by(&mut self, boot: u32, nonce: u64, session: u32) {
        let mut payload = Vec::new();
        let welcome = Welcome {
            version: VERSION,
            nonce,
            session,
            boot,
            window: WINDOW,
            slice_max: 2_048,
            codecs: self.codecs,
            last_good_seq: 0,
            board: "virt".into(),
            profile: Profile::Dev,
        };
        welcome.emit(&mut payload);
        self.peer = Channel::new(session, self.now);
        self.peer.set_grant(WINDOW, 0, 0);
        self.give(Kind::Welcome, 0, &payload);
    }

    pub(super) fn refuse(&mut self, code: RejectCode, nonce: u64, session: u32) {
        let mut payload = Vec::new();
        let refusal = Refusal {
            code: code.number(),
            nonce,
            session,
            version_min: 2,
            version_max: 5,
        };
        refusal.emit(&mut payload);
        self.give(Kind::Refuse, 0, &payload);
    }

    pub(super) fn busy(&mut self, done: u64) {
        self.busy_with(BusyPhase::ReadBack, done);
    }

    pub(super) fn busy_with(&mut self, phase: BusyPhase, done: u64) {
        let mut payload = Vec::new();
        let busy = Busy {
            phase,
            done,
            total: 100,
        };
        busy.emit(&mut payload);
        self.give(Kind::Busy, SESSION, &payload);
    }

    /// The peer says something, and all that follows from it is exchanged.
    pub(super) fn say(&mut self, message: &FromDevice) {
        let mut body = Vec::new();
        message.emit(&mut body);
        self.peer.queue(body);
        self.pump();
    }

    pub(super) fn note(&mut self) {
        while let Some(event) = self.host.poll_event() {
            self.events.push(event);
        }
    }

    /// Exchanges frames until neither side has more to say now.
    pub(super) fn pump(&mut self) {
        loop {
            let sent = self.frames();
            if sent.is_empty() && !self.peer_speaks() {
                self.note();
                return;
            }
            for bytes in sent {
                self.now = self.now.after(self.flight);
                self.arrive(&bytes);
            }
        }
    }

    pub(super) fn peer_speaks(&mut self) -> bool {
        let mut bytes = Vec::new();
        while self.peer.poll_control(self.now, &mut bytes).is_some() {}
        self.host.handle_input(&bytes, self.now);
        !bytes.is_empty()
    }

    pub(super) fn frames(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        loop {
            let mut bytes = Vec::new();
            let Some(len) = self.host.poll_transmit(self.now, &mut bytes) else {
                return frames;
            };
            assert_eq!(len, bytes.len(), "one frame at a time");
            frames.push(bytes);
        }
    }

    pub(super) fn arrive(&mut self, bytes: &[u8]) {
        let (frame, len) = Frame::parse(bytes).unwrap();
        assert_eq!(len, bytes.len());
        let kind = Kind::from_number(frame.kind).unwrap();
        if let Some((dropped, left @ 1..)) = &mut self.drop
            && *dropped == kind
        {
            *left -= 1;
            return;
        }
        if frame.session != self.peer.session() {
            return;
        }
        if self.peer.handle_frame(&frame, self.now) == Handled::Payload {
            let mut fields = Reader::new(frame.payload);
            let first = fields.u32().unwrap();
            if kind == Kind::Meta {
                let offset = fields.u32().unwrap();
                self.objects.push((first, offset, fields.rest().to_vec()));
            } else {
                self.data.push((first, fields.rest().to_vec()));
            }
            self.peer.accept(frame.seq, self.now);
        }
        self.peer.urge();
        while let Some(body) = self.peer.next_message() {
            self.messages.push(FromHost::parse(&body).unwrap());
        }
    }

    pub(super) fn hellos(&mut self) -> Vec<(u32, u64)> {
        let frames = self.frames();
        let parse = |bytes: &Vec<u8>| {
            let (frame, _) = Frame::parse(bytes).unwrap();
            assert_eq!((frame.kind, frame.session), (Kind::Hello.number(), 0));
            let hello = Hello::parse(frame.payload).unwrap();
            assert_eq!((hello.version_min, hello.version_max), (VERSION, VERSION));
            assert_eq!(hello.host, "bench");
            (frame.seq, hello.nonce)
        };
        frames.iter().map(parse).collect()
    }

    /// Lets time pass to the next timer; returns how long that took.
    pub(super) fn next_timer(&mut self) -> Duration {
        let at = self.host.poll_timeout().expect("a timer");
        let waited = at.since(self.now);
        self.now = self.now.max(at);
        self.host.handle_timeout(self.now);
        self.note();
        waited
    }

    /// Lets time pass until there are no timers, or so long.
    pub(super) fn wait(&mut self, longest: Duration) {
        let until = self.now.after(longest);
        while self.host.poll_timeout().is_some_and(|at| at <= until) {
            self.next_timer();
            self.frames();
        }
        self.now = until;
    }

    pub(super) fn failure(&self) -> &Failure {
        match self.events.last() {
            Some(Event::Failed(failure)) => failure,
            other => panic!("no failure but {other:?}"),
        }
    }

    pub(super) fn saw(&self, wanted: &Event) -> bool {
        self.events.contains(wanted)
    }

    /// Answers every request; gives their number.
    pub(super) fn serve(&mut self, image: &Image) -> usize {
        let mut served = 0;
        while let Some((id, request)) = self.host.poll_request() {
            served += 1;
            let bytes = image.answer(&request);
            self.host.handle_done(id, Outcome::Bytes(bytes), self.now);
        }
        served
    }
}

pub(super) fn info() -> DeviceInfo {
    DeviceInfo {
        agent: "flashd 1".into(),
        board: "virt".into(),
        profile: Profile::Dev,
        boot: 1,
        installed: None,
        installed_version: String::new(),
        staged: None,
        capacity: 1 << 20,
        layout: "file".into(),
        keys: Vec::new(),
    }
}
