//! The hash tree of a segment: blocks, pages of block digests, one root.
//!
//! A segment is cut into blocks of the image's block size, counted from the segment's own
//! start; only the last may be shorter. The digest of a *page* is SHA-256 over the
//! concatenated digests of up to [`PAGE_BLOCKS`] blocks, and the *root* is SHA-256 over the
//! concatenated page digests. How many blocks and pages there are follows from the signed
//! sizes, so no level can be taken for another.
//!
//! A page proves itself against the page digests, and those against the signed root, so a
//! device needs to hold one page at a time.

use crate::digest::{Digest, Hasher};

pub use crate::limits::PAGE_BLOCKS;

/// The digest of the page that holds these block digests, in order.
///
/// The caller gives at most [`PAGE_BLOCKS`] of them; only the last page has fewer.
pub fn page_digest(blocks: &[Digest]) -> Digest {
    concatenated(blocks)
}

/// The root over these page digests, in order.
pub fn root(pages: &[Digest]) -> Digest {
    concatenated(pages)
}

/// Computes a root from block digests that come one by one, in constant memory.
#[derive(Clone, Debug, Default)]
pub struct RootBuilder {
    page: Hasher,
    page_blocks: u32,
    pages: Hasher,
}

impl RootBuilder {
    /// A tree without blocks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the digest of the next block; returns the digest of the page that it filled.
    pub fn push(&mut self, block: &Digest) -> Option<Digest> {
        self.page.update(block.as_bytes());
        self.page_blocks = self.page_blocks.saturating_add(1);
        (self.page_blocks >= PAGE_BLOCKS).then(|| self.close_page())
    }

    /// The root, and the digest of the last page where it was not full.
    pub fn finish(mut self) -> (Digest, Option<Digest>) {
        let last = (self.page_blocks > 0).then(|| self.close_page());
        (self.pages.finish(), last)
    }

    fn close_page(&mut self) -> Digest {
        self.page_blocks = 0;
        let digest = core::mem::take(&mut self.page).finish();
        self.pages.update(digest.as_bytes());
        digest
    }
}

fn concatenated(digests: &[Digest]) -> Digest {
    let mut hasher = Digest::hasher();
    for digest in digests {
        hasher.update(digest.as_bytes());
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn blocks(count: u32) -> Vec<Digest> {
        (0..count).map(|i| Digest::of(&i.to_le_bytes())).collect()
    }

    #[test]
    fn streaming_equals_the_definition() {
        for count in [0, 1, 2, 1023, 1024, 1025, 2048, 2500] {
            let blocks = blocks(count);
            let want: Vec<_> = blocks.chunks(1024).map(page_digest).collect();
            let mut builder = RootBuilder::new();
            let mut got: Vec<_> = blocks.iter().filter_map(|b| builder.push(b)).collect();
            let (root_digest, last) = builder.finish();
            got.extend(last);
            assert_eq!(got, want, "{count} blocks");
            assert_eq!(root_digest, root(&want), "{count} blocks");
        }
    }

    #[test]
    fn one_block_has_a_root_of_its_own() {
        let block = Digest::of(b"block");
        let page = Digest::of(block.as_bytes());
        assert_eq!(root(&[page_digest(&[block])]), Digest::of(page.as_bytes()));
    }
}
