//! Whether an image holds what was written to it.

use std::io;

use super::blocks::{BlockFile, Checksums, Numbers};
use crate::manifest::Region;
use crate::scan::Lane;

/// Compares the blocks of an image that is read back with their checksums as they were written.
///
/// A checksum is enough: nobody chooses what a defect or a bad medium leaves.
#[derive(Debug)]
pub(super) struct Check<'a> {
    segments: Vec<Segment<'a>>,
    block_size: usize,
}

#[derive(Debug)]
struct Segment<'a> {
    want: Checksums<'a>,
    /// Blocks that have ended.
    ended: u64,
    /// Bytes of the block that has not.
    filled: usize,
    checksum: crc32fast::Hasher,
    first_bad: Option<u64>,
    failed: Option<io::Error>,
}

impl<'a> Check<'a> {
    /// With the blocks of each segment, in order.
    pub(super) fn of(
        file: &BlockFile<'a>,
        segments: impl IntoIterator<Item = Numbers>,
        block_size: u32,
    ) -> Self {
        let segment = |blocks| Segment {
            want: file.checksums(blocks),
            ended: 0,
            filled: 0,
            checksum: crc32fast::Hasher::new(),
            first_bad: None,
            failed: None,
        };
        Self {
            segments: segments.into_iter().map(segment).collect(),
            block_size: usize::try_from(block_size).unwrap_or(usize::MAX).max(1),
        }
    }

    /// Segment and block of the first that differs.
    ///
    /// # Errors
    /// When the checksums could not be read.
    pub(super) fn finish(mut self) -> io::Result<Option<(usize, u64)>> {
        for (index, segment) in self.segments.iter_mut().enumerate() {
            if segment.filled > 0 {
                segment.end_block();
            }
            if let Some(error) = segment.failed.take() {
                return Err(error);
            }
            // Blocks that did not come differ too.
            let missing = segment.want.next()?.map(|_| segment.ended);
            if let Some(block) = segment.first_bad.or(missing) {
                return Ok(Some((index, block)));
            }
        }
        Ok(None)
    }
}

impl Lane for Check<'_> {
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
        match self.want.next() {
            Ok(want) if want == Some(checksum) => {}
            Ok(_) => {
                self.first_bad.get_or_insert(self.ended);
            }
            Err(error) => {
                self.failed.get_or_insert(error);
            }
        }
        self.ended = self.ended.saturating_add(1);
        self.filled = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::build::copy::digest_blocks;

    const BLOCK: usize = 16;

    /// What is found when `image` is read back, in pieces of `step` bytes, for a segment that
    /// was `written`, the second of an image.
    fn found(written: &[u8], image: &[u8], step: usize) -> Option<u64> {
        let file = tempfile::tempfile().unwrap();
        let count = written.chunks(BLOCK).len() as u64;
        let file = BlockFile::new(&file, Path::new("os.blocks"), count.saturating_add(1));
        file.put(0, &digest_blocks(b"another", BLOCK)).unwrap();
        file.put(1, &digest_blocks(written, BLOCK)).unwrap();
        let segments = [(0, 1), (1, count)].map(|(first, count)| Numbers { first, count });
        let mut check = Check::of(&file, segments, BLOCK as u32);
        let region = |segment| Region {
            range: 0..u64::MAX,
            segment: Some(segment),
        };
        check.take(&region(0), 0, b"another");
        for piece in image.chunks(step) {
            check.take(&region(1), 7, piece);
        }
        let found = check.finish().unwrap();
        assert!(found.is_none_or(|(segment, _)| segment == 1));
        found.map(|(_, block)| block)
    }

    #[test]
    fn every_changed_byte_is_found_in_its_block() {
        let written: Vec<u8> = (0..50).collect();
        for step in [1, 7, 16, 33, 50] {
            assert_eq!(found(&written, &written, step), None);
            for at in 0..written.len() {
                let mut image = written.clone();
                image[at] ^= 0x20;
                assert_eq!(found(&written, &image, step), Some((at / BLOCK) as u64));
            }
        }
    }

    #[test]
    fn blocks_that_are_missing_or_too_many_are_found() {
        let written: Vec<u8> = (0..48).collect();
        for len in 0..48 {
            assert_eq!(
                found(&written, &written[..len], 5),
                Some((len / BLOCK) as u64)
            );
        }
        let longer = [written.as_slice(), &[0]].concat();
        assert_eq!(found(&written, &longer, 5), Some(3));
    }
}
