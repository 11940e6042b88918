//! The digests of a page of blocks: proven against the manifest, kept, asked for again.

use alloc::vec::Vec;

use nx_image::digest::Digest;
use nx_image::tree;

use crate::blocks::Block;
use crate::device::desk::{Desk, Purpose};
use crate::device::digests::digest_at;
use crate::device::request::Request;
use crate::device::transfer::Transfer;

impl Transfer {
    /// The expected digest of a block, if its page is at hand.
    pub(super) fn expected(&self, block: &Block) -> Option<Digest> {
        self.digests
            .of(block.segment, block.page(), block.index_in_page())
    }

    /// Asks for the page of a block's digest.
    pub(super) fn load_page(&self, block: &Block, purpose: Purpose, desk: &mut Desk) {
        if let Some(root) = self.root(block.segment) {
            desk.ask(
                Request::LoadPage {
                    root,
                    page: block.page(),
                },
                purpose,
            );
        }
    }

    /// Asks for the page of a block that comes in, and for the one behind it, before they are
    /// needed: blocks that are whole and wait for their page take the room of those to come.
    pub(super) fn load_ahead(&mut self, block: &Block, desk: &mut Desk) {
        if self.page_ahead.is_some() {
            return;
        }
        let (segment, page) = (block.segment, block.page());
        let next = match page.checked_add(1) {
            Some(next) if next < self.map.page_count(segment) => (segment, next),
            _ => (segment.saturating_add(1), 0),
        };
        let is_missing = |(segment, page): &(u8, u16)| {
            !self.digests.has(*segment, *page) && self.pages.contains_key(&(*segment, *page))
        };
        let wanted = [(segment, page), next].into_iter().find(is_missing);
        if let Some((segment, page)) = wanted
            && let Some(root) = self.root(segment)
        {
            self.page_ahead = wanted;
            let purpose = Purpose::Ahead(segment, page);
            desk.ask(Request::LoadPage { root, page }, purpose);
        }
    }

    /// Takes a page from the store if it is the one that was proven.
    pub(super) fn take_page(&mut self, segment: u8, page: u16, bytes: Vec<u8>) -> bool {
        let good = self.pages.get(&(segment, page)) == Some(&Digest::of(&bytes));
        if good {
            self.digests.keep(segment, page, bytes);
        }
        good
    }

    /// Proves a page against the manifest and keeps it.
    pub(super) fn prove_page(&mut self, segment: u8, page: u16, bytes: Vec<u8>) -> bool {
        let digest = Digest::of(&bytes);
        let blocks = usize::try_from(self.map.page_blocks(segment, page)).unwrap_or(0);
        let whole = bytes.len() == blocks.saturating_mul(Digest::BYTES);
        let proven = if self.map.page_count(segment) == 1 {
            self.root(segment) == Some(tree::root(&[digest]))
        } else {
            let directory = self.directory.as_ref().filter(|(of, _)| *of == segment);
            directory.and_then(|(_, list)| digest_at(list, usize::from(page))) == Some(digest)
        };
        if !whole || !proven {
            return false;
        }
        self.pages.insert((segment, page), digest);
        self.digests.keep(segment, page, bytes);
        true
    }
}
