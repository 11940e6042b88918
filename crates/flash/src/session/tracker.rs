//! Frames under way: which arrive, which are lost, and how long an answer takes.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::limits::{ACK_DELAY, IN_FLIGHT_FRAMES_MAX};
use crate::session::pace::{Pace, PaceMark};
use crate::session::rtt::{PROBE_AFTER_KNOWN_MIN, Rtt};
use crate::session::sizing::Sizing;
use crate::time::Instant;
use crate::wire::{Ack, Object};

/// What the peer may take to be scheduled.
const SCHEDULING: Duration = Duration::from_millis(5);
/// Frames given up that are remembered.
const GIVEN_UP_MAX: usize = 64;
/// Frames that may always be under way.
const FRAMES_MIN: usize = 4;
/// Data bytes of a frame that may take an eighth of a second; a larger one a sixteenth.
const SLOW_FRAME_BYTES: usize = 1_440;
/// Data bytes of a frame however slow the line seems to be.
const SLICE_BYTES_LEAST: usize = 256;
/// Frames that an answer may wait for.
const ANSWER_FRAMES: u64 = 2;

/// A piece of what the host sends beside messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slice {
    /// Of a block.
    Block {
        /// The block's number in the image.
        number: u32,
        /// Offset in the block, in bytes: a multiple of 64.
        offset: u32,
        /// Length in bytes.
        len: u32,
    },
    /// Of an object.
    Object {
        /// Which.
        object: Object,
        /// Offset in the object, in bytes.
        offset: u32,
        /// Length in bytes.
        len: u32,
    },
}

/// A slice and its payload, ready to go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which.
    pub slice: Slice,
    /// Whether it was under way before, and lost.
    pub again: bool,
    /// Payload of its frame.
    pub payload: Vec<u8>,
}

/// What a frame under way carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// The message with this number.
    Message(u32),
    /// A slice, and whether it went out before.
    Slice(Slice, bool),
}

#[derive(Debug)]
struct Sent {
    seq: u32,
    item: Item,
    wire_bytes: usize,
    sent_at: Instant,
    mark: PaceMark,
}

/// Keeps the frames that are neither acknowledged nor lost, oldest first.
#[derive(Debug)]
pub(super) struct Tracker {
    sent: VecDeque<Sent>,
    next_seq: u32,
    in_flight_bytes: usize,
    rtt: Rtt,
    pace: Pace,
    sizing: Sizing,
    /// Probes since something was acknowledged.
    probes: u32,
    /// Probes ever: what varies with it does not begin anew.
    rounds: u32,
    /// Whether there was nothing more to send.
    is_idle: bool,
    waiting_since: Instant,
    /// Frames that were given up for want of an answer, and when they went out, oldest first.
    given_up: VecDeque<(u32, Instant)>,
    resolved: VecDeque<(Item, bool)>,
    lost_bytes: u64,
}

impl Tracker {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            sent: VecDeque::new(),
            next_seq: 0,
            in_flight_bytes: 0,
            rtt: Rtt::default(),
            pace: Pace::default(),
            sizing: Sizing::default(),
            probes: 0,
            rounds: 0,
            is_idle: false,
            waiting_since: now,
            given_up: VecDeque::new(),
            resolved: VecDeque::new(),
            lost_bytes: 0,
        }
    }

    /// Takes a round trip of so many bytes that was measured before the first frame.
    pub(super) fn took(&mut self, rtt: Duration, bytes: usize) {
        self.rtt.sample(rtt);
        self.pace.at_least(bytes, rtt);
    }

    /// The number of the next frame.
    pub(super) const fn next_seq(&self) -> u32 {
        self.next_seq
    }

    pub(super) const fn in_flight_bytes(&self) -> usize {
        self.in_flight_bytes
    }

    /// Bytes of frames that were lost, and so went or will go out again.
    pub(super) const fn lost_bytes(&self) -> u64 {
        self.lost_bytes
    }

    /// Bytes per second that the line delivers, as far as is known.
    pub(super) const fn rate(&self) -> u64 {
        self.pace.rate()
    }

    /// Data bytes that the next frame should carry.
    pub(super) fn slice_bytes(&self) -> usize {
        let adapted = self.sizing.bytes();
        // A frame that takes long keeps everything else waiting, but on a slow line a small one
        // costs more.
        let rate = usize::try_from(self.pace.rate()).unwrap_or(usize::MAX);
        if rate == 0 {
            adapted
        } else {
            let most = (rate / 16).max((rate / 8).min(SLOW_FRAME_BYTES));
            adapted.min(most.max(SLICE_BYTES_LEAST))
        }
    }

    /// Whether another frame may be under way.
    pub(super) fn may_send(&self) -> bool {
        let limit = self.pace.limit(self.rtt.least(), self.slice_bytes());
        let bytes = u64::try_from(self.in_flight_bytes).unwrap_or(u64::MAX);
        // Some frames whatever their size, which may just have shrunk: each is told by the next.
        self.sent.len() < IN_FLIGHT_FRAMES_MAX && (bytes < limit || self.sent.len() < FRAMES_MIN)
    }

    /// The frame with the next number goes out.
    pub(super) fn sent(&mut self, item: Item, wire_bytes: usize, now: Instant) {
        let idle = self.sent.is_empty();
        if idle {
            self.waiting_since = now;
        }
        if matches!(item, Item::Slice(..)) {
            self.sizing.sent();
        }
        self.is_idle = false;
        let mark = self.pace.mark(now, idle);
        self.sent.push_back(Sent {
            seq: self.next_seq,
            item,
            wire_bytes,
            sent_at: now,
            mark,
        });
        self.next_seq = self.next_seq.wrapping_add(1);
        self.in_flight_bytes = self.in_flight_bytes.saturating_add(wire_bytes);
    }

    /// An acknowledgement came; returns whether it told anything new. Every number up to
    /// its newest is settled: the link keeps the order, so what is missing is lost.
    pub(super) fn acknowledged(&mut self, ack: &Ack, now: Instant) -> bool {
        let Some(newest) = ack.last_good_seq() else {
            return false;
        };
        let mut progress = self.late_answer(ack, newest, now);
        while self.sent.front().is_some_and(|sent| sent.seq <= newest) {
            let Some(sent) = self.sent.pop_front() else {
                break;
            };
            self.in_flight_bytes = self.in_flight_bytes.saturating_sub(sent.wire_bytes);
            let arrived = ack.covers(sent.seq);
            if arrived {
                progress = true;
                self.pace.delivered(sent.wire_bytes, sent.mark, now);
                if sent.seq == newest {
                    self.rtt.sample(now.since(sent.sent_at));
                }
            }
            self.settle(&sent, arrived);
        }
        if progress {
            self.probes = 0;
            self.waiting_since = now;
        }
        progress
    }

    /// There is nothing more to send for now.
    pub(super) const fn note_idle(&mut self) {
        self.is_idle = true;
    }

    /// When silence will mean loss.
    pub(super) fn probe_at(&self) -> Option<Instant> {
        let oldest = self.sent.front()?;
        let round = if self.is_idle {
            self.probes.checked_sub(1)
        } else {
            Some(self.probes)
        };
        let after = match (round, self.rtt.least()) {
            // Nothing later tells by its order that these are lost. To repeat them too early costs
            // nothing on a line that is idle, so what an answer takes at best is waited for.
            (None, Some(least)) => {
                let bytes = u64::try_from(oldest.wire_bytes).unwrap_or(u64::MAX);
                let frames = self.pace.time_of(bytes.saturating_mul(ANSWER_FRAMES));
                let answer = least.saturating_add(frames).saturating_add(ACK_DELAY);
                // Where answers take much longer than at best, repeating makes it worse.
                let usual = self.rtt.smoothed().checked_div(2).unwrap_or_default();
                let at_best = answer.saturating_add(SCHEDULING);
                at_best.max(usual).max(PROBE_AFTER_KNOWN_MIN)
            }
            (round, _) => self.rtt.probe_after(round.unwrap_or(0)),
        };
        Some(self.waiting_since.after(after))
    }

    /// Nothing was heard in time: the messages and some of the oldest slices count as lost and
    /// go out again.
    ///
    /// Messages are small, and what else is under way may wait for them: an offer is not taken
    /// before its message. How many slices go with them varies without a period: where every
    /// round has as many frames, a loss with a fixed period takes the same one every time.
    ///
    /// Returns whether that was so, and an odd frame beside them would do good: where there is only
    /// one, it and the answer of the other side take turns, and every second one may be lost.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> bool {
        if self.probe_at().is_none_or(|at| at > now) {
            return false;
        }
        let is_message = |sent: &Sent| matches!(sent.item, Item::Message(_));
        let drawn = mix(self.rounds) % 4;
        let mut slices = if self.sent.iter().any(is_message) {
            drawn
        } else {
            drawn.max(1)
        };
        for sent in core::mem::take(&mut self.sent) {
            let is_lost = is_message(&sent) || slices > 0;
            if is_lost {
                if !is_message(&sent) {
                    slices = slices.saturating_sub(1);
                }
                self.in_flight_bytes = self.in_flight_bytes.saturating_sub(sent.wire_bytes);
                self.give_up(&sent);
            } else {
                self.sent.push_back(sent);
            }
        }
        self.probes = self.probes.saturating_add(1);
        let is_odd = mix(self.rounds) & 4 != 0;
        self.rounds = self.rounds.wrapping_add(1);
        self.waiting_since = now;
        is_odd
    }

    /// Counts a frame as lost, though it may only be late.
    fn give_up(&mut self, sent: &Sent) {
        if self.given_up.len() >= GIVEN_UP_MAX {
            self.given_up.pop_front();
        }
        self.given_up.push_back((sent.seq, sent.sent_at));
        self.settle(sent, false);
    }

    /// An answer to frames that were given up shows that the round trip is longer than it
    /// seemed. Without this a line that slows down would be filled with what repeats itself.
    fn late_answer(&mut self, ack: &Ack, newest: u32, now: Instant) -> bool {
        let mut arrived = self.given_up.iter().filter(|(seq, _)| ack.covers(*seq));
        let last = arrived.next_back().copied();
        self.given_up.retain(|(seq, _)| *seq > newest);
        if let Some((_, sent_at)) = last {
            self.rtt.sample(now.since(sent_at));
        }
        last.is_some()
    }

    /// The next frame whose fate is known, and whether it arrived.
    pub(super) fn next_settled(&mut self) -> Option<(Item, bool)> {
        self.resolved.pop_front()
    }

    fn settle(&mut self, sent: &Sent, arrived: bool) {
        if !arrived {
            let bytes = u64::try_from(sent.wire_bytes).unwrap_or(0);
            self.lost_bytes = self.lost_bytes.saturating_add(bytes);
        }
        // Where a loss has a fixed period, what goes out again meets it more or less often than
        // what is new: only what is new compares.
        if let Item::Slice(Slice::Block { len, .. } | Slice::Object { len, .. }, false) = sent.item
        {
            let len = usize::try_from(len).unwrap_or(0);
            if arrived {
                self.sizing.arrived(len);
            } else {
                self.sizing.lost(len);
            }
        }
        self.resolved.push_back((sent.item, arrived));
    }
}

/// A number without a visible pattern: the finalizer of `MurmurHash3`.
const fn mix(number: u32) -> u32 {
    let mut mixed = number.wrapping_add(0x9e37_79b9);
    mixed = (mixed ^ (mixed >> 16)).wrapping_mul(0x85eb_ca6b);
    mixed = (mixed ^ (mixed >> 13)).wrapping_mul(0xc2b2_ae35);
    mixed ^ (mixed >> 16)
}
