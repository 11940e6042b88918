//! Block digests that are proven against the signed manifest: a few pages of them.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use nx_image::digest::Digest;

/// Pages kept in memory, of 32 KiB each: what the slices under way can span, and one more.
const PAGES_KEPT: usize = 4;

/// The pages that were needed last.
#[derive(Debug, Default)]
pub(super) struct Digests {
    pages: VecDeque<((u8, u16), Vec<u8>)>,
}

impl Digests {
    /// Keeps a page that is proven.
    pub(super) fn keep(&mut self, segment: u8, page: u16, bytes: Vec<u8>) {
        self.pages.retain(|(key, _)| *key != (segment, page));
        if self.pages.len() >= PAGES_KEPT {
            self.pages.pop_front();
        }
        self.pages.push_back(((segment, page), bytes));
    }

    /// Whether a page is at hand.
    pub(super) fn has(&self, segment: u8, page: u16) -> bool {
        self.pages.iter().any(|(key, _)| *key == (segment, page))
    }

    /// The digest of a block, if its page is at hand.
    pub(super) fn of(&self, segment: u8, page: u16, index: usize) -> Option<Digest> {
        let (_, bytes) = self.pages.iter().find(|(key, _)| *key == (segment, page))?;
        digest_at(bytes, index)
    }
}

/// The digest at this place of a list of digests.
pub(super) fn digest_at(list: &[u8], index: usize) -> Option<Digest> {
    let from = index.checked_mul(Digest::BYTES)?;
    let bytes = list.get(from..from.checked_add(Digest::BYTES)?)?;
    bytes.try_into().ok().map(Digest::from_bytes)
}
