//! Frames under way: which arrive, which are lost, and how long an answer takes.

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::limits::IN_FLIGHT_FRAMES_MAX;
use crate::session::pace::{Pace, PaceMark};
use crate::session::rtt::Rtt;
use crate::session::sizing::Sizing;
use crate::time::Instant;
use crate::wire::{Ack, Object};

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

/// What a frame under way carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// The message with this number.
    Message(u32),
    /// A slice.
    Slice(Slice),
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
    waiting_since: Instant,
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
            waiting_since: now,
            resolved: VecDeque::new(),
            lost_bytes: 0,
        }
    }

    /// Takes a round trip that was measured before the first frame.
    pub(super) fn took(&mut self, rtt: Duration) {
        self.rtt.sample(rtt);
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

    /// Data bytes that the next frame should carry.
    pub(super) fn slice_bytes(&self) -> usize {
        let adapted = self.sizing.bytes();
        // A frame that takes over an eighth of a second keeps everything else waiting.
        let rate = usize::try_from(self.pace.rate()).unwrap_or(usize::MAX);
        if rate == 0 {
            adapted
        } else {
            adapted.min((rate / 8).max(256))
        }
    }

    /// Whether another frame may be under way.
    pub(super) fn may_send(&self) -> bool {
        let limit = self.pace.limit(self.rtt.least(), self.slice_bytes());
        self.sent.len() < IN_FLIGHT_FRAMES_MAX
            && u64::try_from(self.in_flight_bytes).unwrap_or(u64::MAX) < limit
    }

    /// The frame with the next number goes out.
    pub(super) fn sent(&mut self, item: Item, wire_bytes: usize, now: Instant) {
        let idle = self.sent.is_empty();
        if idle {
            self.waiting_since = now;
        }
        if matches!(item, Item::Slice(_)) {
            self.sizing.sent();
        }
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
        let mut progress = false;
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

    /// When silence will mean loss.
    pub(super) fn probe_at(&self) -> Option<Instant> {
        if self.sent.is_empty() {
            return None;
        }
        Some(self.waiting_since.after(self.rtt.probe_after(self.probes)))
    }

    /// Nothing was heard in time: some of the oldest frames count as lost and go out again.
    ///
    /// How many varies from round to round, so that a loss with a fixed period cannot take
    /// the same frame every time.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.probe_at().is_none_or(|at| at > now) {
            return;
        }
        let count = match self.probes % 3 {
            0 => 2,
            1 => 1,
            _ => 3,
        };
        for _ in 0..count {
            let Some(sent) = self.sent.pop_front() else {
                break;
            };
            self.in_flight_bytes = self.in_flight_bytes.saturating_sub(sent.wire_bytes);
            self.settle(&sent, false);
        }
        self.probes = self.probes.saturating_add(1);
        self.waiting_since = now;
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
        if let Item::Slice(Slice::Block { len, .. } | Slice::Object { len, .. }) = sent.item {
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
