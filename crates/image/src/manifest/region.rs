use alloc::vec::Vec;
use core::ops::Range;

use super::Manifest;

/// A part of an image: a segment, or the zeros between two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Its bytes in the image. Never empty.
    pub range: Range<u64>,
    /// Index of the segment; nothing for a gap.
    pub segment: Option<usize>,
}

impl Region {
    /// Its length, in bytes.
    pub fn len(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }

    /// Whether it holds no byte; never so in [`Manifest::regions`].
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }
}

impl Manifest {
    /// The segments and the gaps around them: together every byte of the image, once.
    pub fn regions(&self) -> Vec<Region> {
        let mut regions = Vec::new();
        let mut at = 0;
        for (index, segment) in self.segments.iter().enumerate() {
            push(&mut regions, at..segment.offset, None);
            push(&mut regions, segment.offset..segment.end(), Some(index));
            at = segment.end();
        }
        push(&mut regions, at..self.image.size, None);
        regions
    }
}

fn push(regions: &mut Vec<Region>, range: Range<u64>, segment: Option<usize>) {
    if !range.is_empty() {
        regions.push(Region { range, segment });
    }
}
