//! Numbers that look random and follow from a seed.

/// A SplitMix64 generator (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub(crate) struct Dice {
    state: u64,
}

impl Dice {
    /// Numbers that follow from `seed`, apart from those of other `purpose`s.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        let mut dice = Self { state: seed };
        let start = dice.roll() ^ purpose.wrapping_mul(0xD134_2543_DE82_EF95);
        Self { state: start }
    }

    const fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// How many times something with `chance`, from 0 to 1, fails before it happens; the largest
    /// number when it never does.
    pub(crate) fn misses(&mut self, chance: f64) -> u64 {
        if chance <= 0.0 {
            return u64::MAX;
        }
        if chance >= 1.0 {
            return 0;
        }
        // Above 0, up to and with 1, in steps of 2^-53.
        let share = ((self.roll() >> 11) as f64 + 1.0) / 9_007_199_254_740_992.0;
        // The cast saturates.
        (share.ln() / (-chance).ln_1p()) as u64
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
    fn misses_have_the_mean_and_the_variance_of_their_chance() {
        for chance in [0.5, 0.01, 1e-5] {
            let mut dice = Dice::new(1, 2);
            let rounds = 100_000;
            let drawn: Vec<f64> = std::iter::repeat_with(|| dice.misses(chance) as f64)
                .take(rounds)
                .collect();
            let mean = drawn.iter().sum::<f64>() / rounds as f64;
            let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / rounds as f64;
            let (want, spread) = ((1.0 - chance) / chance, (1.0 - chance) / chance.powi(2));
            assert!((mean / want - 1.0).abs() < 0.02, "{chance}: {mean}");
            assert!(
                (variance / spread - 1.0).abs() < 0.04,
                "{chance}: {variance}"
            );
        }
    }

    #[test]
    fn what_has_no_chance_never_happens_and_what_is_certain_always_does() {
        let mut dice = Dice::new(1, 2);
        assert_eq!(dice.misses(0.0), u64::MAX);
        assert_eq!(dice.misses(1.0), 0);
    }
}
