//! Whether an image holds what was written to it.

use crate::manifest::Region;
use crate::scan::Lane;
use crate::sidecar::{BlockTable, SegmentBlocks};

/// Compares the blocks of an image that is read back with their checksums as they were written.
///
/// A checksum is enough: nobody chooses what a defect or a bad medium leaves.
#[derive(Debug)]
pub(super) struct Checksums<'a> {
    segments: Vec<Segment<'a>>,
    block_size: usize,
}

#[derive(Debug)]
struct Segment<'a> {
    want: &'a [u32],
    /// Blocks that have ended.
    ended: usize,
    /// Bytes of the block that has not.
    filled: usize,
    checksum: crc32fast::Hasher,
    first_bad: Option<usize>,
}

impl<'a> Checksums<'a> {
    pub(super) fn of(blocks: &'a BlockTable, block_size: u32) -> Self {
        let segment = |blocks: &'a SegmentBlocks| Segment {
            want: blocks.checksums(),
            ended: 0,
            filled: 0,
            checksum: crc32fast::Hasher::new(),
            first_bad: None,
        };
        Self {
            segments: blocks.segments().iter().map(segment).collect(),
            block_size: usize::try_from(block_size).unwrap_or(usize::MAX).max(1),
        }
    }

    /// Segment and block of the first that differs.
    pub(super) fn finish(mut self) -> Option<(usize, usize)> {
        for (index, segment) in self.segments.iter_mut().enumerate() {
            if segment.filled > 0 {
                segment.end_block();
            }
            // Blocks that did not come differ too.
            let missing = (segment.ended < segment.want.len()).then_some(segment.ended);
            if let Some(block) = segment.first_bad.or(missing) {
                return Some((index, block));
            }
        }
        None
    }
}

impl Lane for Checksums<'_> {
    fn take(&mut self, region: &Region, _at: u64, mut bytes: &[u8]) {
        let found = region
            .segment
            .and_then(|index| self.segments.get_mut(index));
        let Some(segment) = found else { return };
        while !bytes.is_empty() {
            let room = self.block_size.saturating_sub(segment.filled);
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            segment.checksum.update(now);
            segment.filled = segment.filled.saturating_add(now.len());
            if segment.filled == self.block_size {
                segment.end_block();
            }
            bytes = rest;
        }
    }
}

impl Segment<'_> {
    fn end_block(&mut self) {
        let checksum = std::mem::take(&mut self.checksum).finalize();
        if self.first_bad.is_none() && self.want.get(self.ended) != Some(&checksum) {
            self.first_bad = Some(self.ended);
        }
        self.ended = self.ended.saturating_add(1);
        self.filled = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    const BLOCK: usize = 16;

    /// What is found when `image` is read back, in pieces of `step` bytes, for a segment that
    /// was `written`.
    fn found(written: &[u8], image: &[u8], step: usize) -> Option<(usize, usize)> {
        let mut blocks = SegmentBlocks::default();
        for block in written.chunks(BLOCK) {
            blocks.push((Digest::of(block), crc32fast::hash(block)));
        }
        let blocks = BlockTable::new(vec![blocks]);
        let mut checksums = Checksums::of(&blocks, BLOCK as u32);
        let region = Region {
            range: 0..image.len() as u64,
            segment: Some(0),
        };
        for piece in image.chunks(step) {
            checksums.take(&region, 0, piece);
        }
        checksums.finish()
    }

    #[test]
    fn every_changed_byte_is_found_in_its_block() {
        let written: Vec<u8> = (0..50).collect();
        for step in [1, 7, 16, 33, 50] {
            assert_eq!(found(&written, &written, step), None);
            for at in 0..written.len() {
                let mut image = written.clone();
                image[at] ^= 0x20;
                assert_eq!(found(&written, &image, step), Some((0, at / BLOCK)));
            }
        }
    }

    #[test]
    fn blocks_that_are_missing_or_too_many_are_found() {
        let written: Vec<u8> = (0..48).collect();
        for len in 0..48 {
            assert_eq!(found(&written, &written[..len], 5), Some((0, len / BLOCK)));
        }
        let longer = [written.as_slice(), &[0]].concat();
        assert_eq!(found(&written, &longer, 5), Some((0, 3)));
    }
}
