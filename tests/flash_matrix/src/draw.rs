//! Draws from a seed.

use std::ops::RangeInclusive;

/// A SplitMix64 generator (Steele, Lea, Flood 2014): the same draws for the same seed.
#[derive(Clone, Debug)]
pub struct Draw(u64);

impl Draw {
    /// From this seed.
    pub const fn of(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of a range, each as likely.
    pub fn within(&mut self, range: RangeInclusive<usize>) -> usize {
        let count = (range.end() - range.start()) as u64 + 1;
        range.start() + (self.roll() % count) as usize
    }

    /// One of a range, each order of magnitude about as likely.
    pub fn scaled(&mut self, range: RangeInclusive<usize>) -> usize {
        let (least, most) = range.into_inner();
        let doublings = (most / least).ilog2() as usize;
        let from = least << self.within(0..=doublings);
        self.within(from..=(2 * from - 1).clamp(from, most))
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.within(0..=choices.len() - 1)]
    }

    /// True with a probability of one in `count`.
    pub fn one_in(&mut self, count: usize) -> bool {
        self.within(0..=count - 1) == 0
    }

    /// A `--chunk`.
    pub fn chunk(&mut self) -> u32 {
        u32::try_from(self.scaled(64..=65_536)).unwrap()
    }
}
