//! The search for blocks at other offsets of the installed image: those of an image whose content
//! is shifted need not be sent.

use alloc::vec::Vec;

use crate::device::desk::{Desk, Purpose};
use crate::device::request::Request;
use crate::device::survey::Step;
use crate::device::transfer::Transfer;
use crate::session::Channel;
use crate::wire::Object;

/// Bytes of a rolling sum.
const SUM_BYTES: usize = 4;
/// Missing blocks of a page from which on the installed image is searched for them.
const SEARCH_FROM_BLOCKS: u32 = 4;

impl Transfer {
    /// Whether the blocks that are missing are worth a search for them at any offset.
    pub(super) fn is_worth_a_search(&self) -> bool {
        let Some(survey) = &self.survey else {
            return false;
        };
        let missing: u32 = survey.bits.iter().map(|bits| bits.count_ones()).sum();
        !survey.searched
            && self.can_adopt
            && !self.same_as_installed
            && missing >= SEARCH_FROM_BLOCKS
    }

    /// Asks the host for the sums of a page.
    pub(super) fn want_sums(&mut self, page: u16, channel: &mut Channel) {
        let Some(segment) = self.survey.as_ref().map(|survey| survey.segment) else {
            return;
        };
        self.set_step(Step::WantSums(page));
        let blocks = usize::try_from(self.map.page_blocks(segment, page)).unwrap_or(0);
        let len = blocks.saturating_mul(SUM_BYTES);
        self.want(Object::Sums { segment, page }, len, channel);
    }

    /// The sums of a page have come: asks for those of the next, or has the store search.
    pub(super) fn learn(
        &mut self,
        segment: u8,
        page: u16,
        sums: Vec<u8>,
        channel: &mut Channel,
        desk: &mut Desk,
    ) {
        if let Some(first) = self.map.in_page(segment, page, 0) {
            let learn = Request::Learn {
                offset: first.offset,
                block_bytes: self.map.block_bytes(),
                sums,
            };
            desk.ask(learn, Purpose::Kept);
        }
        let next = page.saturating_add(1);
        if next < self.map.page_count(segment) {
            self.want_sums(next, channel);
        } else {
            self.set_step(Step::Searching);
            desk.ask(Request::Search, Purpose::Survey);
        }
    }

    /// There is more to search.
    pub(super) fn search_on(&mut self, desk: &mut Desk) {
        // Its progress shows that it is alive.
        self.looked_at_bytes = self.looked_at_bytes.saturating_add(1);
        desk.ask(Request::Search, Purpose::Survey);
    }

    /// The search is over: what of this page is missing still?
    pub(super) fn look_at_page_again(&mut self, channel: &mut Channel, desk: &mut Desk) {
        let Some(survey) = &mut self.survey else {
            return;
        };
        survey.searched = true;
        survey.bits.clear();
        survey.index = 0;
        let first = self.survey_block();
        if first.is_some_and(|block| self.proven.contains(block.number)) {
            self.next_block(channel, desk);
        } else {
            self.look_at_block(channel, desk);
        }
    }

    /// Looks for a block at other offsets of the installed image, before the host is asked.
    pub(super) fn gather(&mut self, channel: &mut Channel, desk: &mut Desk) {
        let block = self.survey_block();
        let wanted = block.and_then(|block| Some((block, self.expected(&block)?)));
        // Where the offered image is the installed one, a block that is bad there is nowhere.
        let Some((block, digest)) = wanted.filter(|_| !self.same_as_installed) else {
            self.need_block(channel, desk);
            return;
        };
        self.set_step(Step::Gathering);
        let (offset, bytes) = (block.offset, block.bytes);
        let gather = Request::Gather {
            digest,
            offset,
            bytes,
        };
        desk.ask(gather, Purpose::Survey);
    }
}
