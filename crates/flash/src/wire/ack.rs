//! The acknowledgement: what has arrived, how much more may come, what is proven.

use alloc::vec::Vec;

use crate::limits::ACK_RANGES_MAX;
use crate::wire::codec::{DecodeError, Reader, Writer};

/// A run of sequence numbers that have arrived, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeqRange {
    /// The oldest of the run.
    pub first: u32,
    /// The newest of the run.
    pub last: u32,
}

/// Payload of an `ACK` frame.
///
/// Links keep their order, so a number older than the newest and in no range is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ack {
    /// Bytes of blocks that the sender may have open at once; zero stops new blocks.
    pub window: u32,
    /// Blocks proven against the signed digests since the session began.
    pub received_blocks: u32,
    /// Of those, the blocks that a power cut does not take back.
    pub durable_blocks: u32,
    /// Runs of what has arrived, newest first; the first ends with the last good seq.
    pub ranges: Vec<SeqRange>,
}

impl Ack {
    /// The newest sequence number that arrived whole: the last good seq.
    pub fn last_good_seq(&self) -> Option<u32> {
        self.ranges.first().map(|range| range.last)
    }

    /// Whether the frame with this number has arrived.
    pub fn covers(&self, seq: u32) -> bool {
        self.ranges
            .iter()
            .any(|range| (range.first..=range.last).contains(&seq))
    }

    /// Reads the payload of an `ACK` frame.
    ///
    /// # Errors
    /// `Value` when the runs overlap, leave the numbers or are too many.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Reader::new(payload);
        let newest = fields.u32()?;
        let window = fields.u32()?;
        let received_blocks = fields.varint()?;
        let durable_blocks = fields.varint()?;
        let count = usize::from(fields.u8()?);
        if count > ACK_RANGES_MAX {
            return Err(DecodeError::Value);
        }
        let mut ranges = Vec::with_capacity(count);
        let mut last = newest;
        for index in 0..count {
            if index > 0 {
                let gap = fields.varint()?;
                last = last.checked_sub(gap).ok_or(DecodeError::Value)?;
            }
            let before = fields.varint()?;
            let first = last.checked_sub(before).ok_or(DecodeError::Value)?;
            ranges.push(SeqRange { first, last });
            // A gap of zero would be one run: two more is the nearest that a run can end.
            last = first.saturating_sub(1);
        }
        fields.finish()?;
        Ok(Self {
            window,
            received_blocks,
            durable_blocks,
            ranges,
        })
    }

    /// Appends the payload of an `ACK` frame.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let kept = self.ranges.get(..ACK_RANGES_MAX).unwrap_or(&self.ranges);
        let mut fields = Writer::new(out);
        fields
            .u32(self.last_good_seq().unwrap_or(0))
            .u32(self.window)
            .varint(self.received_blocks)
            .varint(self.durable_blocks)
            .u8(u8::try_from(kept.len()).unwrap_or(0));
        let mut below = None::<u32>;
        for range in kept {
            if let Some(below) = below {
                fields.varint(below.saturating_sub(range.last));
            }
            fields.varint(range.last.saturating_sub(range.first));
            below = Some(range.first.saturating_sub(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u32, last: u32) -> SeqRange {
        SeqRange { first, last }
    }

    #[test]
    fn parsing_gives_back_what_was_emitted() {
        for ranges in [
            vec![],
            vec![range(0, 0)],
            vec![range(7, 900)],
            vec![range(90, 90), range(80, 88), range(0, 3)],
        ] {
            let ack = Ack {
                window: 1 << 20,
                received_blocks: 300,
                durable_blocks: 2,
                ranges,
            };
            let mut bytes = Vec::new();
            ack.emit(&mut bytes);
            assert_eq!(Ack::parse(&bytes), Ok(ack));
        }
    }

    #[test]
    fn a_run_below_zero_is_refused() {
        let mut bytes = Vec::new();
        Writer::new(&mut bytes)
            .u32(5)
            .u32(0)
            .u8(0)
            .u8(0)
            .u8(1)
            .varint(6);
        assert_eq!(Ack::parse(&bytes), Err(DecodeError::Value));
    }
}
