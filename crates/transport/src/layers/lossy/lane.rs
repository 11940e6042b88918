//! One direction of a lossy link.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::layers::lossy::dice::Dice;
use crate::layers::lossy::faults::{Faults, is_nth};
use crate::{FrameSplitter, Split};

/// Longest frame that is waited for, in bytes. Beyond it the front is no frame.
const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// What the numbers drawn are for; see [`Dice::new`].
mod purpose {
    pub(super) const BITS: u64 = 1;
    pub(super) const BURSTS: u64 = 2;
    pub(super) const LENGTHS: u64 = 3;
}

/// What has happened in one direction so far.
#[derive(Debug, Default)]
pub struct Tally {
    frames: AtomicU64,
    dropped: AtomicU64,
    doubled: AtomicU64,
    truncated: AtomicU64,
    stalled: AtomicU64,
    bits_flipped: AtomicU64,
    bytes_lost: AtomicU64,
}

/// One direction of a lossy link: bytes go in, what is left of them comes out.
#[derive(Debug)]
pub(super) struct Lane {
    faults: Faults,
    splitter: Option<Box<dyn FrameSplitter>>,
    /// Taken in, and not yet seen to be a whole frame.
    raw: Vec<u8>,
    out: VecDeque<Parcel>,
    out_bytes: usize,
    /// No parcel leaves before the one in front of it.
    not_before: Duration,
    frames: u64,
    bits: Dice,
    bursts: Dice,
    lengths: Dice,
    burst_left: u32,
    /// Bytes until the cut.
    until_cut: Option<u64>,
    tally: Arc<Tally>,
}

#[derive(Debug)]
struct Parcel {
    leaves: Duration,
    bytes: Vec<u8>,
    start: usize,
}

impl Lane {
    /// A direction with `faults`; `number` keeps the numbers drawn apart from the other's.
    pub(super) fn new(
        faults: Faults,
        splitter: Option<Box<dyn FrameSplitter>>,
        number: u64,
    ) -> Self {
        let dice = |purpose: u64| Dice::new(faults.seed, purpose.wrapping_mul(2) ^ number);
        Self {
            bits: dice(purpose::BITS),
            bursts: dice(purpose::BURSTS),
            lengths: dice(purpose::LENGTHS),
            until_cut: faults.cut_at,
            splitter: splitter.filter(|_| faults.counts_frames()),
            faults,
            raw: Vec::new(),
            out: VecDeque::new(),
            out_bytes: 0,
            not_before: Duration::ZERO,
            frames: 0,
            burst_left: 0,
            tally: Arc::default(),
        }
    }

    pub(super) fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    /// Nothing waits to leave: it takes more.
    pub(super) fn has_room(&self) -> bool {
        self.out_bytes == 0
    }

    pub(super) fn is_cut(&self) -> bool {
        self.until_cut == Some(0)
    }

    /// Takes bytes in, and decides about every frame that they complete.
    pub(super) fn take(&mut self, bytes: &[u8], now: Duration) {
        let Some(mut splitter) = self.splitter.take() else {
            self.push(bytes.to_vec(), now);
            return;
        };
        self.raw.extend_from_slice(bytes);
        let mut start = 0_usize;
        while let Some(rest) = self.raw.get(start..)
            && !rest.is_empty()
        {
            let (length, is_frame) = match splitter.split(rest) {
                Split::Frame(length) if (1..=rest.len()).contains(&length) => (length, true),
                Split::Junk(length) if (1..=rest.len()).contains(&length) => (length, false),
                _ if rest.len() > FRAME_BYTES_MAX => (1, false),
                _ => break,
            };
            let unit = rest.get(..length).unwrap_or_default().to_vec();
            start = start.saturating_add(length);
            if is_frame {
                self.decide(unit, now);
            } else {
                self.push(unit, now);
            }
        }
        self.raw.drain(..start.min(self.raw.len()));
        self.splitter = Some(splitter);
    }

    /// Nothing more will come: lets go of what was waiting to become a frame.
    pub(super) fn finish(&mut self, now: Duration) {
        let rest = std::mem::take(&mut self.raw);
        self.push(rest, now);
    }

    /// Forgets what is under way, and begins anew with `splitter`. The counts go on.
    pub(super) fn begin_anew(&mut self, splitter: Option<Box<dyn FrameSplitter>>) {
        self.raw.clear();
        self.out.clear();
        self.out_bytes = 0;
        self.splitter = splitter.filter(|_| self.faults.counts_frames());
    }

    /// What may leave now.
    pub(super) fn front(&self, now: Duration) -> &[u8] {
        let Some(parcel) = self.out.front().filter(|parcel| parcel.leaves <= now) else {
            return &[];
        };
        let bytes = parcel.bytes.get(parcel.start..).unwrap_or_default();
        let until_cut = self.until_cut.and_then(|left| usize::try_from(left).ok());
        bytes
            .get(..until_cut.unwrap_or(usize::MAX).min(bytes.len()))
            .unwrap_or_default()
    }

    /// So many bytes of [`front`](Self::front) have left.
    pub(super) fn consume(&mut self, count: usize) {
        if let Some(left) = &mut self.until_cut {
            *left = left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
        }
        self.out_bytes = self.out_bytes.saturating_sub(count);
        if let Some(parcel) = self.out.front_mut() {
            parcel.start = parcel.start.saturating_add(count);
            if parcel.start >= parcel.bytes.len() {
                self.out.pop_front();
            }
        }
    }

    /// Moves what may leave now into `inp`; returns how many bytes.
    pub(super) fn give(&mut self, inp: &mut [u8], now: Duration) -> usize {
        let mut given = 0_usize;
        loop {
            let room = inp.get_mut(given..).unwrap_or_default();
            let front = self.front(now);
            let count = front.len().min(room.len());
            if count == 0 {
                return given;
            }
            room.iter_mut()
                .zip(front)
                .for_each(|(slot, byte)| *slot = *byte);
            self.consume(count);
            given = given.saturating_add(count);
        }
    }

    /// When something leaves that does not leave now.
    pub(super) fn next_leave(&self) -> Option<Duration> {
        self.out.front().map(|parcel| parcel.leaves)
    }

    /// Decides what becomes of one whole frame.
    fn decide(&mut self, mut frame: Vec<u8>, now: Duration) {
        let number = self.frames;
        self.frames = number.saturating_add(1);
        count(&self.tally.frames, 1);
        if is_nth(self.faults.stall_every, number) {
            self.not_before = self.not_before.max(now).saturating_add(self.faults.stall);
            count(&self.tally.stalled, 1);
        }
        if self.faults.drops(number) {
            count(&self.tally.dropped, 1);
            return;
        }
        if is_nth(self.faults.truncate_every, number) {
            let length = self.lengths.below(frame.len());
            frame.truncate(length);
            count(&self.tally.truncated, 1);
        }
        if is_nth(self.faults.dup_every, number) {
            count(&self.tally.doubled, 1);
            self.push(frame.clone(), now);
        }
        self.push(frame, now);
    }

    /// Lets bytes leave, as they look after what happens to bytes.
    fn push(&mut self, mut bytes: Vec<u8>, now: Duration) {
        self.lose_bursts(&mut bytes);
        self.flip_bits(&mut bytes);
        if bytes.is_empty() {
            return;
        }
        self.out_bytes = self.out_bytes.saturating_add(bytes.len());
        let leaves = self.not_before.max(now);
        match self.out.back_mut() {
            Some(last) if last.leaves == leaves => last.bytes.append(&mut bytes),
            _ => self.out.push_back(Parcel {
                leaves,
                bytes,
                start: 0,
            }),
        }
    }

    fn lose_bursts(&mut self, bytes: &mut Vec<u8>) {
        if self.faults.burst_rate <= 0.0 {
            return;
        }
        let length = self.faults.burst_bytes.max(1);
        // Between bursts bytes pass; their share of all must come out as the rate says.
        let start = self.faults.burst_rate / ((1.0 - self.faults.burst_rate) * f64::from(length));
        let before = bytes.len();
        bytes.retain(|_| {
            if self.burst_left == 0 && self.bursts.share() < start {
                self.burst_left = length;
            }
            let lost = self.burst_left > 0;
            self.burst_left = self.burst_left.saturating_sub(1);
            !lost
        });
        count(&self.tally.bytes_lost, before.saturating_sub(bytes.len()));
    }

    fn flip_bits(&mut self, bytes: &mut [u8]) {
        let rate = self.faults.bit_error_rate;
        if rate <= 0.0 {
            return;
        }
        // Powers by multiplication: unlike `powi` these are the same on every machine.
        let good = |bits: u32| (0..bits).fold(1.0, |share, _| share * (1.0 - rate));
        let hit = 1.0 - good(8);
        for byte in bytes {
            // One number decides for the byte; only when it is hit are its bits looked at.
            if self.bits.share() >= hit {
                continue;
            }
            let mut flips = 0_u8;
            while flips == 0 {
                // The first bit that flips, given that one does, then each one after it.
                let at = self.bits.share() * hit;
                let first = (0..8_u32).find(|bit| 1.0 - good(bit.saturating_add(1)) > at);
                let first = first.unwrap_or(7);
                flips = 1_u8.checked_shl(first).unwrap_or_default();
                for bit in first.saturating_add(1)..8 {
                    if self.bits.share() < rate {
                        flips |= 1_u8.checked_shl(bit).unwrap_or_default();
                    }
                }
            }
            *byte ^= flips;
            count(
                &self.tally.bits_flipped,
                usize::try_from(flips.count_ones()).unwrap_or_default(),
            );
        }
    }
}

impl Tally {
    /// Whole frames that came in.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Of those, dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Of those, sent twice.
    #[must_use]
    pub fn doubled(&self) -> u64 {
        self.doubled.load(Ordering::Relaxed)
    }

    /// Of those, cut short.
    #[must_use]
    pub fn truncated(&self) -> u64 {
        self.truncated.load(Ordering::Relaxed)
    }

    /// Of those, held up.
    #[must_use]
    pub fn stalled(&self) -> u64 {
        self.stalled.load(Ordering::Relaxed)
    }

    /// Bits flipped.
    #[must_use]
    pub fn bits_flipped(&self) -> u64 {
        self.bits_flipped.load(Ordering::Relaxed)
    }

    /// Bytes lost in bursts.
    #[must_use]
    pub fn bytes_lost(&self) -> u64 {
        self.bytes_lost.load(Ordering::Relaxed)
    }
}

fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(u64::try_from(more).unwrap_or(u64::MAX), Ordering::Relaxed);
}
