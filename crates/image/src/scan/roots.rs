use super::lane::{Lane, per_segment};
use super::zeros::is_zero;
use crate::digest::{Digest, Hasher};
use crate::manifest::Region;
use crate::tree::RootBuilder;

/// Block roots of the segments.
#[derive(Debug)]
pub(crate) struct Roots(Vec<BlockHasher>);

impl Roots {
    pub(crate) fn of(regions: &[Region], block_size: u32) -> Self {
        Self(per_segment(regions, || BlockHasher::new(block_size)))
    }

    /// The root of each segment's hash tree, in order.
    pub(crate) fn finish(self) -> Vec<Digest> {
        self.0.into_iter().map(BlockHasher::finish).collect()
    }
}

impl Lane for Roots {
    fn take(&mut self, region: &Region, _at: u64, bytes: &[u8]) {
        if let Some(hasher) = region.segment.and_then(|index| self.0.get_mut(index)) {
            hasher.update(bytes);
        }
    }
}

/// The blocks of one segment, from its bytes in any pieces.
#[derive(Debug)]
struct BlockHasher {
    block_size: usize,
    /// Digest of a block of zeros, once there was one: holes have many.
    zeros: Option<Digest>,
    block: Hasher,
    filled: usize,
    root: RootBuilder,
}

impl BlockHasher {
    fn new(block_size: u32) -> Self {
        Self {
            block_size: usize::try_from(block_size).unwrap_or(usize::MAX).max(1),
            zeros: None,
            block: Digest::hasher(),
            filled: 0,
            root: RootBuilder::new(),
        }
    }

    fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.block_size.saturating_sub(self.filled);
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            bytes = rest;
            if now.len() == self.block_size && is_zero(now) {
                self.root
                    .push(self.zeros.get_or_insert_with(|| Digest::of(now)));
                continue;
            }
            self.block.update(now);
            self.filled = self.filled.saturating_add(now.len());
            if self.filled == self.block_size {
                self.end_block();
            }
        }
    }

    /// The root, with the last block where it is short.
    fn finish(mut self) -> Digest {
        if self.filled > 0 {
            self.end_block();
        }
        self.root.finish().0
    }

    fn end_block(&mut self) {
        let digest = std::mem::take(&mut self.block).finish();
        self.filled = 0;
        self.root.push(&digest);
    }
}
