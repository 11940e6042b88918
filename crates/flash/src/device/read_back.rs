//! What was received is read back from the medium, many blocks at once.

use nx_image::digest::Digest;

use crate::blocks::Block;
use crate::device::desk::{Desk, Purpose};
use crate::device::finish::{Finish, Step};
use crate::device::request::Request;
use crate::device::transfer::Transfer;

/// Blocks asked for again in one go, so that the answers stay few.
pub(super) const REPAIR_BLOCKS_MAX: usize = 8 * 1_024;

/// Bytes of blocks that are read back in one request, but at least one block: so many that the
/// store can share them out, and few enough that the device can tell how far it is.
const READ_BACK_BYTES: u32 = 4 * 1_048_576;

impl Transfer {
    /// The next blocks were digested from the medium, as far as it holds them.
    pub(super) fn were_read(&mut self, count: u32, got: &[Digest]) {
        let Some(finish) = &mut self.finish else {
            return;
        };
        let first = finish.cursor;
        finish.cursor = first.saturating_add(count);
        let mut got = got.iter().copied();
        for number in first..first.saturating_add(count) {
            self.was_read(number, got.next());
        }
    }

    fn was_read(&mut self, number: u32, got: Option<Digest>) {
        let Some(block) = self.map.by_number(number) else {
            return;
        };
        let is_good = got.is_some() && self.expected(&block) == got;
        if !is_good {
            self.lose(&block);
        }
        if let Some(finish) = &mut self.finish {
            finish.done = finish.done.saturating_add(u64::from(block.bytes));
            // Any more are found missing by the next `DONE`.
            if !is_good && finish.bad.len() < REPAIR_BLOCKS_MAX {
                finish.bad.push(block);
            }
        }
    }

    /// Has the store read the next blocks back.
    pub(super) fn read_back(&mut self, desk: &mut Desk) {
        let from = self.finish.as_ref().map_or(0, |finish| finish.cursor);
        let next = self.next_to_read(from);
        let run = next.map_or((0, 0), |first| self.run_from(&first));
        let Some(finish) = &mut self.finish else {
            return;
        };
        let (count, bytes) = run;
        finish.step = Step::Blocks(count);
        let Some(block) = next else { return };
        finish.cursor = block.number;
        if self.digests.has(block.segment, block.page()) {
            let request = Request::ReadBack {
                offset: block.offset,
                bytes,
                block_bytes: self.map.block_bytes(),
            };
            desk.ask(request, Purpose::Finish);
        } else {
            finish.step = Step::Page;
            self.load_page(&block, Purpose::Finish, desk);
        }
    }

    /// The blocks that are read back in one go from this one on, all of one page, and their bytes.
    fn run_from(&self, first: &Block) -> (u32, u32) {
        let (mut count, mut bytes) = (1_u32, first.bytes);
        while let Some(next) = self
            .map
            .in_segment(first.segment, first.index.saturating_add(count))
            .filter(|next| next.page() == first.page())
            && bytes.saturating_add(next.bytes) <= READ_BACK_BYTES
        {
            count = count.saturating_add(1);
            bytes = bytes.saturating_add(next.bytes);
        }
        (count, bytes)
    }

    /// Whether every block is read back.
    pub(super) fn is_read(&self, finish: &Finish) -> bool {
        matches!(finish.step, Step::Blocks(_)) && self.next_to_read(finish.cursor).is_none()
    }

    fn next_to_read(&self, from: u32) -> Option<Block> {
        let numbers = from..self.map.block_count();
        let mut blocks = numbers.filter_map(|number| self.map.by_number(number));
        blocks.find(|block| !self.kept.contains(&block.segment))
    }
}
