//! The blocks of an image: numbered through all segments, found by address.

use alloc::vec::Vec;

use nx_image::limits::PAGE_BLOCKS;
use nx_image::manifest::{Manifest, Role};

use crate::limits::ADDRESS_UNIT_BYTES;

/// Where the blocks of an image lie. Built from a checked manifest.
#[derive(Clone, Debug)]
pub struct BlockMap {
    block_bytes: u32,
    segments: Vec<Span>,
}

#[derive(Clone, Debug)]
struct Span {
    first_block: u32,
    blocks: u32,
    offset: u64,
    bytes: u64,
    role: Role,
}

/// One block: its number in the image, and its bytes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Block {
    /// Number, counted through all segments.
    pub number: u32,
    /// Index of its segment in the manifest.
    pub segment: u8,
    /// Index in its segment.
    pub index: u32,
    /// Offset in the image, in bytes.
    pub offset: u64,
    /// Length in bytes; only the last of a segment is shorter than the block size.
    pub bytes: u32,
}

impl Block {
    /// The page of its segment that holds its digest.
    pub fn page(&self) -> u16 {
        u16::try_from(self.index.checked_div(PAGE_BLOCKS).unwrap_or(0)).unwrap_or(u16::MAX)
    }

    /// Its index in that page.
    pub fn index_in_page(&self) -> usize {
        usize::try_from(self.index.checked_rem(PAGE_BLOCKS).unwrap_or(0)).unwrap_or(0)
    }

    /// The address of its first byte in a `DATA` frame, in units of 64 bytes.
    pub fn address(&self) -> u32 {
        u32::try_from(self.offset / ADDRESS_UNIT_BYTES).unwrap_or(u32::MAX)
    }
}

impl BlockMap {
    /// The map of an image.
    pub fn of(manifest: &Manifest) -> Self {
        let block_bytes = manifest.image.block_size;
        let mut first_block = 0_u32;
        let segments = manifest
            .segments
            .iter()
            .map(|segment| {
                let blocks = segment.block_count(block_bytes);
                let span = Span {
                    first_block,
                    blocks,
                    offset: segment.offset,
                    bytes: segment.size,
                    role: segment.role,
                };
                first_block = first_block.saturating_add(blocks);
                span
            })
            .collect();
        Self {
            block_bytes,
            segments,
        }
    }

    /// The block size in bytes.
    pub const fn block_bytes(&self) -> u32 {
        self.block_bytes
    }

    /// Blocks in all segments.
    pub fn block_count(&self) -> u32 {
        self.segments
            .last()
            .map_or(0, |span| span.first_block.saturating_add(span.blocks))
    }

    /// Segments.
    pub fn segment_count(&self) -> u8 {
        u8::try_from(self.segments.len()).unwrap_or(u8::MAX)
    }

    /// Blocks of a segment.
    pub fn blocks_of(&self, segment: u8) -> u32 {
        let span = self.segments.get(usize::from(segment));
        span.map_or(0, |span| span.blocks)
    }

    /// The segment's role.
    pub fn role(&self, segment: u8) -> Option<Role> {
        self.segments
            .get(usize::from(segment))
            .map(|span| span.role)
    }

    /// Pages of a segment.
    pub fn page_count(&self, segment: u8) -> u16 {
        let blocks = self
            .segments
            .get(usize::from(segment))
            .map_or(0, |span| span.blocks);
        u16::try_from(blocks.div_ceil(PAGE_BLOCKS)).unwrap_or(u16::MAX)
    }

    /// Blocks whose digests a page holds.
    pub fn page_blocks(&self, segment: u8, page: u16) -> u32 {
        let blocks = self
            .segments
            .get(usize::from(segment))
            .map_or(0, |span| span.blocks);
        blocks
            .saturating_sub(u32::from(page).saturating_mul(PAGE_BLOCKS))
            .min(PAGE_BLOCKS)
    }

    /// A block by its index in a segment.
    pub fn in_segment(&self, segment: u8, index: u32) -> Option<Block> {
        let span = self.segments.get(usize::from(segment))?;
        if index >= span.blocks {
            return None;
        }
        let start = u64::from(index).checked_mul(u64::from(self.block_bytes))?;
        let left = span.bytes.checked_sub(start)?;
        Some(Block {
            number: span.first_block.checked_add(index)?,
            segment,
            index,
            offset: span.offset.checked_add(start)?,
            bytes: u32::try_from(left.min(u64::from(self.block_bytes))).ok()?,
        })
    }

    /// A block by its place in a page.
    pub fn in_page(&self, segment: u8, page: u16, index: u32) -> Option<Block> {
        let first = u32::from(page).checked_mul(PAGE_BLOCKS)?;
        self.in_segment(segment, first.checked_add(index)?)
    }

    /// A block by its number.
    pub fn by_number(&self, number: u32) -> Option<Block> {
        let at = self
            .segments
            .partition_point(|span| span.first_block <= number);
        let at = at.checked_sub(1)?;
        let span = self.segments.get(at)?;
        self.in_segment(
            u8::try_from(at).ok()?,
            number.checked_sub(span.first_block)?,
        )
    }

    /// The block that holds the byte at this offset of the image.
    pub fn at_offset(&self, offset: u64) -> Option<Block> {
        let at = self.segments.partition_point(|span| span.offset <= offset);
        let at = at.checked_sub(1)?;
        let span = self.segments.get(at)?;
        let inside = offset.checked_sub(span.offset)?;
        if inside >= span.bytes {
            return None;
        }
        let index = inside.checked_div(u64::from(self.block_bytes))?;
        self.in_segment(u8::try_from(at).ok()?, u32::try_from(index).ok()?)
    }
}

/// One bit for each block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockSet {
    words: Vec<u64>,
    len: u32,
}

impl BlockSet {
    /// An empty set with room for `blocks` numbers.
    pub fn with_room_for(blocks: u32) -> Self {
        let words = usize::try_from(blocks.div_ceil(64)).unwrap_or(0);
        Self {
            words: alloc::vec![0; words],
            len: 0,
        }
    }

    /// Members.
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a block is a member.
    pub fn contains(&self, number: u32) -> bool {
        self.words
            .get(word(number))
            .is_some_and(|bits| bits & bit(number) != 0)
    }

    /// Adds a block; returns whether it is new. A number out of range is left out.
    pub fn insert(&mut self, number: u32) -> bool {
        let Some(bits) = self.words.get_mut(word(number)) else {
            return false;
        };
        let new = *bits & bit(number) == 0;
        *bits |= bit(number);
        self.len = self.len.saturating_add(u32::from(new));
        new
    }

    /// Takes a block out; returns whether it was in.
    pub fn remove(&mut self, number: u32) -> bool {
        let Some(bits) = self.words.get_mut(word(number)) else {
            return false;
        };
        let was = *bits & bit(number) != 0;
        *bits &= !bit(number);
        self.len = self.len.saturating_sub(u32::from(was));
        was
    }

    /// The lowest member that is `from` or above.
    pub fn next_from(&self, from: u32) -> Option<u32> {
        let mut at = word(from);
        let mut bits = self.words.get(at)? & (u64::MAX << (from % 64));
        loop {
            if bits != 0 {
                let base = u32::try_from(at).ok()?.checked_mul(64)?;
                return base.checked_add(bits.trailing_zeros());
            }
            at = at.checked_add(1)?;
            bits = *self.words.get(at)?;
        }
    }
}

const fn word(number: u32) -> usize {
    (number / 64) as usize
}

const fn bit(number: u32) -> u64 {
    1 << (number % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_finds_its_members_in_order() {
        let mut set = BlockSet::with_room_for(300);
        for number in [0, 63, 64, 255, 299] {
            assert!(set.insert(number));
            assert!(!set.insert(number));
        }
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(number) = set.next_from(from) {
            found.push(number);
            from = number + 1;
        }
        assert_eq!(found, [0, 63, 64, 255, 299]);
        assert!(set.remove(64) && !set.contains(64) && set.len() == 4);
        assert!(!set.insert(320), "out of range");
    }
}
