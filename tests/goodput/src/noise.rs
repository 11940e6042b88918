//! What happens to bytes under way.

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Condition {
    /// Nothing.
    Clean,
    /// Each bit is flipped with this probability.
    BitErrors(f64),
    /// This share of the bytes is lost, in bursts of 64.
    Bursts(f64),
    /// Every how-manyth frame is lost.
    DropEvery(u64),
}

/// Bytes lost in one burst.
const BURST_BYTES: u64 = 64;

impl Condition {
    pub(crate) const fn drop_every(self) -> Option<u64> {
        match self {
            Self::DropEvery(every) => Some(every),
            _ => None,
        }
    }
}

/// Damages one direction, from a seed.
#[derive(Debug)]
pub(crate) struct Noise {
    condition: Condition,
    state: u64,
    /// Bits or bytes that pass before the next hit.
    spared: u64,
    /// Bytes of the burst under way that are still to be lost.
    losing: u64,
}

impl Noise {
    pub(crate) fn new(condition: Condition, seed: u64) -> Self {
        let mut noise = Self {
            condition,
            state: seed,
            spared: 0,
            losing: 0,
        };
        noise.spared = noise.draw();
        noise
    }

    /// What of these bytes comes out at the other end.
    pub(crate) fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        match self.condition {
            Condition::Clean | Condition::DropEvery(_) => bytes.to_vec(),
            Condition::BitErrors(_) => self.flip(bytes.to_vec()),
            Condition::Bursts(_) => self.lose(bytes),
        }
    }

    fn flip(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let bits = bytes.len() as u64 * 8;
        let mut at = self.spared;
        while at < bits {
            bytes[(at / 8) as usize] ^= 1 << (at % 8);
            at += 1 + self.draw();
        }
        self.spared = at - bits;
        bytes
    }

    fn lose(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut passed = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if self.losing > 0 {
                self.losing -= 1;
            } else if self.spared > 0 {
                self.spared -= 1;
                passed.push(*byte);
            } else {
                self.losing = BURST_BYTES - 1;
                self.spared = self.draw();
            }
        }
        passed
    }

    /// How many pass before the next hit: a geometric distribution.
    fn draw(&mut self) -> u64 {
        let rate = match self.condition {
            Condition::BitErrors(rate) => rate,
            // Of the bytes between bursts, so many begin one that the asked share is lost.
            Condition::Bursts(share) => share / (BURST_BYTES as f64 * (1.0 - share)),
            Condition::Clean | Condition::DropEvery(_) => return u64::MAX,
        };
        let uniform = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        ((1.0 - uniform).ln() / (1.0 - rate).ln()) as u64
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_flipped_as_often_as_asked() {
        let mut noise = Noise::new(Condition::BitErrors(1e-4), 1);
        let sent = vec![0_u8; 1 << 20];
        let flipped: u32 = sent
            .chunks(100)
            .flat_map(|chunk| noise.pass(chunk))
            .map(u8::count_ones)
            .sum();
        let expected = (sent.len() * 8) as f64 * 1e-4;
        assert!(
            (f64::from(flipped) / expected - 1.0).abs() < 0.15,
            "{flipped}"
        );
    }

    #[test]
    fn as_many_bytes_are_lost_as_asked() {
        let mut noise = Noise::new(Condition::Bursts(0.01), 1);
        let sent = vec![0_u8; 8 << 20];
        let arrived: usize = sent.chunks(100).map(|chunk| noise.pass(chunk).len()).sum();
        let lost = (sent.len() - arrived) as f64 / sent.len() as f64;
        assert!((lost / 0.01 - 1.0).abs() < 0.15, "{lost}");
    }
}
