//! Whether to have a block packed.

use crate::wire::Codec;

/// Blocks in a row that packing did not make shorter, after which it is tried less often.
const USELESS_IN_A_ROW: u32 = 4;
/// One block of so many is tried then, so that a segment that packs well is noticed.
const TRY_ONE_IN: u32 = 16;

/// Decides for every block whether packing it is worth the trouble.
///
/// Packing has a speed, and so has the line. Below [`RATE_MAX`](crate::limits::PACK_RATE_MAX) a
/// block that packs arrives sooner than it would have as it is, packing included; where blocks do
/// not pack, few are tried.
#[derive(Debug)]
pub(super) struct Packing {
    codec: Option<Codec>,
    rate_max: u64,
    /// Blocks that did not get shorter since one did.
    useless: u32,
    /// Blocks since the last that was tried.
    untried: u32,
}

impl Packing {
    /// With the best of these codecs, on lines of up to so many bytes per second.
    pub(super) fn new(codecs: u32, rate_max: u64) -> Self {
        Self {
            codec: Codec::best_of(codecs),
            rate_max,
            useless: 0,
            untried: 0,
        }
    }

    /// Whether the line, at this many bytes per second, is slow enough.
    pub(super) fn pays(&self, rate: u64) -> bool {
        self.codec.is_some() && rate <= self.rate_max
    }

    /// How to pack the next block.
    pub(super) fn next(&mut self, rate: u64) -> Option<Codec> {
        let codec = self.codec.filter(|_| self.pays(rate))?;
        self.untried = self.untried.saturating_add(1);
        if self.useless >= USELESS_IN_A_ROW && self.untried < TRY_ONE_IN {
            return None;
        }
        self.untried = 0;
        Some(codec)
    }

    /// What became of a block that was to be packed.
    pub(super) const fn tried(&mut self, shorter: bool) {
        self.useless = if shorter {
            0
        } else {
            self.useless.saturating_add(1)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried_of(packing: &mut Packing, blocks: u32, shorter: bool) -> u32 {
        let mut is_tried = || {
            let codec = packing.next(100);
            codec.map(|_| packing.tried(shorter)).is_some()
        };
        let tried = (0..blocks).filter(|_| is_tried()).count();
        u32::try_from(tried).unwrap()
    }

    #[test]
    fn what_does_not_pack_is_tried_one_time_in_sixteen_until_something_does() {
        let mut packing = Packing::new(Codec::bits(), 100);
        assert_eq!(tried_of(&mut packing, 8, true), 8);
        assert_eq!(tried_of(&mut packing, 164, false), 4 + 10);
        assert_eq!(tried_of(&mut packing, 16, true), 1);
        assert_eq!(tried_of(&mut packing, 16, true), 16);
    }

    #[test]
    fn a_fast_line_and_a_device_without_a_codec_get_blocks_as_they_are() {
        assert_eq!(Packing::new(Codec::bits(), 100).next(101), None);
        assert!(Packing::new(Codec::bits(), 100).next(100).is_some());
        assert_eq!(Packing::new(0, 100).next(1), None);
        assert_eq!(Packing::new(1 << 30, 100).next(1), None);
    }
}
