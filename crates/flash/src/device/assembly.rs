//! Blocks that are put together from slices.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::blocks::Block;
use crate::device::unpack::unpack;
use crate::limits::ADDRESS_UNIT_BYTES;
use crate::wire::Codec;

/// How a block goes over the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is.
    Plain,
    /// Packed, to so many bytes.
    Packed(Codec, u32),
}

/// One block, as far as it has come.
#[derive(Debug)]
struct Assembly {
    form: Form,
    bytes: Vec<u8>,
    /// One bit for every 64 bytes that have come.
    units: Vec<u64>,
    missing: u32,
}

/// The blocks that are begun, no more than fit the window.
#[derive(Debug)]
pub(super) struct Assemblies {
    open: BTreeMap<u32, Assembly>,
    room: usize,
}

/// What became of a slice.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fitted {
    /// Taken, or had before.
    Taken,
    /// Taken, and its block is whole now.
    Whole,
    /// No room for its block.
    NoRoom,
    /// It does not begin or end where slices do.
    Misfit,
}

impl Assemblies {
    pub(super) const fn with_room_for(blocks: usize) -> Self {
        Self {
            open: BTreeMap::new(),
            room: blocks,
        }
    }

    pub(super) fn is_open(&self, number: u32) -> bool {
        self.open.contains_key(&number)
    }

    /// Puts a slice in its place; `offset` is within the block as it goes over the line. What was
    /// begun in another form is given up.
    pub(super) fn fit(&mut self, block: &Block, form: Form, offset: u32, data: &[u8]) -> Fitted {
        let unit = u32::try_from(ADDRESS_UNIT_BYTES).unwrap_or(1);
        let bytes = match form {
            Form::Plain => block.bytes,
            Form::Packed(_, bytes) if (1..block.bytes).contains(&bytes) => bytes,
            Form::Packed(..) => return Fitted::Misfit,
        };
        let Ok(len) = u32::try_from(data.len()) else {
            return Fitted::Misfit;
        };
        let Some(end) = offset.checked_add(len) else {
            return Fitted::Misfit;
        };
        let whole_units = end == bytes || end.is_multiple_of(unit);
        if len == 0 || end > bytes || !offset.is_multiple_of(unit) || !whole_units {
            return Fitted::Misfit;
        }
        if !self.open.contains_key(&block.number) && self.open.len() >= self.room {
            return Fitted::NoRoom;
        }
        self.open
            .retain(|number, open| *number != block.number || open.form == form);
        let units = bytes.div_ceil(unit);
        let assembly = self.open.entry(block.number).or_insert_with(|| Assembly {
            form,
            bytes: alloc::vec![0; usize::try_from(bytes).unwrap_or(0)],
            units: alloc::vec![0; usize::try_from(units.div_ceil(64)).unwrap_or(0)],
            missing: units,
        });
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let to = from.saturating_add(data.len());
        if let Some(place) = assembly.bytes.get_mut(from..to) {
            place.copy_from_slice(data);
        }
        for at in offset.div_ceil(unit)..end.div_ceil(unit) {
            let word = usize::try_from(at / 64).unwrap_or(usize::MAX);
            let bit = 1_u64 << (at % 64);
            if let Some(bits) = assembly
                .units
                .get_mut(word)
                .filter(|bits| **bits & bit == 0)
            {
                *bits |= bit;
                assembly.missing = assembly.missing.saturating_sub(1);
            }
        }
        if assembly.missing == 0 {
            Fitted::Whole
        } else {
            Fitted::Taken
        }
    }

    /// Takes a whole block out; nothing for one whose bytes unpack to no such block.
    pub(super) fn take(&mut self, block: &Block) -> Option<Vec<u8>> {
        let assembly = self.open.remove(&block.number)?;
        match assembly.form {
            Form::Plain => Some(assembly.bytes),
            Form::Packed(codec, _) => {
                let bytes = usize::try_from(block.bytes).unwrap_or(usize::MAX);
                unpack(codec, &assembly.bytes, bytes)
            }
        }
    }
}
