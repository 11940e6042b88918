//! The size of the next frame, from the loss that was measured.

use crate::limits::{ADDRESS_UNIT_BYTES, DATA_OVERHEAD_BYTES, SLICE_BYTES_MAX, SLICE_BYTES_MIN};

/// Classes of sizes, by powers of two: up to 64 KiB.
const CLASSES: usize = 17;
/// What is left of what was seen, with each further loss of about that size. So the last 64
/// count: enough for a size within a tenth of the best, and few enough to follow a line that
/// changes.
const KEPT: f64 = 63.0 / 64.0;
/// What is left of what was seen at all sizes, with each further loss. What is known of the sizes
/// that are not in use lasts longer, because nothing else tells the causes apart.
const KEPT_OF_OTHERS: f64 = 255.0 / 256.0;
/// Taken for seen before anything was: so many losses in so many bytes. It makes for frames of
/// 704 bytes at first, and for frames that grow with the square root of what has arrived
/// unharmed.
const PRIOR_OF_BYTES: Seen = Seen {
    frames: 1.0,
    bytes: 1_125.0,
    lost: 0.05,
};
/// Taken for seen before anything was: where frames of one size do not tell the causes apart,
/// it is rather the bytes.
const PRIOR_OF_FRAMES: Seen = Seen {
    frames: 5.0,
    bytes: 0.0,
    lost: 0.03,
};
/// Steps of the estimate; each starts where the last one ended.
const STEPS: u32 = 3;
/// One frame of so many is twice as large while it is open which cause it is.
const PROBE_ONE_IN: u64 = 6;
/// And one of so many when it seems to be clear: a few losses in a row may have had their own
/// cause, and only larger frames show it.
const PROBE_ANYWAY_ONE_IN: u64 = 32;
/// It is open while the estimate is below so many of its standard deviations.
const PROBE_BELOW: f64 = 2.0;
/// Losses per frame below which it does not matter.
const PROBE_FROM: f64 = 0.01;
/// So many losses that were expected and did not come mean that the line is better now.
const SURPRISE: f64 = 6.0;

/// Frames of about one size.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Frames at risk; a lost one was so for half its time.
    frames: f64,
    /// Their bytes.
    bytes: f64,
    lost: f64,
}

impl Seen {
    fn fade(&mut self, kept: f64) {
        self.frames *= kept;
        self.bytes *= kept;
        self.lost *= kept;
    }

    fn add(&mut self, frames: f64, bytes: f64, lost: f64) {
        self.frames += frames;
        self.bytes += frames * bytes;
        self.lost += lost;
    }
}

/// Adapts the payload to the loss of the line.
///
/// A frame of `S` bytes is lost at a rate of `a + q S`: `a` for whatever takes whole frames (a
/// full buffer, a fault that counts frames), `q` per byte (noise). Only `q` speaks for smaller
/// frames: with `H` bytes around the data, the best `S` has `q S (S + H) = H`. Both are
/// estimated from frames of different sizes by weighted least squares, repeated with the weights
/// that follow (maximum likelihood for counts). A mistake mends itself: the sizes that
/// follow from it tell the two causes apart.
#[derive(Debug)]
pub(super) struct Sizing {
    bytes: usize,
    /// By class of size.
    seen: [Seen; CLASSES],
    /// Losses per frame, whatever its size.
    per_frame: f64,
    /// Losses per byte.
    per_byte: f64,
    /// Losses that should have come since the last one.
    expected: f64,
    /// Whether larger frames may be better for all that is known.
    is_open: bool,
    frames: u64,
}

impl Default for Sizing {
    fn default() -> Self {
        let mut sizing = Self {
            bytes: SLICE_BYTES_MIN,
            seen: [Seen::default(); CLASSES],
            per_frame: PRIOR_OF_FRAMES.lost / PRIOR_OF_FRAMES.frames,
            per_byte: PRIOR_OF_BYTES.lost / PRIOR_OF_BYTES.bytes,
            expected: 0.0,
            is_open: false,
            frames: 0,
        };
        sizing.choose();
        sizing
    }
}

impl Sizing {
    /// The payload to use now, in bytes: a multiple of the address unit.
    pub(super) fn bytes(&self) -> usize {
        // At irregular places, so that a loss with a fixed period does not always meet them.
        let mixed = (self.frames ^ (self.frames >> 3)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let place = (mixed ^ (mixed >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 32;
        let one_in = if self.is_open {
            PROBE_ONE_IN
        } else {
            PROBE_ANYWAY_ONE_IN
        };
        if self.per_frame > PROBE_FROM && place.is_multiple_of(one_in) {
            self.bytes.saturating_mul(2).min(SLICE_BYTES_MAX)
        } else {
            self.bytes
        }
    }

    /// A frame goes out.
    pub(super) const fn sent(&mut self) {
        self.frames = self.frames.wrapping_add(1);
    }

    /// A frame with this much data arrived.
    pub(super) fn arrived(&mut self, bytes: usize) {
        let wire = float(bytes.saturating_add(DATA_OVERHEAD_BYTES));
        self.class(bytes).add(1.0, wire, 0.0);
        self.expected += self.per_frame + self.per_byte * wire;
        if self.expected >= SURPRISE {
            self.expected = 0.0;
            self.seen.iter_mut().for_each(|seen| seen.lost *= 0.5);
        }
        self.estimate();
        self.choose();
    }

    /// A frame with this much data was lost.
    pub(super) fn lost(&mut self, bytes: usize) {
        self.expected = 0.0;
        self.seen
            .iter_mut()
            .for_each(|seen| seen.fade(KEPT_OF_OTHERS));
        let wire = float(bytes.saturating_add(DATA_OVERHEAD_BYTES));
        let class = self.class(bytes);
        class.fade(KEPT);
        class.add(0.5, wire, 1.0);
        self.estimate();
        self.choose();
    }

    fn class(&mut self, bytes: usize) -> &mut Seen {
        let class = usize::try_from(bytes.checked_ilog2().unwrap_or(0)).unwrap_or(0);
        let [first, rest @ ..] = &mut self.seen;
        class
            .checked_sub(1)
            .and_then(|at| rest.get_mut(at))
            .unwrap_or(first)
    }

    fn estimate(&mut self) {
        for _ in 0..STEPS {
            self.step();
        }
    }

    /// One step of weighted least squares for `lost / frames = per_frame + per_byte * size`.
    fn step(&mut self) {
        let (mut sum, mut by_size, mut by_square) = (0.0, 0.0, 0.0);
        let (mut losses, mut losses_by_size) = (0.0, 0.0);
        let (mut all_frames, mut all_bytes, mut all_lost) = (0.0, 0.0, 0.0);
        for seen in self.seen.iter().chain(&[PRIOR_OF_FRAMES]) {
            if seen.frames <= 0.0 {
                continue;
            }
            let size = seen.bytes / seen.frames;
            // The variance of a count is its mean.
            let weight = 1.0 / (self.per_frame + self.per_byte * size);
            sum += weight * seen.frames;
            by_size += weight * seen.bytes;
            by_square += weight * seen.bytes * size;
            losses += weight * seen.lost;
            losses_by_size += weight * seen.lost * size;
            all_frames += seen.frames;
            all_bytes += seen.bytes;
            all_lost += seen.lost;
        }
        // The prior speaks of bytes alone, whatever whole frames suffer.
        by_square += PRIOR_OF_BYTES.bytes / self.per_byte;
        losses_by_size += PRIOR_OF_BYTES.lost / self.per_byte;
        all_bytes += PRIOR_OF_BYTES.bytes;
        all_lost += PRIOR_OF_BYTES.lost;
        let determinant = sum * by_square - by_size * by_size;
        let per_frame = (losses * by_square - losses_by_size * by_size) / determinant;
        let per_byte = (losses_by_size * sum - losses * by_size) / determinant;
        let variance = sum / determinant;
        let bound = PROBE_BELOW * PROBE_BELOW * variance;
        self.is_open = self.per_byte * self.per_byte < bound;
        // Neither cause mends frames: where one comes out so, it is all the other's.
        let least_per_frame = 1e-4;
        let least_per_byte = PRIOR_OF_BYTES.lost / all_bytes;
        if !determinant.is_normal() || per_byte < least_per_byte {
            self.per_byte = least_per_byte;
            self.per_frame = (all_lost / all_frames).max(least_per_frame);
        } else if per_frame < least_per_frame {
            self.per_frame = least_per_frame;
            self.per_byte = (all_lost / all_bytes).max(least_per_byte);
        } else {
            self.per_frame = per_frame;
            self.per_byte = per_byte;
        }
    }

    /// Solves `q S (S + H) = H` for `S`.
    fn choose(&mut self) {
        let overhead = float(DATA_OVERHEAD_BYTES);
        let square = whole(overhead * overhead + 4.0 * overhead / self.per_byte);
        let best = square.isqrt().saturating_sub(whole(overhead)) / 2;
        let nearest = best.saturating_add(ADDRESS_UNIT_BYTES / 2) / ADDRESS_UNIT_BYTES;
        let bytes = nearest.saturating_mul(ADDRESS_UNIT_BYTES);
        let bytes = usize::try_from(bytes)
            .unwrap_or(SLICE_BYTES_MAX)
            .clamp(SLICE_BYTES_MIN, SLICE_BYTES_MAX);
        // Steps of a fifth. A size that moves a little with every loss would move in time with a
        // loss that has a fixed period, and seem to be its cause.
        if bytes.abs_diff(self.bytes) > self.bytes / 5 || bytes >= SLICE_BYTES_MAX {
            self.bytes = bytes;
        }
    }
}

fn float(bytes: usize) -> f64 {
    f64::from(u32::try_from(bytes).unwrap_or(u32::MAX))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates"
)]
const fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "the tests' own small numbers"
)]
mod tests {
    use super::*;

    /// Frames over a line that loses whole frames with one probability and bytes with another.
    fn run(sizing: &mut Sizing, per_frame: f64, per_byte: f64, bytes: usize) -> usize {
        let mut state = 7_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let (mut sent, mut arrived) = (0, 0);
        while sent < bytes {
            let size = sizing.bytes();
            sizing.sent();
            let wire = size + DATA_OVERHEAD_BYTES;
            sent += wire;
            if random() < (1.0 - per_frame) * (1.0 - per_byte).powi(i32::try_from(wire).unwrap()) {
                arrived += size;
                sizing.arrived(size);
            } else {
                sizing.lost(size);
            }
            assert!((SLICE_BYTES_MIN..=SLICE_BYTES_MAX).contains(&sizing.bytes()));
        }
        arrived
    }

    #[test]
    fn a_clean_line_gets_large_frames() {
        let mut sizing = Sizing::default();
        assert_eq!(sizing.bytes(), 704);
        run(&mut sizing, 0.0, 0.0, 1 << 20);
        assert!(sizing.bytes() > 6_000, "{}", sizing.bytes());
        run(&mut sizing, 0.0, 0.0, 64 << 20);
        assert_eq!(sizing.bytes(), SLICE_BYTES_MAX);
    }

    #[test]
    fn noise_gets_the_best_size_for_it() {
        for (per_byte, best) in [(8e-4, 162_f64), (8e-5, 536.0), (8e-6, 1_720.0)] {
            let mut sizing = Sizing::default();
            run(&mut sizing, 0.0, per_byte, 1 << 21);
            let off = sizing.bytes() as f64 / best;
            assert!((0.6..1.7).contains(&off), "{per_byte}: {}", sizing.bytes());
        }
    }

    #[test]
    fn loss_of_whole_frames_does_not_make_them_small() {
        for per_frame in [0.05, 0.2, 0.33] {
            let mut sizing = Sizing::default();
            let arrived = run(&mut sizing, per_frame, 0.0, 1 << 22);
            let share = arrived as f64 / f64::from(1 << 22);
            assert!(share > 0.95 * (1.0 - per_frame), "{per_frame}: {share}");
        }
    }

    #[test]
    fn a_line_that_gets_better_is_noticed() {
        let mut sizing = Sizing::default();
        run(&mut sizing, 0.0, 8e-4, 1 << 18);
        let before = sizing.bytes();
        run(&mut sizing, 0.0, 0.0, 1 << 18);
        assert!(sizing.bytes() > before * 4, "{before} {}", sizing.bytes());
    }
}
