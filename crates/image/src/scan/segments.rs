use super::lane::{Lane, per_segment};
use super::zeros::is_zero;
use crate::digest::{Digest, Hasher};
use crate::manifest::Region;

/// Digests of the segments, and whether everything around them is zero.
#[derive(Debug)]
pub(crate) struct Segments {
    hashers: Vec<Hasher>,
    stray: Option<u64>,
}

impl Segments {
    pub(crate) fn of(regions: &[Region]) -> Self {
        Self {
            hashers: per_segment(regions, Digest::hasher),
            stray: None,
        }
    }

    /// The digest of each segment, in order; and where the first byte lies that is outside of
    /// every segment and not zero.
    pub(crate) fn finish(self) -> (Vec<Digest>, Option<u64>) {
        let digests = self.hashers.into_iter().map(Hasher::finish).collect();
        (digests, self.stray)
    }
}

impl Lane for Segments {
    fn take(&mut self, region: &Region, at: u64, bytes: &[u8]) {
        match region.segment {
            Some(index) => {
                if let Some(hasher) = self.hashers.get_mut(index) {
                    hasher.update(bytes);
                }
            }
            None if self.stray.is_none() && !is_zero(bytes) => {
                let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(0);
                self.stray = Some(at.saturating_add(first as u64));
            }
            None => {}
        }
    }
}
