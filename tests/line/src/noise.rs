//! Bit errors and bursts.

use crate::Tally;
use crate::dice::Dice;

/// What goes wrong with bytes on the way, one direction.
#[derive(Debug)]
pub(crate) struct Noise {
    bits: Dice,
    bursts: Dice,
    bit_error_rate: f64,
    /// Good bits before the next that is flipped.
    until_flip: u64,
    /// Chance that a burst begins with a byte, after another one has ended.
    burst_chance: f64,
    burst_bytes: u32,
    /// Good bytes before the next burst.
    until_burst: u64,
    burst_left: u32,
}

impl Noise {
    /// Noise that loses `burst_rate` of all bytes, `burst_bytes` at a time, for direction
    /// `number`.
    pub(crate) fn new(seed: u64, number: u64, burst_rate: f64, burst_bytes: u32) -> Self {
        let dice = |purpose: u64| Dice::new(seed, purpose.wrapping_mul(2) ^ number);
        let (bits, mut bursts) = (dice(1), dice(2));
        // Of length + mean gap, the length is lost: a mean gap of length × (1 - rate) / rate.
        let lost = burst_rate / f64::from(burst_bytes.max(1));
        let burst_chance = lost / (1.0 - burst_rate + lost);
        Self {
            bits,
            bit_error_rate: 0.0,
            until_flip: u64::MAX,
            burst_chance,
            burst_bytes,
            until_burst: bursts.misses(burst_chance),
            burst_left: 0,
            bursts,
        }
    }

    /// Flips that share of bits from now on.
    pub(crate) fn set_bit_error_rate(&mut self, rate: f64) {
        // The same rate again must not draw again: what happens depends on the bytes alone.
        if rate.to_bits() != self.bit_error_rate.to_bits() {
            self.bit_error_rate = rate;
            self.until_flip = self.bits.misses(rate);
        }
    }

    /// Flips bits of `bytes`, and takes out those that are lost.
    pub(crate) fn act(&mut self, bytes: &mut Vec<u8>, tally: &mut Tally) {
        bytes.retain_mut(|byte| {
            let mut at = 0_u64;
            while let Some(bit) = at.checked_add(self.until_flip)
                && bit < 8
            {
                *byte ^= 1_u8.wrapping_shl(u32::try_from(bit).unwrap_or_default());
                tally.bits_flipped = tally.bits_flipped.saturating_add(1);
                at = bit.saturating_add(1);
                self.until_flip = self.bits.misses(self.bit_error_rate);
            }
            if self.until_flip != u64::MAX {
                self.until_flip = self.until_flip.saturating_sub(8_u64.saturating_sub(at));
            }
            let kept = self.keeps_byte();
            tally.burst_lost = tally.burst_lost.saturating_add(u64::from(!kept));
            kept
        });
    }

    fn keeps_byte(&mut self) -> bool {
        if self.burst_left == 0 {
            match self.until_burst {
                u64::MAX => return true,
                0 => {
                    self.burst_left = self.burst_bytes;
                    self.until_burst = self.bursts.misses(self.burst_chance);
                }
                good => {
                    self.until_burst = good.saturating_sub(1);
                    return true;
                }
            }
        }
        self.burst_left = self.burst_left.saturating_sub(1);
        false
    }
}

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    reason = "a test stops at the first surprise"
)]
mod tests {
    use super::*;

    fn run(noise: &mut Noise, bytes: usize, piece: usize) -> (Vec<u8>, Tally) {
        let mut tally = Tally::default();
        let mut out = Vec::new();
        for start in (0..bytes).step_by(piece) {
            let mut part = vec![0; piece.min(bytes - start)];
            noise.act(&mut part, &mut tally);
            out.extend(part);
        }
        (out, tally)
    }

    #[test]
    fn bits_are_flipped_at_the_rate_asked_for_and_counted() {
        for rate in [1e-5, 1e-4, 1e-2, 0.3] {
            let mut noise = Noise::new(3, 0, 0.0, 64);
            noise.set_bit_error_rate(rate);
            let (out, tally) = run(&mut noise, 8_000_000, 4096);
            let flipped: u64 = out.iter().map(|b| u64::from(b.count_ones())).sum();
            assert_eq!(flipped, tally.bits_flipped);
            let got = flipped as f64 / (8.0 * out.len() as f64);
            // Six times the deviation of so many trials, about.
            let slack = 6.0 / (rate * 8.0 * out.len() as f64).sqrt();
            assert!((got / rate - 1.0).abs() < slack, "{rate}: {got}");
        }
    }

    #[test]
    fn bursts_lose_the_share_asked_for_in_their_length() {
        let mut noise = Noise::new(4, 1, 0.01, 64);
        let mut tally = Tally::default();
        let total = 10_000_000_u32;
        // Numbered, so that what is missing shows.
        let (mut lost, mut run) = (0_u32, 0_u32);
        for _ in 0..total {
            let mut byte = vec![0];
            noise.act(&mut byte, &mut tally);
            if byte.is_empty() {
                run += 1;
            } else if run > 0 {
                assert_eq!(run % 64, 0);
                lost += run;
                run = 0;
            }
        }
        assert_eq!(u64::from(lost + run), tally.burst_lost);
        let share = f64::from(lost) / f64::from(total);
        assert!((share / 0.01 - 1.0).abs() < 0.15, "{share}");
    }

    #[test]
    fn how_bytes_are_cut_into_pieces_changes_nothing() {
        let noise = || {
            let mut noise = Noise::new(5, 0, 0.01, 64);
            noise.set_bit_error_rate(1e-3);
            noise
        };
        assert_eq!(
            run(&mut noise(), 100_000, 4096),
            run(&mut noise(), 100_000, 7)
        );
    }

    #[test]
    fn directions_and_seeds_do_not_share_their_faults() {
        let run = |seed, number| {
            let mut noise = Noise::new(seed, number, 0.0, 64);
            noise.set_bit_error_rate(1e-3);
            run(&mut noise, 10_000, 100).0
        };
        assert_ne!(run(1, 0), run(1, 1));
        assert_ne!(run(1, 0), run(2, 0));
        assert_eq!(run(1, 0), run(1, 0));
    }
}
