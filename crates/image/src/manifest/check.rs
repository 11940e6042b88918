use super::{ImageInfo, Manifest, ManifestError, Role, Segment, SegmentKind, Slots, Table};
use crate::boot_record::SEGMENT_BYTES;
use crate::limits::{
    BLOCK_BYTES_MAX, BLOCK_BYTES_MIN, IMAGE_BYTES_MAX, INTEGER_MAX, LABEL_BYTES_MAX,
    NAME_BYTES_MAX, OFFSET_ALIGN_BYTES, PAGE_BLOCKS, PAGES_MAX, SEGMENTS_MAX,
};

pub(super) fn manifest(manifest: &Manifest) -> Result<(), ManifestError> {
    let Manifest { image, segments } = manifest;
    self::image(image)?;
    if segments.len() > SEGMENTS_MAX {
        return Err(bounds("segments", "at most 16 segments"));
    }
    if !segments
        .iter()
        .any(|s| matches!(s.role, Role::Boot | Role::Slot))
    {
        return Err(bounds(
            "segments",
            "at least one segment that is no table and no state",
        ));
    }
    for (index, segment) in segments.iter().enumerate() {
        self::segment(index, segment, image)?;
        if segments
            .iter()
            .take(index)
            .any(|other| other.name == segment.name)
        {
            return Err(segment_bounds(index, "name", "unique in the image"));
        }
    }
    for (before, segment) in segments.iter().zip(segments.iter().skip(1)) {
        if segment.kind <= before.kind {
            return Err(ManifestError::Order {
                name: segment.name.clone(),
                kind: segment.kind.as_str(),
                before: before.kind.as_str(),
            });
        }
        if segment.offset < before.end() {
            return Err(ManifestError::Overlap {
                name: segment.name.clone(),
                offset: segment.offset,
                before: before.name.clone(),
                end: before.end(),
            });
        }
    }
    table(image, segments)?;
    slots(image, segments)
}

pub(super) fn image(image: &ImageInfo) -> Result<(), ManifestError> {
    if image.size == 0 || image.size > IMAGE_BYTES_MAX {
        return Err(bounds("size", "1 byte to 256 GiB"));
    }
    if !is_label(&image.board) {
        return Err(bounds("board", "1 to 64 of A-Z, a-z, 0-9, `.`, `_`, `-`"));
    }
    if !is_label(&image.image_version) {
        return Err(bounds(
            "image_version",
            "1 to 64 of A-Z, a-z, 0-9, `.`, `_`, `-`",
        ));
    }
    if image.rollback_index > INTEGER_MAX {
        return Err(bounds("rollback_index", "below 2^53"));
    }
    if !image.block_size.is_power_of_two()
        || !(BLOCK_BYTES_MIN..=BLOCK_BYTES_MAX).contains(&image.block_size)
    {
        return Err(bounds("block_size", "a power of two from 4096 to 1048576"));
    }
    if image.slots == Slots::Two && image.table != Table::Gpt {
        return Err(bounds("slots", "1 without a partition table"));
    }
    Ok(())
}

fn segment(index: usize, segment: &Segment, image: &ImageInfo) -> Result<(), ManifestError> {
    if !is_name(&segment.name) {
        return Err(segment_bounds(index, "name", "1 to 32 of a-z, 0-9, `-`"));
    }
    if segment.role != segment.kind.role() {
        return Err(segment_bounds(index, "role", "the role of its type"));
    }
    if !segment.offset.is_multiple_of(OFFSET_ALIGN_BYTES) {
        return Err(segment_bounds(index, "offset", "a multiple of 64"));
    }
    if segment.size == 0 {
        return Err(segment_bounds(index, "size", "at least 1 byte"));
    }
    if segment
        .offset
        .checked_add(segment.size)
        .is_none_or(|end| end > image.size)
    {
        return Err(segment_bounds(index, "size", "inside the image"));
    }
    let page_bytes = u64::from(image.block_size).saturating_mul(u64::from(PAGE_BLOCKS));
    if segment.size.div_ceil(page_bytes) > u64::from(PAGES_MAX) {
        return Err(segment_bounds(
            index,
            "size",
            "at most 4096 pages of 1024 blocks",
        ));
    }
    Ok(())
}

/// What lies where, and that nothing trails.
fn table(image: &ImageInfo, segments: &[Segment]) -> Result<(), ManifestError> {
    let mismatch = |rule| ManifestError::TableMismatch {
        table: image.table.as_str(),
        rule,
    };
    let tables = segments
        .iter()
        .filter(|segment| segment.role == Role::Table)
        .count();
    match image.table {
        Table::Gpt if tables != 2 => return Err(mismatch("has segments gpt and gpt-backup")),
        Table::None if tables != 0 => return Err(mismatch("has no segment of role table")),
        _ => {}
    }
    if segments.first().is_none_or(|segment| segment.offset != 0) {
        return Err(mismatch("starts with its first segment"));
    }
    if segments
        .last()
        .is_none_or(|segment| segment.end() != image.size)
    {
        return Err(mismatch("ends with its last segment"));
    }
    debug_assert!(
        image.table == Table::None
            || segments
                .first()
                .is_some_and(|segment| segment.kind == SegmentKind::Gpt),
        "the order of kinds puts gpt first"
    );
    Ok(())
}

/// Two slots need a record that says which one boots.
fn slots(image: &ImageInfo, segments: &[Segment]) -> Result<(), ManifestError> {
    let rule = |rule| Err(bounds("slots", rule));
    let record = segments
        .iter()
        .find(|segment| segment.kind == SegmentKind::BootRecord);
    match (image.slots, record) {
        (Slots::One, None) => Ok(()),
        (Slots::One, Some(_)) => rule("2 where there is a segment boot-record"),
        (Slots::Two, Some(found)) if found.size == SEGMENT_BYTES as u64 => Ok(()),
        (Slots::Two, _) => rule("1 without a segment boot-record of 12288 bytes"),
    }
}

fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn is_label(text: &str) -> bool {
    (1..=LABEL_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'))
}

fn bounds(member: &'static str, rule: &'static str) -> ManifestError {
    ManifestError::Bounds { member, rule }
}

fn segment_bounds(index: usize, member: &'static str, rule: &'static str) -> ManifestError {
    ManifestError::SegmentBounds {
        index,
        member,
        rule,
    }
}
