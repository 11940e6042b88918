//! A check sum of a block that can be moved on byte by byte, so that a block is found at any
//! offset: what a program that was rebuilt, or a file system that was packed again, moved.

/// Multiplier of the sum: odd, and without a pattern.
const MULTIPLIER: u64 = 0x5851_f42d_4c95_7f2d;

/// The sum of a block: the upper 32 bits of the sum over `(byte + 1) * M^(bytes behind it)`,
/// modulo 2^64 (`docs/provisioning/protocol.md`, "Sums").
#[must_use]
pub fn sum(block: &[u8]) -> u32 {
    upper(block.iter().fold(0, |sum, byte| push(sum, *byte)))
}

const fn upper(sum: u64) -> u32 {
    (sum >> 32) as u32
}

const fn weight(byte: u8) -> u64 {
    (byte as u64).wrapping_add(1)
}

const fn push(sum: u64, byte: u8) -> u64 {
    sum.wrapping_mul(MULTIPLIER).wrapping_add(weight(byte))
}

/// The sum of a window that moves over bytes.
#[cfg(feature = "std")]
#[derive(Debug)]
pub(crate) struct Rolling {
    sum: u64,
    /// What a byte that leaves the window takes away.
    leaving: Box<[u64; 256]>,
}

#[cfg(feature = "std")]
impl Rolling {
    /// Of a window of so many bytes, all of them still to come.
    pub(crate) fn new(window: u32) -> Self {
        let factor = (0..window).fold(1_u64, |factor, _| factor.wrapping_mul(MULTIPLIER));
        let mut leaving = Box::new([0; 256]);
        for (byte, taken) in (0..=u8::MAX).zip(leaving.iter_mut()) {
            *taken = weight(byte).wrapping_mul(factor);
        }
        Self { sum: 0, leaving }
    }

    /// A byte enters a window that is not full yet.
    pub(crate) const fn enter(&mut self, byte: u8) {
        self.sum = push(self.sum, byte);
    }

    /// A byte enters, and the oldest leaves.
    pub(crate) fn step(&mut self, enters: u8, leaves: u8) {
        let taken = self.leaving.get(usize::from(leaves)).copied();
        self.sum = push(self.sum, enters).wrapping_sub(taken.unwrap_or_default());
    }

    /// The sum of what is in the window.
    pub(crate) const fn sum(&self) -> u32 {
        upper(self.sum)
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_moves_has_the_sum_of_what_it_holds() {
        let bytes: Vec<u8> = (0..5_000_u32).map(|n| (n * n / 7) as u8).collect();
        let mut rolling = Rolling::new(300);
        bytes[..300].iter().for_each(|byte| rolling.enter(*byte));
        for at in 300..bytes.len() {
            assert_eq!(rolling.sum(), sum(&bytes[at - 300..at]));
            rolling.step(bytes[at], bytes[at - 300]);
        }
    }

    #[test]
    fn the_sum_is_the_one_that_is_written_down() {
        assert_eq!(sum(b""), 0);
        assert_eq!(sum(&[0]), 0);
        // 1 * M + 2 = 0x5851f42d4c957f2f
        assert_eq!(sum(&[0, 1]), 0x5851_f42d);
        assert_eq!(sum(b"nx"), 0x4b88_dfa4);
    }
}
