//! A transfer: what of an accepted image the device holds.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use nx_image::digest::Digest;
use nx_image::manifest::{Manifest, Role};

use crate::blocks::{Block, BlockMap, BlockSet};
use crate::device::assembly::Assemblies;
use crate::device::desk::{Desk, Purpose};
use crate::device::digests::Digests;
use crate::device::event::Event;
use crate::device::finish::Finish;
use crate::device::offer::{Incoming, Offer, Refused};
use crate::device::request::{Outcome, Request};
use crate::device::survey::Survey;
use crate::device::zeros::Zeros;
use crate::limits::{CHECKPOINT_AFTER, WINDOW_BLOCKS_MIN};
use crate::session::Channel;
use crate::time::Instant;
use crate::wire::{Busy, BusyPhase, FromDevice, Object, RejectCode};

/// What there is of an accepted image, and what comes in.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) offer: Offer,
    pub(super) map: BlockMap,
    /// Staged and proven, or kept.
    pub(super) proven: BlockSet,
    /// Blocks of each segment that are not proven.
    left: Vec<u32>,
    /// Proven in the installed image and not copied: it may turn out that nothing changes.
    pub(super) present: BlockSet,
    /// The offered image is the installed one.
    pub(super) same_as_installed: bool,
    /// There is an installed image to take blocks from.
    pub(super) can_adopt: bool,
    /// Something may be staged already.
    pub(super) resumed: bool,
    /// Segments whose own content the device keeps.
    pub(super) kept: Vec<u8>,
    /// What the device grants for blocks of this size, in bytes.
    pub(super) window_bytes: u32,
    pub(super) asked: VecDeque<u8>,
    pub(super) survey: Option<Survey>,
    pub(super) surveyed: u8,
    /// Bytes of blocks that the survey has passed.
    pub(super) looked_at_bytes: u64,
    pub(super) digests: Digests,
    /// Digests of the pages that were proven, by segment and page.
    pub(super) pages: BTreeMap<(u8, u16), Digest>,
    /// A page that the store is asked for before a block needs it.
    pub(super) page_ahead: Option<(u8, u16)>,
    pub(super) directory: Option<(u8, Vec<u8>)>,
    pub(super) wanted: Option<(Object, Incoming)>,
    pub(super) assemblies: Assemblies,
    pub(super) writing: BTreeSet<u32>,
    pub(super) zeros: Zeros,
    pub(super) bad_blocks: u32,
    pub(super) received: u32,
    pub(super) durable: u32,
    pub(super) unsynced_bytes: u64,
    pub(super) unsynced_since: Option<Instant>,
    syncing: bool,
    /// Blocks that are whole and wait for their digest.
    pub(super) proving: BTreeSet<u32>,
    /// `DONE` came, and is looked at once what is being taken in is on the medium.
    pub(super) done_waits: bool,
    /// `DONE` came before all that was under way.
    pub(super) done_held: bool,
    /// When data came last.
    pub(super) data_at: Instant,
    pub(super) finish: Option<Finish>,
    pub(super) repairs: u32,
}

impl Transfer {
    pub(super) fn new(
        offer: Offer,
        installed: Option<&[u8]>,
        resumed: bool,
        window_bytes: u32,
    ) -> Self {
        let map = BlockMap::of(&offer.manifest);
        let blocks = map.block_count();
        let fresh = offer.flags.restart;
        let same = installed.is_some_and(|raw| Manifest::digest_of(raw) == offer.digest);
        let window_bytes = window_bytes.max(map.block_bytes().saturating_mul(WINDOW_BLOCKS_MIN));
        let room = window_bytes.checked_div(map.block_bytes()).unwrap_or(0);
        Self {
            proven: BlockSet::with_room_for(blocks),
            present: BlockSet::with_room_for(blocks),
            left: offer
                .manifest
                .segments
                .iter()
                .map(|segment| segment.block_count(map.block_bytes()))
                .collect(),
            same_as_installed: same && !fresh && !offer.flags.wipe_state,
            can_adopt: installed.is_some() && !fresh,
            resumed,
            kept: Vec::new(),
            window_bytes,
            asked: VecDeque::new(),
            survey: None,
            surveyed: 0,
            looked_at_bytes: 0,
            digests: Digests::default(),
            pages: BTreeMap::new(),
            page_ahead: None,
            directory: None,
            wanted: None,
            assemblies: Assemblies::with_room_for(usize::try_from(room).unwrap_or(2)),
            writing: BTreeSet::new(),
            zeros: Zeros::with_room_for(blocks),
            bad_blocks: 0,
            received: 0,
            durable: 0,
            unsynced_bytes: 0,
            unsynced_since: None,
            syncing: false,
            proving: BTreeSet::new(),
            done_waits: false,
            done_held: false,
            data_at: Instant::ZERO,
            finish: None,
            repairs: 0,
            map,
            offer,
        }
    }

    pub(super) fn root(&self, segment: u8) -> Option<Digest> {
        self.offer
            .manifest
            .segments
            .get(usize::from(segment))
            .map(|s| s.block_root)
    }

    /// Whether the device keeps its own content of this segment.
    pub(super) fn keeps(&self, segment: u8) -> bool {
        self.offer
            .manifest
            .segments
            .get(usize::from(segment))
            .is_some_and(|segment| self.offer.keeps.role(segment.role))
    }

    /// Whether the device keeps a state of its own.
    pub(super) fn keeps_state(&self) -> bool {
        let role = |segment: &u8| self.map.role(*segment);
        self.kept
            .iter()
            .filter_map(role)
            .any(|role| role == Role::State)
    }

    /// A block counts as had; tells when its segment is complete with it.
    pub(super) fn have(&mut self, block: &Block, desk: &mut Desk) {
        if !self.proven.insert(block.number) {
            return;
        }
        let Some(left) = self.left.get_mut(usize::from(block.segment)) else {
            return;
        };
        *left = left.saturating_sub(1);
        let done = *left == 0;
        let segment = self.offer.manifest.segments.get(usize::from(block.segment));
        if let Some(segment) = segment.filter(|_| done) {
            let (name, bytes) = (segment.name.clone(), segment.size);
            desk.tell(Event::SegmentWritten { name, bytes });
        }
    }

    /// The blocks that the device does not have, at most this many.
    pub(super) fn missing(&self, at_most: usize) -> Vec<Block> {
        let had = |n: &u32| self.proven.contains(*n) || self.present.contains(*n);
        let missing = (0..self.map.block_count()).filter(|n| !had(n));
        missing
            .take(at_most)
            .filter_map(|number| self.map.by_number(number))
            .collect()
    }

    /// A block that counted as had is not what it should be.
    pub(super) fn lose(&mut self, block: &Block) {
        if self.proven.remove(block.number)
            && let Some(left) = self.left.get_mut(usize::from(block.segment))
        {
            *left = left.saturating_add(1);
        }
    }

    /// Makes what was received durable.
    pub(super) fn checkpoint(&mut self, desk: &mut Desk) {
        if self.syncing || self.unsynced_bytes == 0 {
            return;
        }
        self.syncing = true;
        self.unsynced_bytes = 0;
        self.unsynced_since = None;
        desk.ask(Request::Sync, Purpose::Synced(self.received));
    }

    pub(super) fn synced(&mut self, received: u32) {
        self.syncing = false;
        self.durable = self.durable.max(received);
    }

    /// The session is over: what was received is kept.
    pub(super) fn abandon(&mut self, desk: &mut Desk) {
        if self.received > self.durable {
            desk.ask(Request::Sync, Purpose::Kept);
        }
    }

    /// Whether blocks that have come are not on the medium yet.
    pub(super) fn is_taking_in(&self) -> bool {
        !self.writing.is_empty() || !self.proving.is_empty() || self.zeros.are_due()
    }

    /// What a `BUSY` says, while the device works and the host has to wait for it.
    pub(super) fn busy(&self) -> Option<Busy> {
        if let Some(finish) = &self.finish {
            return Some(finish.busy());
        }
        let total = self.offer.manifest.image.size;
        if self.done_waits {
            let blocks = u64::from(self.received);
            let done = blocks.saturating_mul(u64::from(self.map.block_bytes()));
            let phase = BusyPhase::ReadBack;
            return Some(Busy { phase, done, total });
        }
        let done = self.looked_at_bytes;
        let survey = self.survey.as_ref().filter(|survey| survey.is_at_work());
        survey.map(|_| Busy {
            phase: BusyPhase::Survey,
            done,
            total,
        })
    }

    /// When the next checkpoint is due.
    pub(super) fn checkpoint_at(&self) -> Option<Instant> {
        if self.syncing {
            None
        } else {
            self.unsynced_since.map(|at| at.after(CHECKPOINT_AFTER))
        }
    }

    /// The byte behind a segment's region: where the next one begins, or the image ends.
    pub(super) fn region_end(&self, segment: u8) -> u64 {
        let next = usize::from(segment).saturating_add(1);
        let manifest = &self.offer.manifest;
        manifest
            .segments
            .get(next)
            .map_or(manifest.image.size, |next| next.offset)
    }
}

/// Sets a bit, least significant first, in bytes that grow as needed.
pub(super) fn set_bit(bits: &mut Vec<u8>, index: usize) {
    let at = index / 8;
    if bits.len() <= at {
        bits.resize(at.saturating_add(1), 0);
    }
    if let Some(byte) = bits.get_mut(at) {
        *byte |= 1 << (index % 8);
    }
}

/// Sends a message.
pub(super) fn say(channel: &mut Channel, message: &FromDevice) {
    let mut body = Vec::new();
    message.emit(&mut body);
    channel.queue(body);
}

/// What a failed outcome means for the host.
pub(super) fn failed(outcome: &Outcome) -> Option<Refused> {
    use crate::device::request::StoreError;
    let Outcome::Failed(error) = outcome else {
        return None;
    };
    let code = match error {
        StoreError::Full(_) => RejectCode::StorageFull,
        StoreError::Failed(_) => RejectCode::Storage,
        StoreError::Unsupported(_) => RejectCode::NoReboot,
    };
    let detail: String = error.to_string();
    Some((code, detail))
}
