//! What is still to send, and what is under way.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use crate::blocks::{Block, BlockMap, BlockSet};
use crate::limits::{ASKED_AGAIN_MAX, PACKED_FRONT_BYTES};
use crate::session::{Channel, Piece, Slice};
use crate::wire::{Codec, Kind, Need, Packed, Writer};

/// A block that is begun and not wholly acknowledged.
#[derive(Debug)]
struct Open {
    block: Block,
    /// What goes out for it, once the image's file gave it.
    content: Option<Content>,
    /// Bytes sent for the first time.
    sent: u32,
    acked: u32,
}

/// What goes out for a block.
#[derive(Debug)]
struct Content {
    /// How it is packed, if it is.
    codec: Option<Codec>,
    bytes: Vec<u8>,
}

impl Open {
    /// Bytes that go out for it, once that is known.
    fn bytes(&self) -> Option<u32> {
        let content = self.content.as_ref()?;
        u32::try_from(content.bytes.len()).ok()
    }

    /// Whether all of it went out once.
    fn is_sent(&self) -> bool {
        self.bytes().is_some_and(|bytes| self.sent >= bytes)
    }

    fn kind(&self) -> Kind {
        match &self.content {
            Some(Content { codec: Some(_), .. }) => Kind::Packed,
            _ => Kind::Data,
        }
    }
}

/// What the device said of a segment.
#[derive(Clone, Copy, Debug, Default)]
struct Answered {
    /// Up to here.
    pages: u32,
    /// To the end.
    whole: bool,
}

/// What a `NEED` came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct News {
    /// It told anything that was not known.
    pub(super) any: bool,
    /// There is more to send.
    pub(super) to_send: bool,
    /// The whole segment is answered with it, for the first time.
    pub(super) planned: bool,
}

/// The blocks that the device needs: waiting, open, done.
#[derive(Debug)]
pub(super) struct Plan {
    map: BlockMap,
    needed: BlockSet,
    /// Where the search for the next needed block goes on.
    cursor: u32,
    open: BTreeMap<u32, Open>,
    lost: VecDeque<Slice>,
    answered: Vec<Answered>,
    planned: BlockSet,
    /// Blocks that the device asked for more than once.
    doubted: BlockSet,
    asked_again: u32,
    sent_blocks: u32,
    packed_blocks: u32,
    payload_bytes: u64,
}

impl Plan {
    pub(super) fn new(map: BlockMap) -> Self {
        let blocks = map.block_count();
        let segments = usize::from(map.segment_count());
        Self {
            needed: BlockSet::with_room_for(blocks),
            planned: BlockSet::with_room_for(blocks),
            doubted: BlockSet::with_room_for(blocks),
            cursor: 0,
            open: BTreeMap::new(),
            lost: VecDeque::new(),
            answered: alloc::vec![Answered::default(); segments],
            asked_again: 0,
            sent_blocks: 0,
            packed_blocks: 0,
            payload_bytes: 0,
            map,
        }
    }

    pub(super) const fn map(&self) -> &BlockMap {
        &self.map
    }

    /// Takes the device's answer.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn need(&mut self, need: &Need) -> Result<News, &'static str> {
        let blocks = self.map.page_blocks(need.segment, need.page);
        let answered = self.answered.get_mut(usize::from(need.segment));
        let Some(answered) = answered.filter(|_| blocks > 0) else {
            return Err("the device needs blocks that the image does not have");
        };
        let pages = u32::from(need.page).saturating_add(1);
        let planned = need.last && !answered.whole;
        let mut news = News {
            any: planned || pages > answered.pages,
            to_send: false,
            planned,
        };
        answered.pages = answered.pages.max(pages);
        answered.whole |= need.last;
        for index in 0..blocks {
            let byte = need
                .bitmap
                .get(usize::try_from(index / 8).unwrap_or(usize::MAX));
            let wanted = byte.is_some_and(|byte| byte & (1 << (index % 8)) != 0);
            let block = self.map.in_page(need.segment, need.page, index);
            if let Some(block) = block.filter(|_| wanted) {
                self.needed.insert(block.number);
                news.to_send = true;
                if self.planned.insert(block.number) {
                    news.any = true;
                } else {
                    self.doubted.insert(block.number);
                    self.asked_again = self.asked_again.saturating_add(1);
                }
                self.cursor = self.cursor.min(block.number);
            }
        }
        if self.asked_again > asked_max(self.map.block_count()) {
            return Err("the device needs the same blocks again and again");
        }
        Ok(news)
    }

    /// Whether every segment was answered and every needed block is under way, or has arrived.
    pub(super) fn is_under_way(&self) -> bool {
        self.answered.iter().all(|answered| answered.whole)
            && self.needed.is_empty()
            && self.open.values().all(Open::is_sent)
    }

    /// Whether the device asked for a block more than once.
    pub(super) fn was_asked_again(&self, number: u32) -> bool {
        self.doubted.contains(number)
    }

    pub(super) fn blocks_needed(&self) -> u32 {
        self.planned.len()
    }

    /// Blocks of which the device has said whether it needs them.
    pub(super) fn blocks_known(&self) -> u32 {
        let known = |(segment, answered): (u8, &Answered)| {
            let pages = match answered.whole {
                true => u32::from(self.map.page_count(segment)),
                false => answered.pages,
            };
            let pages = u16::try_from(pages).unwrap_or(u16::MAX);
            let blocks = (0..pages).map(|page| self.map.page_blocks(segment, page));
            blocks.fold(0, u32::saturating_add)
        };
        let answered = (0..=u8::MAX).zip(&self.answered);
        answered.map(known).fold(0, u32::saturating_add)
    }

    pub(super) const fn blocks_sent(&self) -> u32 {
        self.sent_blocks
    }

    /// Of those, blocks that went packed.
    pub(super) const fn packed_blocks(&self) -> u32 {
        self.packed_blocks
    }

    pub(super) const fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// The next block to begin, if the device's window has room for it and fewer than `ahead`
    /// blocks wait to be sent.
    pub(super) fn begin(&mut self, window: u32, ahead: usize) -> Option<Block> {
        let open: u32 = u32::try_from(self.open.len()).unwrap_or(u32::MAX);
        let room = window.checked_div(self.map.block_bytes()).unwrap_or(0);
        let waiting = || self.open.values().filter(|open| !open.is_sent());
        if open >= room || waiting().count() >= ahead {
            return None;
        }
        // A block that is needed again waits until its earlier slices are settled: one that is
        // acknowledged late must not count for the new ones.
        let mut number = self.needed.next_from(self.cursor)?;
        self.cursor = number;
        while self.open.contains_key(&number) {
            number = self.needed.next_from(number.checked_add(1)?)?;
        }
        let block = self.map.by_number(number)?;
        self.needed.remove(number);
        self.open.insert(
            number,
            Open {
                block,
                content: None,
                sent: 0,
                acked: 0,
            },
        );
        Some(block)
    }

    /// The image's file gave a block's bytes, packed if a codec is named.
    pub(super) fn loaded(&mut self, number: u32, codec: Option<Codec>, bytes: Vec<u8>) {
        if let Some(open) = self.open.get_mut(&number) {
            open.content = Some(Content { codec, bytes });
        }
    }

    /// A slice is lost: it goes out again before anything new.
    pub(super) fn lost(&mut self, slice: Slice) {
        self.lost.push_back(slice);
    }

    /// A slice has arrived.
    pub(super) fn acked(&mut self, number: u32, len: u32) {
        let Some(open) = self.open.get_mut(&number) else {
            return;
        };
        open.acked = open.acked.saturating_add(len);
        if open.bytes().is_some_and(|bytes| open.acked >= bytes)
            && let Some(open) = self.open.remove(&number)
        {
            self.arrived(&open);
        }
    }

    fn arrived(&mut self, open: &Open) {
        self.sent_blocks = self.sent_blocks.saturating_add(1);
        let packed = u32::from(open.kind() == Kind::Packed);
        self.packed_blocks = self.packed_blocks.saturating_add(packed);
    }

    /// The device has everything: what is not acknowledged yet has arrived too.
    pub(super) fn installed(&mut self) {
        for open in core::mem::take(&mut self.open).into_values() {
            self.arrived(&open);
        }
    }

    /// The next slice to send, its payload and the kind of its frame; lost ones first, cut to the
    /// size of now.
    pub(super) fn next_piece(&mut self, channel: &Channel, max: usize) -> Option<(Kind, Piece)> {
        while let Some(Slice::Block {
            number,
            offset,
            len,
        }) = self.lost.pop_front()
        {
            let Some(open) = self.open.get(&number) else {
                continue;
            };
            let now = len.min(bytes_now(channel, max, len));
            let rest = len.saturating_sub(now);
            if rest > 0 {
                let offset = offset.saturating_add(now);
                self.lost.push_front(Slice::Block {
                    number,
                    offset,
                    len: rest,
                });
            }
            let payload = payload(open, offset, now)?;
            let slice = Slice::Block {
                number,
                offset,
                len: now,
            };
            let piece = Piece {
                slice,
                again: true,
                payload,
            };
            return Some((open.kind(), piece));
        }
        let left = |open: &Open| {
            open.bytes()?
                .checked_sub(open.sent)
                .filter(|left| *left > 0)
        };
        let mut ready = self
            .open
            .values_mut()
            .filter_map(|open| Some((left(open)?, open)));
        let (left, open) = ready.next()?;
        let len = left.min(bytes_now(channel, max, left));
        let slice = Slice::Block {
            number: open.block.number,
            offset: open.sent,
            len,
        };
        let payload = payload(open, open.sent, len)?;
        open.sent = open.sent.saturating_add(len);
        self.payload_bytes = self.payload_bytes.saturating_add(u64::from(len));
        let piece = Piece {
            slice,
            again: false,
            payload,
        };
        Some((open.kind(), piece))
    }
}

/// Times that a device may ask in a session for things of which there are so many: few are asked
/// for more often, because chance decides which are.
pub(super) const fn asked_max(things: u32) -> u32 {
    things.saturating_add(4).saturating_mul(ASKED_AGAIN_MAX)
}

/// The size of the next slice when `left` bytes are to go: the tail is shared evenly, so that no
/// frame carries a handful of bytes.
fn bytes_now(channel: &Channel, max: usize, left: u32) -> u32 {
    let left = usize::try_from(left).unwrap_or(usize::MAX);
    let size = channel.slice_bytes(max.min(left));
    let size = if size < left && left < size.saturating_mul(2) {
        channel.slice_bytes(size.min((left / 2).next_multiple_of(64)))
    } else {
        size
    };
    u32::try_from(size).unwrap_or(u32::MAX)
}

/// Payload of a `DATA` or `PACKED` frame: the address, how it is packed, the bytes.
fn payload(open: &Open, offset: u32, len: u32) -> Option<Vec<u8>> {
    let from = usize::try_from(offset).ok()?;
    let to = from.checked_add(usize::try_from(len).ok()?)?;
    let content = open.content.as_ref()?;
    let data = content.bytes.get(from..to)?;
    let address = open.block.address().checked_add(offset / 64)?;
    let mut out = Vec::with_capacity(data.len().saturating_add(PACKED_FRONT_BYTES));
    let mut fields = Writer::new(&mut out);
    match content.codec {
        None => {
            fields.u32(address);
        }
        Some(codec) => {
            let bytes = open.bytes()?;
            let front = Packed {
                address,
                codec,
                bytes,
            };
            front.emit(&mut fields);
        }
    }
    fields.bytes(data);
    Some(out)
}
