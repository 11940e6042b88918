use std::collections::BTreeMap;

use nx_image::digest::Digest;
use nx_image::manifest::{ImageInfo, Manifest, Profile, Segment, SegmentKind, Table};
use nx_image::tree;

use super::*;
use crate::limits::GIVE_UP_AFTER;
use crate::wire::{
    BootTarget, BusyPhase, DeviceInfo, Need, Object, OfferFlags, Reader, VerifiedSegment,
};

const NONCE: u64 = 70;
const SESSION: u32 = 0x0001_0001;
const BLOCK: u32 = 4_096;
const WINDOW: u32 = 3 * BLOCK;

/// A host, and a peer that does by hand what a device does.
struct Bench {
    host: Host,
    now: Instant,
    peer: Channel,
    messages: Vec<FromHost>,
    /// Slices that arrived: object or address, offset in the object, bytes.
    objects: Vec<(u32, u32, Vec<u8>)>,
    data: Vec<(u32, Vec<u8>)>,
    events: Vec<Event>,
    /// Frames that the peer never sees: kind, and how many of it.
    drop: Option<(Kind, u32)>,
}

impl Bench {
    fn new(job: Job) -> Self {
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
        }
    }

    /// In a session, with the first messages taken.
    fn connected(job: Job) -> Self {
        let mut bench = Self::new(job);
        assert_eq!(bench.hellos(), [(0, NONCE)]);
        bench.welcome(NONCE, SESSION);
        bench.pump();
        bench
    }

    fn give(&mut self, kind: Kind, session: u32, payload: &[u8]) {
        let mut bytes = Vec::new();
        Frame::new(kind, session, 0, payload).emit(&mut bytes);
        self.host.handle_input(&bytes, self.now);
        self.note();
    }

    fn welcome(&mut self, nonce: u64, session: u32) {
        self.welcome_by(1, nonce, session);
    }

    fn welcome_by(&mut self, boot: u32, nonce: u64, session: u32) {
        let mut payload = Vec::new();
        let welcome = Welcome {
            version: VERSION,
            nonce,
            session,
            boot,
            window: WINDOW,
            slice_max: 2_048,
            codecs: 0,
            last_good_seq: 0,
            board: "virt".into(),
            profile: Profile::Dev,
        };
        welcome.emit(&mut payload);
        self.peer = Channel::new(session, self.now);
        self.peer.set_grant(WINDOW, 0, 0);
        self.give(Kind::Welcome, 0, &payload);
    }

    fn refuse(&mut self, code: RejectCode, nonce: u64, session: u32) {
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

    fn busy(&mut self, done: u64) {
        let mut payload = Vec::new();
        let busy = Busy {
            phase: BusyPhase::ReadBack,
            done,
            total: 100,
        };
        busy.emit(&mut payload);
        self.give(Kind::Busy, SESSION, &payload);
    }

    /// The peer says something, and all that follows from it is exchanged.
    fn say(&mut self, message: &FromDevice) {
        let mut body = Vec::new();
        message.emit(&mut body);
        self.peer.queue(body);
        self.pump();
    }

    fn note(&mut self) {
        while let Some(event) = self.host.poll_event() {
            self.events.push(event);
        }
    }

    /// Exchanges frames until neither side has more to say now.
    fn pump(&mut self) {
        loop {
            let sent = self.frames();
            if sent.is_empty() && !self.peer_speaks() {
                self.note();
                return;
            }
            for bytes in sent {
                self.arrive(&bytes);
            }
        }
    }

    fn peer_speaks(&mut self) -> bool {
        let mut bytes = Vec::new();
        while self.peer.poll_control(self.now, &mut bytes).is_some() {}
        self.host.handle_input(&bytes, self.now);
        !bytes.is_empty()
    }

    fn frames(&mut self) -> Vec<Vec<u8>> {
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

    fn arrive(&mut self, bytes: &[u8]) {
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

    fn hellos(&mut self) -> Vec<(u32, u64)> {
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
    fn next_timer(&mut self) -> Duration {
        let at = self.host.poll_timeout().expect("a timer");
        let waited = at.since(self.now);
        self.now = self.now.max(at);
        self.host.handle_timeout(self.now);
        self.note();
        waited
    }

    /// Lets time pass until there are no timers, or so long.
    fn wait(&mut self, longest: Duration) {
        let until = self.now.after(longest);
        while self.host.poll_timeout().is_some_and(|at| at <= until) {
            self.next_timer();
            self.frames();
        }
        self.now = until;
    }

    fn failure(&self) -> &Failure {
        match self.events.last() {
            Some(Event::Failed(failure)) => failure,
            other => panic!("no failure but {other:?}"),
        }
    }

    fn saw(&self, wanted: &Event) -> bool {
        self.events.contains(wanted)
    }

    /// Answers every request; gives their number.
    fn serve(&mut self, image: &Image) -> usize {
        let mut served = 0;
        while let Some((id, request)) = self.host.poll_request() {
            served += 1;
            let bytes = image.answer(&request);
            self.host.handle_done(id, Outcome::Bytes(bytes), self.now);
        }
        served
    }
}

/// Two segments: one of 5 whole blocks, one of 2.5.
struct Image {
    bytes: Vec<u8>,
    manifest: Vec<u8>,
    signature: Vec<u8>,
}

impl Image {
    fn new() -> Self {
        let fill =
            |len: u32, step: u32| -> Vec<u8> { (0..len).map(|at| (at * step / 7) as u8).collect() };
        let contents = [fill(5 * BLOCK, 3), fill(BLOCK * 5 / 2, 5)];
        let kinds = [SegmentKind::Kernel, SegmentKind::Pkgfs];
        let mut bytes = Vec::new();
        let mut segments = Vec::new();
        for (kind, content) in kinds.into_iter().zip(&contents) {
            let digests: Vec<Digest> = content.chunks(BLOCK as usize).map(Digest::of).collect();
            segments.push(Segment {
                name: kind.as_str().into(),
                kind,
                role: kind.role(),
                offset: bytes.len() as u64,
                size: content.len() as u64,
                sha256: Digest::of(content),
                block_root: tree::root(&[tree::page_digest(&digests)]),
            });
            bytes.extend(content);
        }
        let manifest = Manifest {
            image: ImageInfo {
                size: bytes.len() as u64,
                sha256: Digest::of(&bytes),
                board: "virt".into(),
                profile: Profile::Dev,
                image_version: "1".into(),
                rollback_index: 0,
                block_size: BLOCK,
                table: Table::None,
            },
            segments,
        };
        manifest.check().unwrap();
        Self {
            bytes,
            manifest: manifest.encode(),
            signature: vec![0xab; 64],
        }
    }

    fn job(&self) -> Job {
        Job::Send {
            manifest: self.manifest.clone(),
            signature: self.signature.clone(),
            flags: OfferFlags {
                restart: false,
                wipe_state: true,
            },
            chunk_bytes: 65_536,
        }
    }

    fn answer(&self, request: &Request) -> Vec<u8> {
        match *request {
            Request::Block { offset, bytes, .. } => {
                self.bytes[offset as usize..][..bytes as usize].to_vec()
            }
            Request::Directory { segment } => vec![segment; 32],
            Request::Page { segment, page } => vec![segment + page as u8; 96],
        }
    }

    /// In a session in which the image is accepted and both segments are asked about.
    fn accepted(&self) -> Bench {
        let mut bench = Bench::connected(self.job());
        bench.say(&FromDevice::Accepted);
        bench
    }
}

fn need(segment: u8, bits: u8) -> FromDevice {
    FromDevice::Need(Need {
        segment,
        page: 0,
        last: true,
        kept: false,
        bitmap: vec![bits],
    })
}

fn installed(image: &Image) -> FromDevice {
    FromDevice::Installed {
        manifest: Manifest::digest_of(&image.manifest),
        installed: Digest::of(b"installed"),
        state_kept: false,
    }
}

fn info() -> DeviceInfo {
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

#[test]
fn hellos_go_out_ever_more_slowly_until_30_s_of_silence() {
    let mut bench = Bench::new(Job::Info);
    assert_eq!(bench.hellos(), [(0, NONCE)]);
    let (mut waits, mut tries) = (Vec::new(), 1);
    while bench.events.is_empty() {
        waits.push(bench.next_timer().as_millis());
        for hello in bench.hellos() {
            assert_eq!(hello, (tries, NONCE));
            tries += 1;
        }
    }
    assert_eq!(waits[..7], [250, 375, 562, 843, 1_265, 1_898, 2_000]);
    assert_eq!(bench.failure(), &Failure::Silent { millis: 30_000 });
    assert!(bench.host.is_finished());
    assert_eq!(bench.host.poll_timeout(), None);
    assert_eq!(
        bench.host.progress().wire_bytes,
        u64::from(tries) * (20 + 2 + 8 + 4 + 6)
    );
}

#[test]
fn a_line_that_carries_other_things_is_told_from_silence() {
    let mut bench = Bench::new(Job::Info);
    bench.hellos();
    for _ in 0..40 {
        let now = bench.now;
        bench.host.handle_input(b"login:\r\n\x9e\x9eN\xff", now);
        bench.note();
        bench.wait(Duration::from_secs(1));
    }
    assert!(matches!(bench.failure(), Failure::NotADevice { bytes } if *bytes >= 12 * 29));
    assert!(
        bench.saw(&Event::Console("login:".into())),
        "{:?}",
        bench.events
    );
}

#[test]
fn console_lines_disturb_nothing() {
    let mut bench = Bench::connected(Job::Info);
    bench
        .host
        .handle_input(b"[ 1.0] usb 1-1: new\r\n", bench.now);
    bench.say(&FromDevice::Info(info()));
    assert!(bench.saw(&Event::Console("[ 1.0] usb 1-1: new".into())));
    assert_eq!(bench.events.last(), Some(&Event::Finished));
}

#[test]
fn only_the_answer_to_its_own_hello_opens_a_session() {
    let mut bench = Bench::new(Job::Info);
    bench.hellos();
    bench.welcome(NONCE + 1, 9);
    assert_eq!(bench.events, []);
    bench.welcome(NONCE, SESSION);
    bench.welcome(NONCE, 10);
    let connected = Event::Connected {
        session: SESSION,
        boot: 1,
        board: "virt".into(),
    };
    assert_eq!(bench.events, [connected]);
}

#[test]
fn another_protocol_version_ends_the_job_at_once() {
    let mut bench = Bench::new(Job::Info);
    bench.hellos();
    bench.refuse(RejectCode::Version, NONCE + 1, 0);
    assert_eq!(bench.events, [], "an answer to somebody else");
    bench.refuse(RejectCode::Version, NONCE, 0);
    assert_eq!(bench.failure(), &Failure::Version { min: 2, max: 5 });
    assert!(bench.host.is_finished());
}

#[test]
fn a_job_is_asked_for_answered_and_ended() {
    let verified = FromDevice::Verified {
        manifest: Digest::of(b"m"),
        installed: Digest::of(b"i"),
        segments: vec![VerifiedSegment {
            name: "kernel".into(),
            sha256: Digest::of(b"k"),
            verdict: crate::wire::Verdict::Matches,
        }],
        gaps_zero: true,
    };
    let target = BootTarget::Recovery;
    for (job, asked, answer) in [
        (Job::Info, FromHost::Info, FromDevice::Info(info())),
        (Job::Verify, FromHost::Verify, verified),
        (
            Job::Reboot(target),
            FromHost::Reboot { target },
            FromDevice::Rebooting { target },
        ),
    ] {
        let mut bench = Bench::connected(job);
        assert_eq!(bench.messages, core::slice::from_ref(&asked));
        assert!(!bench.host.is_finished());
        bench.say(&answer);
        let reason = AbortReason::Finished;
        assert_eq!(bench.messages, [asked, FromHost::Abort { reason }]);
        assert_eq!(bench.events.len(), 3, "{:?}", bench.events);
        assert_eq!(bench.events.last(), Some(&Event::Finished));
        assert!(bench.host.is_finished());
    }
}

#[test]
fn a_farewell_that_nobody_answers_does_not_hold_it_up() {
    let mut bench = Bench::connected(Job::Info);
    let mut body = Vec::new();
    FromDevice::Info(info()).emit(&mut body);
    bench.peer.queue(body);
    bench.peer_speaks();
    bench.wait(FAREWELL);
    assert_eq!(bench.events.last(), Some(&Event::Finished));

    let mut bench = Bench::connected(Job::Info);
    let mut body = Vec::new();
    FromDevice::Info(info()).emit(&mut body);
    bench.peer.queue(body);
    bench.peer_speaks();
    bench.host.handle_closed(bench.now);
    bench.note();
    assert_eq!(bench.events.last(), Some(&Event::Finished), "closed");
}

#[test]
fn an_offer_is_the_signature_and_the_manifest() {
    let image = Image::new();
    let bench = Bench::connected(image.job());
    let offer = [image.signature.as_slice(), &image.manifest].concat();
    let flags = OfferFlags {
        restart: false,
        wipe_state: true,
    };
    let bytes = offer.len() as u32;
    assert_eq!(bench.messages, [FromHost::Offer { bytes, flags }]);
    let mut arrived = vec![0; offer.len()];
    for (object, offset, data) in &bench.objects {
        assert_eq!(*object, Object::Offer.number());
        arrived[*offset as usize..][..data.len()].copy_from_slice(data);
    }
    assert_eq!(arrived, offer);
}

#[test]
fn a_transfer_sends_what_is_needed_and_nothing_else() {
    let image = Image::new();
    let mut bench = image.accepted();
    let write = |segment: &str| FromHost::Write {
        segment: segment.into(),
    };
    assert_eq!(bench.messages[1..], [write("kernel"), write("pkgfs")]);
    bench.objects.clear();
    bench.say(&FromDevice::Want(Object::Page {
        segment: 1,
        page: 0,
    }));
    assert_eq!(bench.serve(&image), 1);
    bench.pump();
    let page = Object::Page {
        segment: 1,
        page: 0,
    };
    assert_eq!(bench.objects, [(page.number(), 0, vec![1; 96])]);

    bench.say(&need(0, 0b0001_0110));
    bench.say(&need(1, 0b0000_0100));
    while bench.serve(&image) > 0 {
        bench.pump();
    }
    assert!(bench.saw(&Event::Planned {
        segment: 1,
        kept: false
    }));
    let mut blocks: BTreeMap<u32, usize> = BTreeMap::new();
    for (address, data) in &bench.data {
        let from = *address as usize * 64;
        assert_eq!(*data, image.bytes[from..from + data.len()]);
        *blocks.entry(*address / 64).or_default() += data.len();
    }
    let half = BLOCK as usize / 2;
    let whole = BLOCK as usize;
    assert_eq!(
        blocks.into_iter().collect::<Vec<_>>(),
        [(1, whole), (2, whole), (4, whole), (7, half)]
    );
    let manifest = Manifest::digest_of(&image.manifest);
    assert_eq!(bench.messages.last(), Some(&FromHost::Done { manifest }));
    let progress = bench.host.progress();
    assert_eq!(progress.payload_bytes, 3 * 4_096 + 2_048);
    assert_eq!((progress.blocks_total, progress.blocks_needed), (8, 4));
    assert_eq!((progress.blocks_sent, progress.retransmitted_bytes), (4, 0));

    bench.say(&need(0, 0b0000_0010));
    while bench.serve(&image) > 0 {
        bench.pump();
    }
    let done = FromHost::Done { manifest };
    let dones = bench.messages.iter().filter(|message| **message == done);
    assert_eq!(dones.count(), 2, "a block that was needed again");
    bench.say(&installed(&image));
    assert_eq!(bench.events.last(), Some(&Event::Finished));
    assert!(bench.host.is_finished());
}

#[test]
fn open_blocks_stay_within_the_window() {
    let image = Image::new();
    let mut bench = image.accepted();
    bench.say(&need(0, 0b0001_1111));
    let mut asked = Vec::new();
    while let Some((id, request)) = bench.host.poll_request() {
        asked.push((id, image.answer(&request)));
    }
    assert_eq!(asked.len(), 3);
    for (id, bytes) in asked {
        let now = bench.now;
        bench.host.handle_done(id, Outcome::Bytes(bytes), now);
    }
    assert!(bench.host.poll_request().is_none());
    bench.peer.set_grant(BLOCK, 0, 0);
    bench.pump();
    assert!(bench.host.poll_request().is_some(), "all have arrived");
    assert!(bench.host.poll_request().is_none(), "the window shrank");
}

#[test]
fn what_is_lost_is_sent_again_and_counted() {
    let image = Image::new();
    let mut bench = image.accepted();
    bench.say(&need(0, 0b0000_0011));
    bench.say(&need(1, 0));
    bench.serve(&image);
    bench.drop = Some((Kind::Data, 1));
    bench.pump();
    let arrived = |bench: &Bench| bench.data.iter().map(|(_, data)| data.len()).sum::<usize>();
    for _ in 0..10 {
        if arrived(&bench) < 2 * BLOCK as usize {
            bench.next_timer();
            bench.pump();
        }
    }
    assert_eq!(arrived(&bench), 2 * BLOCK as usize);
    assert!(matches!(bench.messages.last(), Some(FromHost::Done { .. })));
    let progress = bench.host.progress();
    assert!(progress.retransmitted_bytes >= 128, "{progress:?}");
    assert_eq!(progress.payload_bytes, 2 * 4_096);
    assert_eq!(progress.blocks_sent, 2);
}

#[test]
fn what_is_needed_again_waits_for_its_earlier_slices() {
    let image = Image::new();
    let mut bench = image.accepted();
    bench.say(&need(1, 0));
    bench.say(&need(0, 0b0000_0001));
    assert_eq!(bench.serve(&image), 1);
    bench.drop = Some((Kind::Data, 100));
    bench.pump();
    let arrived = |bench: &Bench| bench.data.iter().map(|(_, data)| data.len()).sum::<usize>();
    let block = BLOCK as usize;
    bench.say(&need(0, 0b0000_0011));
    bench.drop = None;
    assert_eq!(bench.serve(&image), 1, "only the other one begins");
    while arrived(&bench) < 2 * block {
        bench.next_timer();
        bench.pump();
    }
    assert_eq!(bench.serve(&image), 1, "now it is settled");
    bench.pump();
    assert_eq!(arrived(&bench), 3 * block);
    let dones = bench.messages.iter();
    let dones = dones.filter(|message| matches!(message, FromHost::Done { .. }));
    assert_eq!(dones.count(), 1);

    let page = Object::Page {
        segment: 0,
        page: 0,
    };
    bench.objects.clear();
    bench.say(&FromDevice::Want(page));
    assert_eq!(bench.serve(&image), 1);
    bench.drop = Some((Kind::Meta, 1));
    bench.pump();
    bench.say(&FromDevice::Want(page));
    assert_eq!(bench.serve(&image), 0, "the first is on its way");
    while bench.objects.is_empty() {
        bench.next_timer();
        bench.pump();
    }
    assert_eq!(bench.serve(&image), 1);
    bench.pump();
    assert_eq!(bench.objects.len(), 2);
}

#[test]
fn a_rejection_ends_the_job_and_the_device_is_told() {
    let image = Image::new();
    let mut bench = Bench::connected(image.job());
    bench.say(&FromDevice::Rejected {
        code: RejectCode::Board.number(),
        detail: "this is rpi5".into(),
    });
    let failure = Failure::Rejected {
        code: 18,
        detail: "this is rpi5".into(),
    };
    assert_eq!(bench.failure(), &failure);
    let reason = AbortReason::Failed;
    assert_eq!(bench.messages.last(), Some(&FromHost::Abort { reason }));
}

#[test]
fn a_device_that_asks_for_what_is_not_there_is_left() {
    let image = Image::new();
    let page = Object::Page {
        segment: 0,
        page: 1,
    };
    for wrong in [
        FromDevice::Want(page),
        FromDevice::Want(Object::Directory { segment: 2 }),
        FromDevice::Want(Object::Offer),
        need(2, 1),
        FromDevice::Need(Need {
            segment: 0,
            page: 1,
            last: true,
            kept: false,
            bitmap: vec![1],
        }),
        FromDevice::Installed {
            manifest: Digest::of(b"another"),
            installed: Digest::of(b""),
            state_kept: false,
        },
    ] {
        let mut bench = image.accepted();
        bench.say(&wrong);
        let failure = bench.failure();
        assert!(matches!(failure, Failure::Protocol(_)), "{wrong:?}");
        assert!(bench.host.is_finished());
    }
}

#[test]
fn bits_behind_the_last_block_are_no_blocks() {
    let image = Image::new();
    let mut bench = image.accepted();
    bench.say(&need(1, 0xff));
    assert_eq!(bench.host.progress().blocks_needed, 3);
}

#[test]
fn a_lost_session_is_resumed_and_the_fourth_is_left_to_the_other() {
    let image = Image::new();
    let mut bench = image.accepted();
    bench.say(&need(0, 0b0001_1111));
    bench.serve(&image);
    bench.pump();
    for round in 1..=4_u32 {
        let session = SESSION + round - 1;
        bench.refuse(RejectCode::Session, 0, session + 77);
        assert!(!matches!(bench.events.last(), Some(Event::SessionLost)));
        bench.refuse(RejectCode::Session, 0, session);
        if round == 4 {
            break;
        }
        assert_eq!(bench.events.last(), Some(&Event::SessionLost));
        let nonce = NONCE + u64::from(round);
        assert_eq!(bench.hellos(), [(0, nonce)]);
        bench.welcome(nonce, session + 1);
        // The other host does not let it get far.
        bench.pump();
        bench.say(&FromDevice::Accepted);
    }
    assert_eq!(bench.failure(), &Failure::TakenOver);
    assert!(bench.host.is_finished());
}

#[test]
fn a_device_that_restarts_was_not_taken_and_neither_is_one_that_is_lost_now_and_then() {
    let pause = Duration::from_secs(10);
    for (next_boot, lasts) in [(1, Duration::ZERO), (0, pause)] {
        let mut bench = Bench::connected(Job::Verify);
        for round in 1..=9_u32 {
            bench.now = bench.now.after(lasts);
            bench.refuse(RejectCode::Session, 0, SESSION + round - 1);
            assert_eq!(bench.events.last(), Some(&Event::SessionLost), "{round}");
            let nonce = NONCE + u64::from(round);
            assert_eq!(bench.hellos(), [(0, nonce)]);
            bench.welcome_by(1 + round * next_boot, nonce, SESSION + round);
            bench.pump();
        }
    }
}

#[test]
fn what_was_sent_before_a_session_was_lost_is_counted_once() {
    let image = Image::new();
    let mut bench = image.accepted();
    bench.say(&need(0, 0b0001_1111));
    bench.serve(&image);
    bench.pump();
    assert_eq!(bench.host.progress().blocks_sent, 3);
    bench.refuse(RejectCode::Session, 0, SESSION);
    bench.hellos();
    bench.welcome(NONCE + 1, SESSION + 1);
    bench.pump();
    bench.say(&FromDevice::Accepted);
    bench.say(&need(0, 0b0001_1000));
    bench.say(&need(1, 0));
    while bench.serve(&image) > 0 {
        bench.pump();
    }
    let progress = bench.host.progress();
    assert_eq!((progress.blocks_needed, progress.blocks_sent), (5, 5));
    bench.say(&installed(&image));
    assert_eq!(bench.events.last(), Some(&Event::Finished));
    assert_eq!(bench.host.progress().blocks_needed, 5);
    assert_eq!(bench.host.progress().blocks_sent, 5);
}

#[test]
fn stopping_tells_the_device_first() {
    let image = Image::new();
    let mut bench = image.accepted();
    bench.host.stop(bench.now);
    bench.pump();
    let reason = AbortReason::Operator;
    assert_eq!(bench.messages.last(), Some(&FromHost::Abort { reason }));
    assert_eq!(bench.failure(), &Failure::Stopped);

    let mut bench = Bench::new(Job::Info);
    bench.host.stop(bench.now);
    bench.note();
    assert_eq!(bench.failure(), &Failure::Stopped, "before a session");
    assert!(bench.host.is_finished());
}

#[test]
fn a_closed_link_ends_the_job() {
    for mut bench in [Bench::new(Job::Info), Bench::connected(Job::Info)] {
        bench.host.handle_closed(bench.now);
        bench.note();
        assert_eq!(bench.failure(), &Failure::Closed);
        assert!(bench.host.is_finished());
    }
}

#[test]
fn a_busy_device_is_waited_for_as_long_as_it_gets_on() {
    let mut bench = Bench::connected(Job::Verify);
    for done in 1..=10 {
        bench.wait(GIVE_UP_AFTER - Duration::from_secs(1));
        bench.busy(done);
    }
    assert!(!matches!(bench.events.last(), Some(Event::Failed(_))));
    for _ in 0..31 {
        bench.wait(Duration::from_secs(1));
        bench.busy(10);
    }
    let failed = bench.events.iter().find_map(|event| match event {
        Event::Failed(failure) => Some(failure),
        _ => None,
    });
    assert_eq!(failed, Some(&Failure::Stalled { millis: 30_000 }));
}

#[test]
fn an_image_that_cannot_be_read_ends_the_job() {
    let image = Image::new();
    for outcome in [
        Outcome::Failed("gone".into()),
        Outcome::Bytes(vec![0; BLOCK as usize - 1]),
    ] {
        let mut bench = image.accepted();
        bench.say(&need(0, 1));
        let (id, _) = bench.host.poll_request().unwrap();
        bench.host.handle_done(id, outcome, bench.now);
        bench.pump();
        assert!(matches!(bench.failure(), Failure::Source(_)));
        let reason = AbortReason::Failed;
        assert_eq!(bench.messages.last(), Some(&FromHost::Abort { reason }));
    }
}
