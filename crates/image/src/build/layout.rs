//! Where everything lies in an image.

use crate::limits::IMAGE_BYTES_MAX;
use crate::manifest::{ManifestError, SegmentKind, Table};

/// Partitions begin and end at multiples of this in an image with a partition table, and the
/// length of the state partition is one of them, in bytes.
pub const SEGMENT_ALIGN_BYTES: u64 = 1 << 20;
/// Segments begin at multiples of this in an image without one, in bytes.
const BARE_ALIGN_BYTES: u64 = 4_096;
/// Length of the state partition unless it is said, in bytes.
pub const STATE_BYTES_DEFAULT: u64 = 16 << 20;
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
    pub(super) places: Vec<Place>,
    pub(super) image_bytes: u64,
}

/// Lays out segments of these lengths; a state partition gets `state_bytes`.
pub(super) fn lay_out(
    segments: &[(SegmentKind, u64)],
    table: Table,
    state_bytes: u64,
) -> Result<Layout, ManifestError> {
    let too_large = || ManifestError::Bounds {
        member: "size",
        rule: "at most 256 GiB",
    };
    let align = match table {
        Table::Gpt => SEGMENT_ALIGN_BYTES,
        Table::None => BARE_ALIGN_BYTES,
    };
    let mut places = Vec::new();
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
    for (kind, size) in segments {
        let offset = at.checked_next_multiple_of(align).ok_or_else(too_large)?;
        let region = match (kind, table) {
            (SegmentKind::State, _) => state_bytes.max(*size),
            // Whole units, so that the segment may grow a little where it is.
            (_, Table::Gpt) => size.checked_next_multiple_of(align).ok_or_else(too_large)?,
            (_, Table::None) => *size,
        };
        places.push(Place {
            kind: *kind,
            offset,
            size: *size,
            region,
        });
        at = offset
            .checked_add(region)
            .filter(|end| *end <= IMAGE_BYTES_MAX)
            .ok_or_else(too_large)?;
    }
    if table == Table::None {
        // Nothing may trail: the image ends with its last segment.
        let end = places
            .last()
            .map_or(0, |place| place.offset.saturating_add(place.size));
        return Ok(Layout {
            places,
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
        image_bytes,
    })
}
