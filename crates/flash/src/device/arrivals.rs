//! What comes in during a transfer: objects, and the blocks that are proven and written.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

use nx_image::digest::Digest;

use crate::blocks::Block;
use crate::device::assembly::{Fitted, Form};
use crate::device::desk::{Desk, Purpose};
use crate::device::offer::{Incoming, Refused};
use crate::device::request::Request;
use crate::device::transfer::{Transfer, say, set_bit};
use crate::limits::{ADDRESS_UNIT_BYTES, CHECKPOINT_BYTES, DIRECTORY_BYTES_MAX};
use crate::session::Channel;
use crate::time::Instant;
use crate::wire::{FromDevice, Kind, Need, Object, Packed, Reader, RejectCode};

/// Blocks that arrive whole and wrong before the device takes the host for broken.
const BAD_BLOCKS_MAX: u32 = 8;

impl Transfer {
    /// Makes ready for an object and asks the host for it.
    pub(super) fn want(&mut self, object: Object, len: usize, channel: &mut Channel) {
        if len > DIRECTORY_BYTES_MAX {
            return;
        }
        self.wanted = Some((object, Incoming::with_len(len)));
        say(channel, &FromDevice::Want(object));
    }

    /// Takes the payload of a `META` frame; returns whether it is taken, and the object that
    /// is whole with it.
    pub(super) fn meta(&mut self, payload: &[u8]) -> (bool, Option<(Object, Vec<u8>)>) {
        let mut fields = Reader::new(payload);
        let (Ok(number), Ok(offset)) = (fields.u32(), fields.u32()) else {
            return (false, None);
        };
        let Some(object) = Object::from_number(number) else {
            return (false, None);
        };
        let Some((wanted, incoming)) = &mut self.wanted else {
            // A slice that was had before, of an object that is whole.
            return (true, None);
        };
        if *wanted != object {
            return (true, None);
        }
        if !incoming.fit(offset, fields.rest()) {
            return (false, None);
        }
        if !incoming.is_whole() {
            return (true, None);
        }
        let whole = self
            .wanted
            .take()
            .map(|(object, whole)| (object, whole.into_bytes()));
        (true, whole)
    }

    /// Takes the payload of a `DATA` or, with its front, of a `PACKED` frame; returns whether it
    /// is taken.
    pub(super) fn data(
        &mut self,
        kind: Kind,
        payload: &[u8],
        channel: &mut Channel,
        desk: &mut Desk,
    ) -> Result<bool, Refused> {
        let mut fields = Reader::new(payload);
        let (address, form) = if kind == Kind::Packed {
            let malformed = |error| (RejectCode::Malformed, format!("packed data: {error}"));
            let front = Packed::parse(&mut fields).map_err(malformed)?;
            (front.address, Form::Packed(front.codec, front.bytes))
        } else {
            let Ok(address) = fields.u32() else {
                return Ok(false);
            };
            (address, Form::Plain)
        };
        let data = fields.rest();
        let at = u64::from(address).saturating_mul(ADDRESS_UNIT_BYTES);
        let Some(block) = self.map.at_offset(at) else {
            return Err((RejectCode::Address, format!("offset {at} is in no segment")));
        };
        let had = self.proven.contains(block.number) || self.present.contains(block.number);
        let comes = self.writing.contains(&block.number) || self.proving.contains(&block.number);
        if had || comes || self.zeros.are_due_at(block.number) {
            return Ok(true);
        }
        self.load_ahead(&block, desk);
        let inside = u32::try_from(at.saturating_sub(block.offset)).unwrap_or(u32::MAX);
        match self.assemblies.fit(&block, form, inside, data) {
            Fitted::Taken => Ok(true),
            Fitted::NoRoom => Ok(false),
            Fitted::Misfit => {
                let len = data.len();
                let detail = format!("{len} bytes at offset {at} do not fit their block");
                Err((RejectCode::Address, detail))
            }
            Fitted::Whole => {
                if self.digests.has(block.segment, block.page()) {
                    self.prove(block.number, None, channel, desk)?;
                } else {
                    self.proving.insert(block.number);
                    self.load_page(&block, Purpose::Prove(block.number), desk);
                }
                Ok(true)
            }
        }
    }

    /// The page of a whole block is at hand, or was asked for: proves the block.
    pub(super) fn prove(
        &mut self,
        number: u32,
        outcome: Option<Vec<u8>>,
        channel: &mut Channel,
        desk: &mut Desk,
    ) -> Result<(), Refused> {
        self.proving.remove(&number);
        let Some(block) = self.map.by_number(number) else {
            return Ok(());
        };
        if !self.assemblies.is_open(number) {
            return Ok(());
        }
        if let Some(bytes) = outcome {
            self.take_page(block.segment, block.page(), bytes);
        }
        let expected = self.expected(&block);
        let bytes = self.assemblies.take(&block);
        let proven = bytes.filter(|bytes| expected == Some(Digest::of(bytes)));
        if let Some(bytes) = proven {
            self.writing.insert(number);
            let offset = block.offset;
            desk.ask(Request::Write { offset, bytes }, Purpose::Written(number));
            return Ok(());
        }
        self.bad_blocks = self.bad_blocks.saturating_add(1);
        if self.bad_blocks > BAD_BLOCKS_MAX {
            let detail = format!("{} blocks arrived whole and wrong", self.bad_blocks);
            return Err((RejectCode::Digests, detail));
        }
        self.need_again(&[block], channel);
        Ok(())
    }

    /// Asks once more for blocks, page by page.
    pub(super) fn need_again(&mut self, blocks: &[Block], channel: &mut Channel) {
        let mut pages: BTreeMap<(u8, u16), Vec<u8>> = BTreeMap::new();
        for block in blocks {
            let bits = pages.entry((block.segment, block.page())).or_default();
            set_bit(bits, block.index_in_page());
        }
        for ((segment, page), bitmap) in pages {
            let last = page.saturating_add(1) == self.map.page_count(segment);
            let need = Need {
                segment,
                page,
                last,
                kept: false,
                bitmap,
            };
            say(channel, &FromDevice::Need(need));
        }
    }

    /// A block is on the medium.
    pub(super) fn written(&mut self, number: u32, now: Instant, desk: &mut Desk) {
        let Some(block) = self.map.by_number(number) else {
            return;
        };
        self.writing.remove(&number);
        self.zeros.written(number);
        self.received = self.received.saturating_add(1);
        self.unsynced_bytes = self.unsynced_bytes.saturating_add(u64::from(block.bytes));
        self.unsynced_since.get_or_insert(now);
        self.have(&block, desk);
        if self.unsynced_bytes >= CHECKPOINT_BYTES {
            self.checkpoint(desk);
        }
    }
}
