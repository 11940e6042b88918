use crate::manifest::Region;

/// Takes all bytes of an image in order, on a thread of its own.
pub(crate) trait Lane: Send {
    /// The next bytes; they lie in one region, at this offset in the image.
    fn take(&mut self, region: &Region, at: u64, bytes: &[u8]);
}

/// Two lanes on one thread.
impl<A: Lane, B: Lane> Lane for (A, B) {
    fn take(&mut self, region: &Region, at: u64, bytes: &[u8]) {
        self.0.take(region, at, bytes);
        self.1.take(region, at, bytes);
    }
}

/// Gives a lane the bytes at `offset` in the image, cut where regions end.
pub(super) fn cut(regions: &[Region], offset: u64, bytes: &[u8], lane: &mut dyn Lane) {
    let end = offset.saturating_add(bytes.len() as u64);
    let first = regions.partition_point(|region| region.range.end <= offset);
    for region in regions.iter().skip(first) {
        let (from, to) = (region.range.start.max(offset), region.range.end.min(end));
        if from >= to {
            break;
        }
        let within = |at: u64| usize::try_from(at.saturating_sub(offset)).unwrap_or(0);
        let piece = bytes.get(within(from)..within(to)).unwrap_or_default();
        lane.take(region, from, piece);
    }
}

/// One of something for each segment.
pub(super) fn per_segment<T>(regions: &[Region], new: impl FnMut() -> T) -> Vec<T> {
    let count = regions
        .iter()
        .filter(|region| region.segment.is_some())
        .count();
    std::iter::repeat_with(new).take(count).collect()
}
