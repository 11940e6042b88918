//! The size of the next frame, from the loss that was measured.

use crate::limits::{ADDRESS_UNIT_BYTES, DATA_OVERHEAD_BYTES, SLICE_BYTES_MAX, SLICE_BYTES_MIN};

/// Data bytes of the first frames, before anything is known of the line.
const START_BYTES: usize = 1_024;
/// Clean frames in a row after which the size doubles.
const CLEAN_FRAMES_TO_GROW: u32 = 6;
/// Sizes below this are only chosen when loss is seen to grow with size.
const FLOOR_BYTES: usize = 256;
/// Share of a window that remains after each further frame, in 1/256.
const DECAY_256: u64 = 250;

/// Adapts the payload to the loss of the line.
///
/// For damage per byte with rate `q` and `H` bytes of overhead, the best payload is about
/// `sqrt(H / q)`; `q` is estimated from a decaying window over bytes sent and frames lost.
#[derive(Debug)]
pub(super) struct Sizing {
    bytes: usize,
    clean: u32,
    /// Bytes and losses in the window, times 256.
    window_bytes: u64,
    window_losses: u64,
}

impl Default for Sizing {
    fn default() -> Self {
        Self {
            bytes: START_BYTES,
            clean: 0,
            window_bytes: 0,
            window_losses: 0,
        }
    }
}

impl Sizing {
    /// The payload to use now, in bytes: a multiple of the address unit.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// A frame with this much data arrived.
    pub(super) fn arrived(&mut self, bytes: usize) {
        self.account(bytes, 0);
        self.clean = self.clean.saturating_add(1);
        if self.clean >= CLEAN_FRAMES_TO_GROW {
            self.clean = 0;
            let grown = self.bytes.saturating_mul(2);
            self.set(if self.window_losses > 256 {
                grown.min(self.best())
            } else {
                grown
            });
        }
    }

    /// A frame with this much data was lost.
    pub(super) fn lost(&mut self, bytes: usize) {
        self.account(bytes, 1);
        self.clean = 0;
        self.set(self.best().min(self.bytes));
    }

    fn account(&mut self, bytes: usize, losses: u64) {
        let scaled = u64::try_from(bytes).unwrap_or(0).saturating_mul(256);
        let decay = |sum: u64| sum.saturating_mul(DECAY_256) / 256;
        self.window_bytes = decay(self.window_bytes).saturating_add(scaled);
        self.window_losses = decay(self.window_losses).saturating_add(losses.saturating_mul(256));
    }

    fn best(&self) -> usize {
        let per_loss = self
            .window_bytes
            .checked_div(self.window_losses)
            .unwrap_or(u64::MAX);
        let overhead = u64::try_from(DATA_OVERHEAD_BYTES).unwrap_or(0);
        let best = per_loss.saturating_mul(overhead).isqrt();
        usize::try_from(best)
            .unwrap_or(SLICE_BYTES_MAX)
            .max(FLOOR_BYTES)
    }

    fn set(&mut self, bytes: usize) {
        let unit = usize::try_from(ADDRESS_UNIT_BYTES).unwrap_or(1);
        let bounded = bytes.clamp(SLICE_BYTES_MIN, SLICE_BYTES_MAX);
        self.bytes = bounded.saturating_sub(bounded.checked_rem(unit).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_line_gets_the_largest_frames() {
        let mut sizing = Sizing::default();
        (0..200).for_each(|_| sizing.arrived(sizing.bytes()));
        assert_eq!(sizing.bytes(), SLICE_BYTES_MAX);
    }

    #[test]
    fn heavy_loss_gets_small_frames_and_they_stay_in_bounds() {
        let mut sizing = Sizing::default();
        for round in 0..1_000 {
            if round % 3 == 0 {
                sizing.lost(sizing.bytes());
            } else {
                sizing.arrived(sizing.bytes());
            }
            assert!((SLICE_BYTES_MIN..=SLICE_BYTES_MAX).contains(&sizing.bytes()));
        }
        assert!(sizing.bytes() <= 512, "{}", sizing.bytes());
    }
}
