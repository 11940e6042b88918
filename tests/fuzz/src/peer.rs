use std::time::Duration;

use nx_flash::blocks::BlockMap;
use nx_flash::device::{Device, DeviceConfig, Outcome, StoreError};
use nx_flash::machine::Machine as _;
use nx_flash::rolling;
use nx_flash::session::{Channel, Incoming, Intake, Piece, Slice};
use nx_flash::storage::{MemoryStore, Store as _};
use nx_flash::time::Instant;
use nx_flash::wire::{
    AbortReason, Frame, FromDevice, FromHost, Hello, Kind, Object, OfferFlags, Welcome, Writer,
};
use nx_image::test_image::TestImage;

/// A device in memory, and a host that says whatever it is told to.
pub(crate) struct Peer {
    pub(crate) device: Device,
    pub(crate) store: MemoryStore,
    /// So many answers of the store are failures.
    pub(crate) failures: u8,
    now: Instant,
    channel: Option<Channel>,
    intake: Intake,
    welcome: Option<Welcome>,
    said: Vec<FromDevice>,
    nonce: u64,
}

/// Rounds after which a device that goes on saying things, with nothing new to hear, is stuck.
const ROUNDS_MAX: u32 = 10_000;

impl Peer {
    pub(crate) fn new() -> Self {
        let mut config = DeviceConfig::new(vec![TestImage::key()], 7);
        config.board = Some("virt".into());
        let mut peer = Self {
            device: Device::new(config),
            store: MemoryStore::new(),
            failures: 0,
            now: Instant::from_micros(1_000_000),
            channel: None,
            intake: Intake::new(),
            welcome: None,
            said: Vec::new(),
            nonce: 100,
        };
        peer.settle();
        peer
    }

    /// The current session, or zero.
    pub(crate) fn session(&self) -> u32 {
        self.channel.as_ref().map_or(0, Channel::session)
    }

    pub(crate) fn input(&mut self, bytes: &[u8]) {
        self.device.handle_input(bytes, self.now);
        self.settle();
    }

    pub(crate) fn close(&mut self) {
        self.device.handle_closed(self.now);
        self.settle();
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.device.handle_timeout(self.now);
        if let Some(channel) = &mut self.channel {
            channel.handle_timeout(self.now);
        }
        self.settle();
    }

    /// Calls; with a device that answers, a session begins.
    pub(crate) fn hello(&mut self, version_min: u8, version_max: u8) {
        self.nonce += 1;
        let hello = Hello {
            version_min,
            version_max,
            nonce: self.nonce,
            codecs: u32::MAX,
            host: "peer".into(),
        };
        let mut payload = Vec::new();
        hello.emit(&mut payload);
        let mut frame = Vec::new();
        Frame::new(Kind::Hello, 0, 0, &payload).emit(&mut frame);
        self.welcome = None;
        self.input(&frame);
        if let Some(welcome) = &self.welcome {
            self.channel = Some(Channel::new(welcome.session, self.now));
        }
    }

    /// A message in its turn.
    pub(crate) fn message(&mut self, body: Vec<u8>) {
        if let Some(channel) = &mut self.channel
            && channel.queued() < 16
        {
            channel.queue(body);
            self.settle();
        }
    }

    pub(crate) fn say(&mut self, message: &FromHost) {
        let mut body = Vec::new();
        message.emit(&mut body);
        self.message(body);
    }

    /// A frame of this kind in its turn.
    pub(crate) fn frame(&mut self, kind: Kind, payload: Vec<u8>) {
        let Some(channel) = &mut self.channel else {
            return;
        };
        let slice = Slice::Block {
            number: 0,
            offset: 0,
            len: u32::try_from(payload.len()).unwrap(),
        };
        let piece = Piece {
            slice,
            again: false,
            payload,
        };
        let mut out = Vec::new();
        channel.send(self.now, &mut out, kind, &piece);
        self.input(&out);
    }

    pub(crate) fn object(&mut self, object: u32, offset: u32, bytes: &[u8]) {
        let mut payload = Vec::new();
        Writer::new(&mut payload)
            .u32(object)
            .u32(offset)
            .bytes(bytes);
        self.frame(Kind::Meta, payload);
    }

    pub(crate) fn data(&mut self, offset: u64, bytes: &[u8]) {
        let mut payload = Vec::new();
        let address = u32::try_from(offset / 64).unwrap_or(u32::MAX);
        Writer::new(&mut payload).u32(address).bytes(bytes);
        self.frame(Kind::Data, payload);
    }

    pub(crate) fn offer(&mut self, image: &TestImage, flags: OfferFlags) {
        let bytes = [image.signature.as_slice(), &image.manifest_bytes].concat();
        self.say(&FromHost::Offer {
            bytes: u32::try_from(bytes.len()).unwrap(),
            flags,
        });
        self.object(Object::Offer.number(), 0, &bytes);
    }

    /// Asks for every segment and gives the digests that are wanted, as long as any are.
    pub(crate) fn survey(&mut self, image: &TestImage) -> Vec<(u64, Vec<u8>)> {
        let mut needed = Vec::new();
        for segment in &image.manifest.segments {
            self.say(&FromHost::Write {
                segment: segment.name.clone(),
            });
            for _ in 0..16 {
                let said = std::mem::take(&mut self.said);
                if said.is_empty() {
                    break;
                }
                for message in said {
                    self.answer(image, message, &mut needed);
                }
            }
        }
        needed
    }

    fn answer(&mut self, image: &TestImage, said: FromDevice, needed: &mut Vec<(u64, Vec<u8>)>) {
        match said {
            FromDevice::Want(object) => {
                let bytes = match object {
                    Object::Page { segment, page } if has(image, segment) => {
                        image.page(segment, page)
                    }
                    Object::Directory { segment } if has(image, segment) => {
                        image.directory(segment)
                    }
                    Object::Sums { segment, page } if has(image, segment) => image
                        .blocks(segment, page)
                        .flat_map(|block| rolling::sum(block).to_le_bytes())
                        .collect(),
                    _ => return,
                };
                self.object(object.number(), 0, &bytes);
            }
            FromDevice::Need(need) => {
                let map = BlockMap::of(&image.manifest);
                for index in 0..1_024 {
                    let byte = need.bitmap.get(index / 8).copied().unwrap_or(0);
                    if byte & (1 << (index % 8)) == 0 {
                        continue;
                    }
                    let index = u32::try_from(index).unwrap();
                    let block = map.in_page(need.segment, need.page, index);
                    let Some(block) = block else { continue };
                    let from = usize::try_from(block.offset).unwrap();
                    let len = usize::try_from(block.bytes).unwrap();
                    needed.push((block.offset, image.bytes[from..from + len].to_vec()));
                }
            }
            _ => {}
        }
    }

    /// A transfer as it should be; whether it was installed.
    pub(crate) fn send(&mut self, image: &TestImage) -> bool {
        self.hello(1, 1);
        self.said.clear();
        self.offer(image, OfferFlags::default());
        for (offset, block) in self.survey(image) {
            self.data(offset, &block);
        }
        self.said.clear();
        self.say(&FromHost::Done {
            manifest: image.digest(),
        });
        let installed = self
            .said
            .iter()
            .any(|said| matches!(said, FromDevice::Installed { .. }));
        self.say(&FromHost::Abort {
            reason: AbortReason::Finished,
        });
        installed
    }

    /// Everything that happens without time passing.
    fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let mut idle = true;
            while let Some((id, request)) = self.device.poll_request() {
                idle = false;
                let outcome = if self.failures > 0 {
                    self.failures -= 1;
                    Outcome::Failed(StoreError::Failed("as asked".into()))
                } else {
                    self.store.serve(request)
                };
                self.device.handle_done(id, outcome, self.now);
            }
            let mut out = Vec::new();
            while let Some(len) = self.device.poll_transmit(self.now, &mut out) {
                assert!(len > 0 && len <= out.len());
            }
            idle &= out.is_empty();
            self.hear(&out);
            while self.device.poll_event().is_some() {}
            let mut back = Vec::new();
            if let Some(channel) = &mut self.channel {
                while channel.poll_control(self.now, &mut back).is_some() {}
            }
            if !back.is_empty() {
                idle = false;
                self.device.handle_input(&back, self.now);
            }
            if idle {
                return;
            }
        }
        panic!("the device does not come to rest");
    }

    fn hear(&mut self, bytes: &[u8]) {
        let mut intake = std::mem::take(&mut self.intake);
        intake.feed(bytes, self.now, &mut |incoming| {
            let Incoming::Frame(frame) = incoming else {
                panic!("the device sent {incoming:?}");
            };
            match Kind::from_number(frame.kind).unwrap() {
                Kind::Welcome => {
                    let welcome = Welcome::parse(frame.payload).unwrap();
                    if welcome.nonce == self.nonce {
                        self.welcome = Some(welcome);
                    }
                }
                Kind::Refuse | Kind::Busy => {}
                _ => {
                    let Some(channel) = &mut self.channel else {
                        return;
                    };
                    if frame.session == channel.session() {
                        channel.handle_frame(&frame, self.now);
                    }
                }
            }
        });
        self.intake = intake;
        while let Some(body) = self.channel.as_mut().and_then(Channel::next_message) {
            self.said.push(FromDevice::parse(&body).unwrap());
        }
    }
}

fn has(image: &TestImage, segment: u8) -> bool {
    usize::from(segment) < image.manifest.segments.len()
}
