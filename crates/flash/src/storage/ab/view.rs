//! Where the bytes of an image lie on a disk.

use nx_image::boot_record::{Slot, partition_name};
use nx_image::manifest::{Manifest, Role};

use super::table::Partitions;

/// A run of an image's bytes and the place on the disk that is theirs.
#[derive(Clone, Copy, Debug)]
struct Span {
    /// Where the segment begins in the image, in bytes.
    image: u64,
    /// Where the next one does, or where the image ends.
    end: u64,
    /// Where it begins on the disk.
    disk: u64,
    /// Bytes from there on that are its own.
    room: u64,
    /// Belongs to one of the two slots.
    in_slot: bool,
}

/// Where the bytes of an image lie on a disk.
#[derive(Clone, Debug, Default)]
pub(super) struct View(Vec<Span>);

impl View {
    /// The image is the disk.
    pub(super) fn whole(manifest: &Manifest) -> Self {
        let bytes = manifest.image.size;
        Self(vec![Span {
            image: 0,
            end: bytes,
            disk: 0,
            room: bytes,
            in_slot: false,
        }])
    }

    /// Each segment begins where its partition does, in this slot or outside of both. What has no
    /// partition has no place.
    pub(super) fn of_slot(manifest: &Manifest, partitions: &Partitions, slot: Slot) -> Self {
        let starts = manifest.segments.iter().skip(1).map(|next| next.offset);
        let ends = starts.chain([manifest.image.size]);
        let spans = manifest.segments.iter().zip(ends);
        let span = |(segment, end): (&nx_image::Segment, u64)| {
            let name = partition_name(segment.kind, slot);
            let partition = match segment.role {
                // A table lies where it is in every image of this size, around the partitions.
                Role::Table if segment.end() <= partitions.disk_bytes => {
                    segment.offset..segment.end()
                }
                _ => partitions.find(&name)?.clone(),
            };
            Some(Span {
                image: segment.offset,
                end,
                disk: partition.start,
                room: partition.end.saturating_sub(partition.start),
                in_slot: segment.role == Role::Slot,
            })
        };
        Self(spans.filter_map(span).collect())
    }

    fn span(&self, offset: u64) -> Option<&Span> {
        let at = self.0.partition_point(|span| span.image <= offset);
        let span = self.0.get(at.checked_sub(1)?)?;
        (offset < span.end).then_some(span)
    }

    /// Where on the disk these bytes of one segment are, if they all have a place.
    pub(super) fn place(&self, offset: u64, bytes: u64) -> Option<u64> {
        let (at, have) = self.part(offset, bytes)?;
        (have == bytes).then_some(at)
    }

    /// Where on the disk these bytes behind one segment are, and how many of them have a place.
    pub(super) fn part(&self, offset: u64, bytes: u64) -> Option<(u64, u64)> {
        let span = self.span(offset)?;
        let inside = offset.checked_sub(span.image)?;
        let room = span.room.checked_sub(inside)?;
        let left = span.end.checked_sub(offset)?;
        let at = span.disk.checked_add(inside)?;
        Some((at, bytes.min(room).min(left)))
    }

    /// The first byte of the image at or behind `offset` that lies in a slot.
    pub(super) fn next_in_slot(&self, offset: u64) -> Option<u64> {
        let mut spans = self.0.iter().filter(|span| span.in_slot);
        let span = spans.find(|span| {
            let room = span.image.saturating_add(span.room);
            offset < span.end.min(room)
        })?;
        Some(offset.max(span.image))
    }
}
