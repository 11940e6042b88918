//! Numbers that look random and follow from a seed.

/// A SplitMix64 generator (Steele, Lea, Flood 2014): the same numbers for the same seed, on any
/// machine, for ever.
#[derive(Clone, Debug)]
pub(super) struct Dice {
    state: u64,
}

impl Dice {
    /// Numbers that follow from `seed`, apart from those of other `purpose`s.
    pub(super) fn new(seed: u64, purpose: u64) -> Self {
        let mut dice = Self { state: seed };
        let start = dice.roll() ^ purpose.wrapping_mul(0xD134_2543_DE82_EF95);
        Self { state: start }
    }

    pub(super) const fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to below 1, in steps of 2^-53.
    #[expect(
        clippy::cast_precision_loss,
        reason = "53 bits are what an f64 holds exactly"
    )]
    pub(super) const fn share(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// From 0 up to below `end`; 0 when that is 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        // The error of the plain remainder is below 2^-32 for anything shorter than 4 GiB.
        self.roll()
            .checked_rem(end)
            .and_then(|value| usize::try_from(value).ok())
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference generator's first numbers for seed 1234567: if this fails the code is wrong.
    #[test]
    fn numbers_are_those_of_splitmix64() {
        let mut dice = Dice { state: 1_234_567 };
        assert_eq!(dice.roll(), 6_457_827_717_110_365_317);
        assert_eq!(dice.roll(), 3_203_168_211_198_807_973);
        assert_eq!(dice.roll(), 9_817_491_932_198_370_423);
    }

    #[test]
    fn purposes_do_not_share_numbers() {
        let [mut a, mut b] = [0, 1].map(|purpose| Dice::new(7, purpose));
        assert!((0..100).all(|_| a.roll() != b.roll()));
    }
}
