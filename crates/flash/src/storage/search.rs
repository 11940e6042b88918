//! A search of the installed image for blocks at any offset, by their rolling sums.

use std::collections::HashMap;
use std::io;

use crate::extents::Bytes;
use crate::rolling::Rolling;

/// Blocks that are looked for at once, of which each takes about 16 bytes.
const WANTED_MAX: usize = 1 << 17;
/// Places that are remembered for a block: some have its sum by chance.
const PLACES_MAX: usize = 8;
/// Bytes that one step looks through.
const STEP_BYTES: u64 = 256 * 1_024;
/// Bytes after which a search that found nothing ends: it is another image altogether.
const HOPELESS_BYTES: u64 = 64 * 1_048_576;
/// Bits of a sum that the filter looks at.
const FILTER_BITS: u32 = 20;

/// A search for blocks of one size.
///
/// Nothing here is believed: whoever copies a block from a place digests it first.
#[derive(Debug)]
pub(super) struct Search {
    window: u32,
    /// Sums and the offsets in the new image, by sum once it has begun.
    wanted: Vec<(u32, u64)>,
    filter: Vec<u64>,
    places: HashMap<u64, Vec<u64>>,
    /// Where the next window begins.
    at: u64,
}

impl Search {
    /// For blocks of so many bytes.
    pub(super) fn new(block_bytes: u32) -> Self {
        Self {
            window: block_bytes.max(1),
            wanted: Vec::new(),
            filter: vec![0; 1 << (FILTER_BITS - 6)],
            places: HashMap::new(),
            at: 0,
        }
    }

    /// Looks also for these blocks, which lie one behind the other from `offset` on.
    pub(super) fn learn(&mut self, offset: u64, sums: &[u8]) {
        let mut at = offset;
        for sum in sums.chunks_exact(4) {
            let sum = u32::from_le_bytes(sum.first_chunk().copied().unwrap_or_default());
            if self.wanted.len() < WANTED_MAX {
                self.wanted.push((sum, at));
                let (word, bit) = place_of(sum);
                if let Some(word) = self.filter.get_mut(word) {
                    *word |= bit;
                }
            }
            at = at.saturating_add(u64::from(self.window));
        }
        self.at = 0;
    }

    /// Looks through some more of the installed image; says whether there is more to look at.
    pub(super) fn step(&mut self, image: &dyn Bytes) -> io::Result<bool> {
        if self.at == 0 {
            self.wanted.sort_unstable();
        }
        // What lies in a hole is zero, and that is found by its digest.
        let start = image.next_data(self.at);
        if start == u64::MAX {
            return Ok(false);
        }
        self.at = self.at.max(start.saturating_sub(u64::from(self.window)));
        let window = usize::try_from(self.window).unwrap_or(usize::MAX);
        let step = usize::try_from(STEP_BYTES).unwrap_or(0);
        let mut bytes = vec![0; window.saturating_add(step)];
        let had = image.read_at(&mut bytes, self.at)?;
        bytes.truncate(had);
        self.look_through(&bytes, window);
        let is_end = had < window.saturating_add(step);
        self.at = self.at.saturating_add(STEP_BYTES);
        let hopeless = self.places.is_empty() && self.at >= HOPELESS_BYTES;
        Ok(!is_end && !hopeless)
    }

    fn look_through(&mut self, bytes: &[u8], window: usize) {
        let Some((first, rest)) = bytes.split_at_checked(window) else {
            return;
        };
        let mut rolling = Rolling::new(self.window);
        first.iter().for_each(|byte| rolling.enter(*byte));
        let mut at = self.at;
        self.look_up(rolling.sum(), at);
        for (enters, leaves) in rest.iter().zip(bytes) {
            rolling.step(*enters, *leaves);
            at = at.saturating_add(1);
            let sum = rolling.sum();
            let (word, bit) = place_of(sum);
            if self.filter.get(word).is_some_and(|word| word & bit != 0) {
                self.look_up(sum, at);
            }
        }
    }

    fn look_up(&mut self, sum: u32, at: u64) {
        let from = self.wanted.partition_point(|(wanted, _)| *wanted < sum);
        let wanted = self.wanted.iter().skip(from);
        for (_, block) in wanted.take_while(|(wanted, _)| *wanted == sum) {
            let places = self.places.entry(*block).or_default();
            if places.len() < PLACES_MAX {
                places.push(at);
            }
        }
    }

    /// Where the block at this offset of the new image may lie in the installed one.
    pub(super) fn places(&self, block: u64) -> &[u64] {
        self.places.get(&block).map_or(&[], Vec::as_slice)
    }
}

const fn place_of(sum: u32) -> (usize, u64) {
    let place = sum >> (u32::BITS - FILTER_BITS);
    ((place >> 6) as usize, 1 << (place & 63))
}
