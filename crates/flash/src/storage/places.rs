//! Where the installed image has a block of a given digest, whatever its offset.

use std::collections::HashMap;

use nx_image::digest::Digest;
use nx_image::manifest::Manifest;

use crate::blocks::BlockMap;

/// Blocks that are remembered, of which each takes about 32 bytes; what is beyond is sent.
const PLACES_MAX: usize = 1 << 17;

/// Offsets of blocks by the first bytes of their digests.
///
/// Nothing here is believed: whoever copies a block from such a place digests it first.
#[derive(Debug, Default)]
pub(super) struct Places(HashMap<u64, u64>);

impl Places {
    /// Of this image; `page` gives the digests of a page of the segment with this block root.
    pub(super) fn of(
        manifest: &Manifest,
        mut page: impl FnMut(&Digest, u16) -> Option<Vec<u8>>,
    ) -> Self {
        let map = BlockMap::of(manifest);
        let mut places = HashMap::new();
        for (segment, described) in (0_u8..).zip(&manifest.segments) {
            for number in 0..map.page_count(segment) {
                let Some(digests) = page(&described.block_root, number) else {
                    continue;
                };
                for (index, digest) in (0_u32..).zip(digests.chunks_exact(Digest::BYTES)) {
                    if places.len() >= PLACES_MAX {
                        return Self(places);
                    }
                    if let Some(block) = map.in_page(segment, number, index) {
                        places.entry(key(digest)).or_insert(block.offset);
                    }
                }
            }
        }
        Self(places)
    }

    /// Where to look for a block with this digest.
    pub(super) fn find(&self, digest: &Digest) -> Option<u64> {
        self.0.get(&key(digest.as_bytes())).copied()
    }
}

fn key(digest: &[u8]) -> u64 {
    let first = digest.first_chunk::<8>().copied().unwrap_or_default();
    u64::from_le_bytes(first)
}
