//! The heap of a device, its machine and its store in files, counted by an allocator: the same
//! for an image of any size, and whatever comes before and between the frames.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use nx_flash::blocks::BlockMap;
use nx_flash::device::{Device, DeviceConfig};
use nx_flash::machine::Machine as _;
use nx_flash::session::{Channel, Incoming, Intake, Piece, Slice};
use nx_flash::storage::{FileStore, FileStoreConfig, Store as _};
use nx_flash::time::Instant;
use nx_flash::wire::{
    Frame, FromDevice, FromHost, Hello, Kind, MAGIC, Need, Object, OfferFlags, Welcome, Writer,
};
use nx_image::manifest::{ImageInfo, Manifest, Profile, Segment, SegmentKind, Table};
use nx_image::test_image::{TestImage, random_bytes};
use nx_image::{Digest, Slots, tree};
use peak_alloc::PeakAlloc;

#[global_allocator]
static COUNTING: PeakAlloc = PeakAlloc;

const MIB: u64 = 1 << 20;
const BLOCK: u32 = 65_536;
/// What `docs/performance.md` says of the heap of a device, in bytes.
const HEAP_BYTES_MAX: usize = 2 << 20;
/// What an image of 4 GiB may cost more than one of 64 MiB: a few bytes a block.
const GROWTH_BYTES_MAX: usize = 256 << 10;

/// An image that is nowhere: random blocks, as many as fill a window and some more, then zeros,
/// and a random block in every thousand.
struct Sparse {
    manifest: Manifest,
    bytes: Vec<u8>,
    signature: Vec<u8>,
    blocks: Vec<Digest>,
}

impl Sparse {
    fn of(bytes: u64) -> Self {
        let count = u32::try_from(bytes / u64::from(BLOCK)).unwrap();
        let zero = Digest::of(&vec![0; BLOCK as usize]);
        let blocks: Vec<Digest> = (0..count)
            .map(|number| match Self::content(number) {
                Some(content) => Digest::of(&content),
                None => zero,
            })
            .collect();
        let pages: Vec<Digest> = blocks
            .chunks(tree::PAGE_BLOCKS as usize)
            .map(tree::page_digest)
            .collect();
        // Of blocks only; to digest 4 GiB once more would show nothing.
        let not_looked_at = Digest::of(b"");
        let kind = SegmentKind::Rootfs;
        let manifest = Manifest {
            image: ImageInfo {
                size: bytes,
                sha256: not_looked_at,
                board: "virt".into(),
                profile: Profile::Dev,
                image_version: "1.0.0".into(),
                rollback_index: 0,
                block_size: BLOCK,
                table: Table::None,
                slots: Slots::One,
            },
            segments: vec![Segment {
                name: kind.as_str().into(),
                kind,
                role: kind.role(),
                offset: 0,
                size: bytes,
                sha256: not_looked_at,
                block_root: tree::root(&pages),
            }],
        };
        let encoded = manifest.encode();
        Self {
            manifest,
            signature: TestImage::sign(&encoded),
            bytes: encoded,
            blocks,
        }
    }

    /// The bytes of a block that is not zero.
    fn content(number: u32) -> Option<Vec<u8>> {
        let is_full = number.is_multiple_of(1_000) || number < 20;
        is_full.then(|| random_bytes(BLOCK as usize, number.into()))
    }

    fn object(&self, object: Object) -> Vec<u8> {
        let flat = |digests: &[Digest]| -> Vec<u8> {
            digests
                .iter()
                .flat_map(|digest| *digest.as_bytes())
                .collect()
        };
        let mut pages = self.blocks.chunks(tree::PAGE_BLOCKS as usize);
        match object {
            Object::Page { page, .. } => flat(pages.nth(usize::from(page)).unwrap()),
            Object::Directory { .. } => flat(&pages.map(tree::page_digest).collect::<Vec<_>>()),
            other => panic!("asked for {other:?}"),
        }
    }
}

/// A device in the midst of a host that is not counted.
struct Counted {
    device: Device,
    store: FileStore,
    now: Instant,
    /// What the device says; of a size that it never outgrows, so that it is nobody's.
    out: Vec<u8>,
    live: usize,
    peak: usize,
}

impl Counted {
    fn new(dir: &std::path::Path) -> Self {
        let before = COUNTING.current_usage();
        COUNTING.reset_peak_usage();
        let store = FileStore::open(&FileStoreConfig {
            target: dir.join("disk.img"),
            journal: dir.join("journal"),
            layout: None,
            boot_record: None,
        });
        let config = DeviceConfig::new(vec![TestImage::key()], 7);
        let mut counted = Self {
            device: Device::new(config),
            store: store.unwrap(),
            now: Instant::from_micros(1_000_000),
            out: Vec::new(),
            live: 0,
            peak: 0,
        };
        counted.count(before);
        counted.out.reserve(MIB as usize);
        counted.input(&[]);
        counted
    }

    /// After something of the device's, and before anything of the host's.
    fn count(&mut self, before: usize) {
        let above = COUNTING.peak_usage().saturating_sub(before);
        self.peak = self.peak.max(self.live + above);
        self.live = (self.live + COUNTING.current_usage()).saturating_sub(before);
    }

    /// Bytes for the device, and all that follows from them.
    fn input(&mut self, bytes: &[u8]) {
        self.out.clear();
        let room = self.out.capacity();
        let before = COUNTING.current_usage();
        COUNTING.reset_peak_usage();
        self.device.handle_input(bytes, self.now);
        loop {
            if let Some((id, request)) = self.device.poll_request() {
                let outcome = self.store.serve(request);
                self.device.handle_done(id, outcome, self.now);
            } else if self.device.poll_transmit(self.now, &mut self.out).is_none()
                && self.device.poll_event().is_none()
            {
                break;
            }
        }
        self.count(before);
        assert_eq!(
            self.out.capacity(),
            room,
            "the device says more than it is asked"
        );
    }
}

/// The host.
struct Host {
    counted: Counted,
    channel: Option<Channel>,
    intake: Intake,
    said: Vec<FromDevice>,
}

impl Host {
    fn feed(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        while !bytes.is_empty() {
            self.counted.input(&bytes);
            bytes.clear();
            let now = self.counted.now;
            let channel = &mut self.channel;
            self.intake.feed(&self.counted.out, now, &mut |incoming| {
                let Incoming::Frame(frame) = incoming else {
                    panic!("the device said {incoming:?}");
                };
                if frame.kind == Kind::Welcome.number() {
                    let welcome = Welcome::parse(frame.payload).unwrap();
                    *channel = Some(Channel::new(welcome.session, now));
                } else if let Some(channel) = channel {
                    channel.handle_frame(&frame, now);
                }
            });
            if let Some(channel) = &mut self.channel {
                while let Some(body) = channel.next_message() {
                    self.said.push(FromDevice::parse(&body).unwrap());
                }
                while channel.poll_control(now, &mut bytes).is_some() {}
            }
        }
    }

    fn say(&mut self, message: &FromHost) {
        let mut body = Vec::new();
        message.emit(&mut body);
        let channel = self.channel.as_mut().unwrap();
        channel.queue(body);
        let mut bytes = Vec::new();
        while channel.poll_control(self.counted.now, &mut bytes).is_some() {}
        self.feed(&bytes);
    }

    fn slice(&mut self, kind: Kind, payload: Vec<u8>) {
        let slice = Slice::Block {
            number: 0,
            offset: 0,
            len: 0,
        };
        let piece = Piece {
            slice,
            again: false,
            payload,
        };
        let mut bytes = Vec::new();
        let channel = self.channel.as_mut().unwrap();
        channel.send(self.counted.now, &mut bytes, kind, &piece);
        self.feed(&bytes);
    }

    fn object(&mut self, object: Object, bytes: &[u8]) {
        for (piece, offset) in bytes.chunks(16_384).zip((0..).step_by(16_384)) {
            let mut payload = Vec::new();
            let mut fields = Writer::new(&mut payload);
            fields.u32(object.number()).u32(offset).bytes(piece);
            self.slice(Kind::Meta, payload);
        }
    }

    fn block(&mut self, number: u32, pieces: usize) {
        let content = Sparse::content(number).expect("only what is not zero is asked for");
        let cut = content.chunks(16_384).zip((0..).step_by(16_384));
        for (piece, at) in cut.take(pieces) {
            let offset = u64::from(number) * u64::from(BLOCK) + at;
            let mut payload = Vec::new();
            let address = u32::try_from(offset / 64).unwrap();
            Writer::new(&mut payload).u32(address).bytes(piece);
            self.slice(Kind::Data, payload);
        }
    }

    /// A megabyte that is no frame, though it often begins like one.
    fn noise(&mut self) {
        let mut noise = random_bytes(MIB as usize, 9);
        for at in (0..noise.len() - 2).step_by(61) {
            noise[at..at + 2].copy_from_slice(&MAGIC);
        }
        // And a whole header that announces the longest payload, which does not come.
        let mut frame = Vec::new();
        Frame::new(Kind::Data, 1, 1, &[0; 65_535]).emit(&mut frame);
        noise.extend(&frame[..40_000]);
        for piece in noise.chunks(4_096) {
            self.feed(piece);
        }
        // A silence on the line, after which the device looks behind it.
        let counted = &mut self.counted;
        counted.now = counted.now.after(std::time::Duration::from_secs(1));
        counted.device.handle_timeout(counted.now);
        self.feed(b"\n");
    }
}

/// Has an image installed; the most heap that the device needed, in bytes.
fn peak_of(image_bytes: u64) -> usize {
    let image = Sparse::of(image_bytes);
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host {
        counted: Counted::new(dir.path()),
        channel: None,
        intake: Intake::new(),
        said: Vec::new(),
    };
    host.noise();
    let hello = Hello {
        version_min: 1,
        version_max: 1,
        nonce: 5,
        codecs: 0,
        host: "heap".into(),
    };
    let mut payload = Vec::new();
    hello.emit(&mut payload);
    let mut frame = Vec::new();
    Frame::new(Kind::Hello, 0, 0, &payload).emit(&mut frame);
    host.feed(&frame);
    let offer = [image.signature.as_slice(), &image.bytes].concat();
    host.say(&FromHost::Offer {
        bytes: u32::try_from(offer.len()).unwrap(),
        flags: OfferFlags::default(),
    });
    host.object(Object::Offer, &offer);
    assert_eq!(std::mem::take(&mut host.said), [FromDevice::Accepted]);
    host.say(&FromHost::Write {
        segment: "rootfs".into(),
    });
    let map = BlockMap::of(&image.manifest);
    while !host.said.is_empty() {
        for said in std::mem::take(&mut host.said) {
            match said {
                FromDevice::Want(object) => host.object(object, &image.object(object)),
                FromDevice::Need(need) => send(&mut host, &map, &need),
                other => panic!("{other:?}"),
            }
        }
    }
    host.noise();
    host.say(&FromHost::Done {
        manifest: Manifest::digest_of(&image.bytes),
    });
    let installed = matches!(host.said[..], [FromDevice::Installed { .. }]);
    assert!(installed, "{:?}", host.said);
    let found = std::fs::metadata(dir.path().join("disk.img")).unwrap();
    assert_eq!(found.len(), image_bytes);
    host.counted.peak
}

/// Sends the blocks of a page, and before them a piece of each: as many are open as may be.
fn send(host: &mut Host, map: &BlockMap, need: &Need) {
    let mut numbers = Vec::new();
    for (bits, first) in need.bitmap.iter().zip((0..).step_by(8)) {
        for bit in (0..8).filter(|bit| bits & (1 << bit) != 0) {
            let block = map.in_page(need.segment, need.page, first + bit);
            numbers.push(block.unwrap().number);
        }
    }
    for number in &numbers {
        host.block(*number, 1);
    }
    for number in &numbers {
        host.block(*number, usize::MAX);
    }
}

#[test]
fn the_heap_of_a_device_is_bounded_and_does_not_grow_with_the_image() {
    let peaks = [1, 64, 4_096].map(|mib| peak_of(mib * MIB));
    let [_, middle, large] = peaks;
    assert!(
        peaks.iter().all(|peak| *peak <= HEAP_BYTES_MAX),
        "{peaks:?}"
    );
    assert!(large <= middle + GROWTH_BYTES_MAX, "{peaks:?}");
}
