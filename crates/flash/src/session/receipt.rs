//! What has arrived, and when to say so.

use alloc::vec::Vec;

use crate::limits::{ACK_DELAY, ACK_RANGES_MAX};
use crate::time::Instant;
use crate::wire::SeqRange;

/// Frames that an acknowledgement waits for.
const FRAMES_PER_ACK: u32 = 2;

/// Which frames of the peer have arrived.
#[derive(Debug, Default)]
pub(super) struct Receipt {
    /// Newest run first.
    ranges: Vec<SeqRange>,
    unreported: u32,
    due_at: Option<Instant>,
    due_now: bool,
}

impl Receipt {
    /// Whether this number has arrived before.
    pub(super) fn has(&self, seq: u32) -> bool {
        self.ranges
            .iter()
            .any(|range| (range.first..=range.last).contains(&seq))
    }

    /// The newest number that arrived.
    pub(super) fn newest(&self) -> Option<u32> {
        self.ranges.first().map(|range| range.last)
    }

    /// Runs of what has arrived, newest first.
    pub(super) fn ranges(&self) -> &[SeqRange] {
        &self.ranges
    }

    /// A frame arrived and is taken.
    pub(super) fn arrived(&mut self, seq: u32, now: Instant) {
        let gap = self.insert(seq);
        self.unreported = self.unreported.saturating_add(1);
        if gap || self.unreported >= FRAMES_PER_ACK {
            self.due_now = true;
        } else if self.due_at.is_none() {
            self.due_at = Some(now.after(ACK_DELAY));
        }
    }

    /// Say at once what has arrived.
    pub(super) const fn urge(&mut self) {
        self.due_now = true;
    }

    /// Whether to send an acknowledgement now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due_now || self.due_at.is_some_and(|at| at <= now)
    }

    /// When the next one is due.
    pub(super) const fn due_at(&self) -> Option<Instant> {
        self.due_at
    }

    /// An acknowledgement went out.
    pub(super) const fn reported(&mut self) {
        self.unreported = 0;
        self.due_now = false;
        self.due_at = None;
    }

    /// Returns whether a gap was opened, or a late or double frame came.
    fn insert(&mut self, seq: u32) -> bool {
        let follows = self
            .ranges
            .first_mut()
            .filter(|range| range.last.checked_add(1) == Some(seq));
        if let Some(range) = follows {
            range.last = seq;
            return false;
        }
        if self.has(seq) {
            return true;
        }
        let at = self.ranges.partition_point(|range| range.last > seq);
        self.ranges.insert(
            at,
            SeqRange {
                first: seq,
                last: seq,
            },
        );
        self.ranges.dedup_by(|older, newer| {
            let joined = older.last.checked_add(1) == Some(newer.first);
            if joined {
                newer.first = older.first;
            }
            joined
        });
        self.ranges.truncate(ACK_RANGES_MAX);
        at > 0 || self.ranges.len() > 1 || seq > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(seqs: &[u32]) -> Receipt {
        let mut receipt = Receipt::default();
        seqs.iter()
            .for_each(|seq| receipt.arrived(*seq, Instant::ZERO));
        receipt
    }

    #[test]
    fn runs_join_whatever_the_order() {
        let got = receipt(&[0, 1, 4, 3, 2]);
        assert_eq!(got.ranges(), [SeqRange { first: 0, last: 4 }]);
    }

    #[test]
    fn a_gap_is_told_at_once() {
        let mut got = receipt(&[0]);
        assert!(!got.is_due(Instant::ZERO));
        got.arrived(2, Instant::ZERO);
        assert!(got.is_due(Instant::ZERO));
    }

    #[test]
    fn the_oldest_runs_are_forgotten() {
        let seqs: Vec<u32> = (0..200).map(|n| n * 2).collect();
        let got = receipt(&seqs);
        assert_eq!(got.ranges().len(), ACK_RANGES_MAX);
        assert_eq!(got.newest(), Some(398));
    }
}
