//! A device on its store, and a host whose every step the test decides.

use std::time::Duration;

use nx_flash::device::{Device, DeviceConfig, Event, Outcome, Request};
use nx_flash::machine::Machine as _;
use nx_flash::rolling;
use nx_flash::session::{Channel, Incoming, Intake, Piece, Slice};
use nx_flash::storage::Store;
use nx_flash::time::Instant;
use nx_flash::wire::{
    AbortReason, Busy, Frame, FromDevice, FromHost, Hello, Kind, Need, Object, OfferFlags, Refusal,
    RejectCode, Welcome, Writer,
};
use nx_image::test_image::TestImage;

use crate::image::BLOCK;

/// A device on its store, and a host whose every step the test decides.
pub(crate) struct Bench<S: Store> {
    pub(crate) device: Device,
    pub(crate) store: S,
    pub(crate) now: Instant,
    pub(crate) events: Vec<Event>,
    pub(crate) said: Vec<FromDevice>,
    pub(crate) welcomes: Vec<Welcome>,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) busy: Vec<Busy>,
    /// What the store was asked, and may be made to answer instead.
    pub(crate) intercept: fn(&Request) -> Option<Outcome>,
    pub(crate) requests: Vec<Request>,
    peer: Option<Channel>,
    intake: Intake,
    nonce: u64,
}

impl<S: Store> Bench<S> {
    pub(crate) fn new(store: S) -> Self {
        let mut config = DeviceConfig::new(vec![TestImage::key()], 7);
        config.board = Some("virt".into());
        Self::with(store, config)
    }

    pub(crate) fn with(store: S, config: DeviceConfig) -> Self {
        let mut bench = Self {
            device: Device::new(config),
            store,
            now: Instant::from_micros(1_000_000),
            events: Vec::new(),
            said: Vec::new(),
            welcomes: Vec::new(),
            refusals: Vec::new(),
            busy: Vec::new(),
            intercept: |_| None,
            requests: Vec::new(),
            peer: None,
            intake: Intake::new(),
            nonce: 100,
        };
        bench.settle();
        bench
    }

    /// Bytes for the device, and all that follows from them.
    pub(crate) fn input(&mut self, bytes: &[u8]) {
        self.device.handle_input(bytes, self.now);
        self.settle();
    }

    /// Everything that can happen without time passing.
    pub(crate) fn settle(&mut self) {
        loop {
            let mut idle = true;
            while self.serve_one() {
                idle = false;
            }
            let mut out = Vec::new();
            while let Some(len) = self.device.poll_transmit(self.now, &mut out) {
                assert!(len > 0 && len <= out.len());
            }
            idle &= out.is_empty();
            self.hear(&out);
            while let Some(event) = self.device.poll_event() {
                self.events.push(event);
            }
            let mut back = Vec::new();
            if let Some(peer) = &mut self.peer {
                while peer.poll_control(self.now, &mut back).is_some() {}
            }
            if !back.is_empty() {
                idle = false;
                self.device.handle_input(&back, self.now);
            }
            if idle {
                return;
            }
        }
    }

    /// Serves one request of the device.
    pub(crate) fn serve_one(&mut self) -> bool {
        let Some((id, request)) = self.device.poll_request() else {
            return false;
        };
        self.requests.push(request.clone());
        let outcome = (self.intercept)(&request).unwrap_or_else(|| self.store.serve(request));
        self.device.handle_done(id, outcome, self.now);
        true
    }

    /// Time passes in steps, on both sides.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        while self.now < end {
            self.now = self.now.after(Duration::from_millis(100)).min(end);
            self.device.handle_timeout(self.now);
            if let Some(peer) = &mut self.peer {
                peer.handle_timeout(self.now);
            }
            self.settle();
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        let mut intake = core::mem::take(&mut self.intake);
        intake.feed(bytes, self.now, &mut |incoming| {
            let Incoming::Frame(frame) = incoming else {
                panic!("the device sent {incoming:?}");
            };
            match Kind::from_number(frame.kind).unwrap() {
                Kind::Welcome => self.welcomes.push(Welcome::parse(frame.payload).unwrap()),
                Kind::Refuse => self.refusals.push(Refusal::parse(frame.payload).unwrap()),
                Kind::Busy => self.busy.push(Busy::parse(frame.payload).unwrap()),
                _ => {
                    let Some(peer) = &mut self.peer else { return };
                    if frame.session == peer.session() {
                        peer.handle_frame(&frame, self.now);
                    }
                }
            }
        });
        self.intake = intake;
        while let Some(body) = self.peer.as_mut().and_then(Channel::next_message) {
            self.said.push(FromDevice::parse(&body).unwrap());
        }
    }

    pub(crate) fn hello_bytes(nonce: u64, versions: (u8, u8)) -> Vec<u8> {
        let hello = Hello {
            version_min: versions.0,
            version_max: versions.1,
            nonce,
            codecs: u32::MAX,
            host: "bench".into(),
        };
        let mut payload = Vec::new();
        hello.emit(&mut payload);
        let mut out = Vec::new();
        Frame::new(Kind::Hello, 0, 0, &payload).emit(&mut out);
        out
    }

    /// Opens a session.
    pub(crate) fn hello(&mut self) -> Welcome {
        self.nonce += 1;
        let bytes = Self::hello_bytes(self.nonce, (1, 1));
        self.input(&bytes);
        let welcome = self.welcomes.last().unwrap().clone();
        assert_eq!(welcome.nonce, self.nonce);
        self.peer = Some(Channel::new(welcome.session, self.now));
        welcome
    }

    /// Says something and takes everything that comes of it.
    pub(crate) fn say(&mut self, message: FromHost) {
        self.queue(&message);
        self.settle();
    }

    /// Says something that is not on its way yet.
    pub(crate) fn queue(&mut self, message: &FromHost) {
        let mut body = Vec::new();
        message.emit(&mut body);
        self.peer.as_mut().unwrap().queue(body);
    }

    /// The frame of a slice.
    fn slice(&mut self, kind: Kind, slice: Slice, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let peer = self.peer.as_mut().unwrap();
        let piece = Piece {
            slice,
            again: false,
            payload: payload.to_vec(),
        };
        peer.send(self.now, &mut out, kind, &piece);
        out
    }

    /// Sends an object in pieces.
    pub(crate) fn object(&mut self, object: Object, bytes: &[u8]) {
        for (index, piece) in bytes.chunks(1_000).enumerate() {
            self.object_slice(object, index as u32 * 1_000, piece);
        }
    }

    /// The frame of image data at this offset.
    pub(crate) fn data_frame(&mut self, offset: u64, data: &[u8]) -> Vec<u8> {
        let mut payload = Vec::new();
        Writer::new(&mut payload)
            .u32((offset / 64) as u32)
            .bytes(data);
        let slice = Slice::Block {
            number: 0,
            offset: 0,
            len: data.len() as u32,
        };
        self.slice(Kind::Data, slice, &payload)
    }

    pub(crate) fn data(&mut self, offset: u64, data: &[u8]) {
        let frame = self.data_frame(offset, data);
        self.input(&frame);
    }

    /// A `PACKED` frame with this payload.
    pub(crate) fn packed_payload(&mut self, payload: &[u8]) {
        let slice = Slice::Block {
            number: 0,
            offset: 0,
            len: payload.len() as u32,
        };
        let frame = self.slice(Kind::Packed, slice, payload);
        self.input(&frame);
    }

    pub(crate) fn offer(&mut self, image: &TestImage, flags: OfferFlags) {
        let mut bytes = image.signature.clone();
        bytes.extend(&image.manifest_bytes);
        self.say(FromHost::Offer {
            bytes: bytes.len() as u32,
            flags,
        });
        self.object(Object::Offer, &bytes);
    }

    /// Asks for every segment and gives the digests that are wanted.
    pub(crate) fn survey(&mut self, image: &TestImage) -> Vec<Need> {
        let mut needs = Vec::new();
        for segment in &image.manifest.segments {
            self.say(FromHost::Write {
                segment: segment.name.clone(),
            });
            loop {
                let said = std::mem::take(&mut self.said);
                if said.is_empty() {
                    break;
                }
                for message in said {
                    match message {
                        FromDevice::Need(need) => needs.push(need),
                        FromDevice::Want(object @ Object::Page { segment, page }) => {
                            self.object(object, &image.page(segment, page));
                        }
                        FromDevice::Want(object @ Object::Directory { segment }) => {
                            self.object(object, &image.directory(segment));
                        }
                        FromDevice::Want(object @ Object::Sums { segment, page }) => {
                            let blocks = image.blocks(segment, page);
                            let sums: Vec<u8> = blocks
                                .flat_map(|block| rolling::sum(block).to_le_bytes())
                                .collect();
                            self.object(object, &sums);
                        }
                        other => panic!("in the survey: {other:?}"),
                    }
                }
            }
        }
        needs
    }

    /// Offers, surveys; the needs of every page.
    pub(crate) fn begin(&mut self, image: &TestImage, flags: OfferFlags) -> Vec<Need> {
        self.offer(image, flags);
        assert_eq!(self.take_said(), [FromDevice::Accepted]);
        self.survey(image)
    }

    /// Sends every block that is needed.
    pub(crate) fn fill(&mut self, image: &TestImage, needs: &[Need]) {
        for (offset, data) in needed(image, needs) {
            self.data(offset, &data);
        }
    }

    pub(crate) fn done(&mut self, image: &TestImage) {
        self.say(FromHost::Done {
            manifest: image.digest(),
        });
    }

    /// A whole transfer in a session of its own; returns how many blocks were needed.
    pub(crate) fn send(&mut self, image: &TestImage, flags: OfferFlags) -> usize {
        self.hello();
        let needs = self.begin(image, flags);
        self.fill(image, &needs);
        self.done(image);
        let said = self.take_said();
        assert!(
            matches!(said[..], [FromDevice::Installed { .. }]),
            "{said:?}"
        );
        self.say(FromHost::Abort {
            reason: AbortReason::Finished,
        });
        assert!(!self.device.has_session());
        needed(image, &needs).len()
    }

    pub(crate) fn take_said(&mut self) -> Vec<FromDevice> {
        std::mem::take(&mut self.said)
    }

    /// The one refusal that was said.
    pub(crate) fn rejected(&mut self) -> RejectCode {
        match &self.take_said()[..] {
            [FromDevice::Rejected { code, .. }] => RejectCode::from_number(*code).unwrap(),
            other => panic!("no single refusal: {other:?}"),
        }
    }

    pub(crate) fn has(&self, event: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(event)
    }

    pub(crate) fn queued(&self) -> usize {
        self.peer.as_ref().unwrap().queued()
    }
}

/// Offset and bytes of every block that these needs name.
pub(crate) fn needed(image: &TestImage, needs: &[Need]) -> Vec<(u64, Vec<u8>)> {
    let mut blocks = Vec::new();
    for need in needs {
        let segment = &image.manifest.segments[usize::from(need.segment)];
        let content = image.segment(need.segment);
        for (index, block) in content.chunks(BLOCK).enumerate() {
            let (page, bit) = (index / 1_024, index % 1_024);
            let byte = need.bitmap.get(bit / 8).copied().unwrap_or(0);
            if page == usize::from(need.page) && byte & (1 << (bit % 8)) != 0 {
                blocks.push((segment.offset + (index * BLOCK) as u64, block.to_vec()));
            }
        }
    }
    blocks
}

impl<S: Store> Bench<S> {
    /// What the host has to say now.
    pub(crate) fn transmit_peer(&mut self, out: &mut Vec<u8>) {
        let peer = self.peer.as_mut().unwrap();
        while peer.poll_control(self.now, out).is_some() {}
    }

    /// Time passes, and the store answers nothing.
    pub(crate) fn wait_unserved(&mut self, time: Duration) {
        let end = self.now.after(time);
        while self.now < end {
            self.now = self.now.after(Duration::from_millis(100)).min(end);
            self.device.handle_timeout(self.now);
            let mut out = Vec::new();
            while self.device.poll_transmit(self.now, &mut out).is_some() {}
            self.hear(&out);
            while let Some(event) = self.device.poll_event() {
                self.events.push(event);
            }
        }
    }

    /// Asks `INFO?` again and again and drops every answer; returns how many questions the
    /// device took.
    pub(crate) fn ask_without_listening(&mut self, questions: u32) -> usize {
        let session = self.peer.as_ref().unwrap().session();
        let mut taken = 0;
        for id in 0..questions {
            let mut payload = Vec::new();
            let mut body = Vec::new();
            FromHost::Info.emit(&mut body);
            Writer::new(&mut payload).u32(id).bytes(&body);
            let mut frame = Vec::new();
            Frame::new(Kind::Message, session, id, &payload).emit(&mut frame);
            self.device.handle_input(&frame, self.now);
            self.now = self.now.after(Duration::from_millis(1));
            let mut out = Vec::new();
            while self.device.poll_transmit(self.now, &mut out).is_some() {}
            let mut rest = &out[..];
            while let Ok((frame, len)) = Frame::parse(rest) {
                if frame.kind == Kind::Ack.number() {
                    let ack = nx_flash::wire::Ack::parse(frame.payload).unwrap();
                    taken = taken.max(ack.last_good_seq().map_or(0, |seq| seq as usize + 1));
                }
                rest = &rest[len..];
            }
        }
        taken
    }
}

impl<S: Store> Bench<S> {
    /// One slice of an object.
    pub(crate) fn object_slice(&mut self, object: Object, offset: u32, piece: &[u8]) {
        let mut payload = Vec::new();
        Writer::new(&mut payload)
            .u32(object.number())
            .u32(offset)
            .bytes(piece);
        let len = piece.len() as u32;
        let frame = self.slice(
            Kind::Meta,
            Slice::Object {
                object,
                offset,
                len,
            },
            &payload,
        );
        self.input(&frame);
    }

    /// Slices that the device has not acknowledged.
    pub(crate) fn unacknowledged(&mut self) -> usize {
        usize::from(self.peer.as_ref().unwrap().in_flight_bytes() > 0)
    }

    /// Blocks received and durable, as the newest acknowledgement says.
    pub(crate) fn grant(&mut self) -> (u32, u32) {
        self.say(FromHost::Info);
        self.pass(Duration::from_millis(100));
        self.take_said();
        let ack = self.peer.as_ref().unwrap().peer_grant();
        (ack.received_blocks, ack.durable_blocks)
    }

    /// The window that the device grants, in bytes.
    pub(crate) fn window(&mut self) -> u32 {
        self.grant();
        self.peer.as_ref().unwrap().peer_grant().window
    }
}
