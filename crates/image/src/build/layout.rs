//! Where everything lies in an image.

use crate::boot_record;
use crate::limits::IMAGE_BYTES_MAX;
use crate::manifest::{ManifestError, Role, SegmentKind, Slots, Table};

/// Partitions begin and end at multiples of this in an image with a partition table, and the
/// length of the state partition is one of them, in bytes.
pub const SEGMENT_ALIGN_BYTES: u64 = 1 << 20;
/// Segments begin at multiples of this in an image without one, in bytes.
const BARE_ALIGN_BYTES: u64 = 4_096;
/// Length of the state partition unless it is said, in bytes.
pub const STATE_BYTES_DEFAULT: u64 = 16 << 20;
/// How much larger than what it holds a slot partition is unless it is said, in per cent.
pub const SLOT_ROOM_PERCENT_DEFAULT: u32 = 50;
/// The largest room that can be asked for, in per cent.
pub const SLOT_ROOM_PERCENT_MAX: u32 = 1_000;
/// Bytes of a sector.
pub(super) const SECTOR_BYTES: u64 = 512;
/// Protective MBR, header, and 128 entries of 128 bytes.
pub(super) const GPT_BYTES: u64 = 34 * SECTOR_BYTES;
/// The same entries and a header, at the end.
pub(super) const GPT_BACKUP_BYTES: u64 = 33 * SECTOR_BYTES;

/// A place in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) kind: SegmentKind,
    pub(super) offset: u64,
    /// Length of the segment, in bytes.
    pub(super) size: u64,
    /// Length of its partition, in bytes.
    pub(super) region: u64,
}

/// The places of an image, in order, and its length.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Where segments lie.
    pub(super) places: Vec<Place>,
    /// Where nothing lies yet: the partitions of slot b.
    pub(super) empty: Vec<Place>,
    pub(super) image_bytes: u64,
}

/// What decides how much room segments get.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rooms {
    pub(super) table: Table,
    pub(super) slots: Slots,
    pub(super) slot_room_percent: u32,
    /// Length of the state partition, in bytes.
    pub(super) state_bytes: u64,
}

impl Rooms {
    fn align(&self) -> u64 {
        match self.table {
            Table::Gpt => SEGMENT_ALIGN_BYTES,
            Table::None => BARE_ALIGN_BYTES,
        }
    }

    /// Length of the partition of a segment, in bytes; nothing when it is too large for any.
    fn of(&self, kind: SegmentKind, size: u64) -> Option<u64> {
        match (kind.role(), self.table) {
            (Role::State, _) => Some(self.state_bytes.max(size)),
            (_, Table::None) => Some(size),
            (Role::Record, _) => Some(boot_record::PARTITION_BYTES),
            (Role::Slot, _) if self.slots == Slots::Two => {
                let percent = u64::from(self.slot_room_percent).checked_add(100)?;
                let roomy = size.checked_mul(percent)?.div_ceil(100);
                roomy.checked_next_multiple_of(self.align())
            }
            // Whole units, so that the segment may grow a little where it is.
            _ => size.checked_next_multiple_of(self.align()),
        }
    }
}

/// Lays out segments of these lengths, which are in the order of their kinds.
pub(super) fn lay_out(
    segments: &[(SegmentKind, u64)],
    rooms: Rooms,
) -> Result<Layout, ManifestError> {
    let table = rooms.table;
    let too_large = || ManifestError::Bounds {
        member: "size",
        rule: "at most 256 GiB",
    };
    let align = rooms.align();
    let mut places = Vec::new();
    let mut empty: Vec<Place> = Vec::new();
    let mut at = 0_u64;
    if table == Table::Gpt {
        let (kind, size) = (SegmentKind::Gpt, GPT_BYTES);
        places.push(Place {
            kind,
            offset: 0,
            size,
            region: size,
        });
        at = GPT_BYTES;
    }
    let place = |at: u64, kind, size| {
        let offset = at.checked_next_multiple_of(align)?;
        let region = rooms.of(kind, size)?;
        let end = offset.checked_add(region);
        let end = end.filter(|end| *end <= IMAGE_BYTES_MAX)?;
        let place = Place {
            kind,
            offset,
            size,
            region,
        };
        Some((place, end))
    };
    for (kind, size) in segments {
        // The whole of slot b follows the whole of slot a.
        if kind.role() > Role::Slot && rooms.slots == Slots::Two {
            for slot_a in slots_of(&places) {
                let (slot_b, end) = place(at, slot_a.kind, slot_a.size).ok_or_else(too_large)?;
                empty.push(Place { size: 0, ..slot_b });
                at = end;
            }
        }
        let (segment, end) = place(at, *kind, *size).ok_or_else(too_large)?;
        places.push(segment);
        at = end;
    }
    if table == Table::None {
        // Nothing may trail: the image ends with its last segment.
        let end = places
            .last()
            .map_or(0, |place| place.offset.saturating_add(place.size));
        return Ok(Layout {
            places,
            empty,
            image_bytes: end,
        });
    }
    let image_bytes = at
        .checked_add(GPT_BACKUP_BYTES)
        .and_then(|end| end.checked_next_multiple_of(align))
        .filter(|end| *end <= IMAGE_BYTES_MAX)
        .ok_or_else(too_large)?;
    let (kind, size) = (SegmentKind::GptBackup, GPT_BACKUP_BYTES);
    let offset = image_bytes.saturating_sub(size);
    places.push(Place {
        kind,
        offset,
        size,
        region: size,
    });
    Ok(Layout {
        places,
        empty,
        image_bytes,
    })
}

fn slots_of(places: &[Place]) -> Vec<Place> {
    let slots = places
        .iter()
        .filter(|place| place.kind.role() == Role::Slot);
    slots.copied().collect()
}
