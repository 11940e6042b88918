//! Blocks of nothing but zeros: the device knows their digest, and needs nobody to send them.

use nx_image::digest::Digest;

use crate::blocks::{Block, BlockSet};
use crate::device::desk::{Desk, Purpose};
use crate::device::request::Request;
use crate::device::transfer::Transfer;

/// The zero blocks that are still to be written.
#[derive(Debug)]
pub(super) struct Zeros {
    due: BlockSet,
    /// The one that the store is writing.
    writing: Option<u32>,
    /// The digest of so many zero bytes.
    known: Option<(u32, Digest)>,
}

impl Zeros {
    pub(super) fn with_room_for(blocks: u32) -> Self {
        Self {
            due: BlockSet::with_room_for(blocks),
            writing: None,
            known: None,
        }
    }

    /// Whether a block is still to be written.
    pub(super) fn are_due_at(&self, number: u32) -> bool {
        self.due.contains(number)
    }

    /// Whether any block is still to be written.
    pub(super) const fn are_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// A block is on the medium.
    pub(super) fn written(&mut self, number: u32) {
        if self.writing == Some(number) {
            self.writing = None;
        }
    }

    /// The digest of so many zero bytes. Blocks of one length come one after the other.
    fn digest_of(&mut self, bytes: u32) -> Digest {
        if let Some((_, digest)) = self.known.filter(|(known, _)| *known == bytes) {
            return digest;
        }
        let digest = Digest::of(&zeros(bytes));
        self.known = Some((bytes, digest));
        digest
    }
}

impl Transfer {
    /// Notes a block that the device does not have, if it is zero by its signed digest; returns
    /// whether it is.
    pub(super) fn note_zero(&mut self, block: &Block) -> bool {
        let expected = self.expected(block);
        let is_zero = expected == Some(self.zeros.digest_of(block.bytes));
        let number = block.number;
        if is_zero && !self.writing.contains(&number) && !self.proven.contains(number) {
            self.zeros.due.insert(number);
        }
        is_zero
    }

    /// Has the store write the next zero block: one at a time, so that they take the memory of
    /// one.
    pub(super) fn write_zeros(&mut self, desk: &mut Desk) {
        if self.zeros.writing.is_some() {
            return;
        }
        let Some(number) = self.zeros.due.next_from(0) else {
            return;
        };
        self.zeros.due.remove(number);
        let Some(block) = self.map.by_number(number) else {
            return;
        };
        self.zeros.writing = Some(number);
        self.writing.insert(number);
        let (offset, bytes) = (block.offset, zeros(block.bytes));
        desk.ask(Request::Write { offset, bytes }, Purpose::Written(number));
    }
}

fn zeros(bytes: u32) -> alloc::vec::Vec<u8> {
    alloc::vec![0; usize::try_from(bytes).unwrap_or(0)]
}
