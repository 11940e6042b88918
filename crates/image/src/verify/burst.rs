//! Finds a short run of changed bytes in a block from its checksum.
//!
//! CRC-32 is linear: the difference of two checksums depends only on where and how the bytes
//! differ. Undoing one zero byte after the other takes the difference back to the register that
//! the changed bytes would have had to leave; where that register is small enough to be made by
//! a few bytes, they may have been changed there.

/// Longest run of changed bytes that is looked for.
pub(super) const BURST_BYTES_MAX: usize = 3;

/// Places where a run of at most [`BURST_BYTES_MAX`] changed bytes turns a checksum of `want`
/// into `got`: offset in a block of `len` bytes, and what to XOR there (from its first byte on).
///
/// Chance alone gives one in 256 bytes or so: each has to be confirmed by a digest.
pub(super) fn candidates(len: usize, want: u32, got: u32) -> Vec<(usize, [u8; BURST_BYTES_MAX])> {
    let undo = undo_table();
    let mut register = want ^ got;
    let mut found = Vec::new();
    for offset in (0..len).rev() {
        register = undo_zero_byte(&undo, register);
        let [first, second, third, 0] = register.to_le_bytes() else {
            continue;
        };
        // The run begins with the byte at `offset`, and ends within the block.
        let pattern = [first, second, third];
        let fits = pattern
            .iter()
            .rposition(|byte| *byte != 0)
            .is_some_and(|last| offset.saturating_add(last) < len);
        if first != 0 && fits {
            found.push((offset, pattern));
        }
    }
    found
}

/// For each top byte of a register: the low byte of the one before, and the entry of the usual
/// table that leads from there to here.
type Undo = [(u8, u32); 256];

fn undo_table() -> Undo {
    let mut undo = [(0, 0); 256];
    for low in 0..=u8::MAX {
        let mut entry = u32::from(low);
        for _ in 0..8 {
            entry = match entry & 1 {
                0 => entry >> 1,
                _ => (entry >> 1) ^ POLYNOMIAL,
            };
        }
        let [.., top] = entry.to_le_bytes();
        if let Some(slot) = undo.get_mut(usize::from(top)) {
            *slot = (low, entry);
        }
    }
    undo
}

fn undo_zero_byte(undo: &Undo, register: u32) -> u32 {
    let [.., top] = register.to_le_bytes();
    let (low, entry) = undo.get(usize::from(top)).copied().unwrap_or_default();
    ((register ^ entry) << 8) | u32::from(low)
}

/// IEEE 802.3, bits reversed.
const POLYNOMIAL: u32 = 0xedb8_8320;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_short_run_wherever_it_lies() {
        let block: Vec<u8> = (0..700_u32).map(|i| (i * 31 % 251) as u8).collect();
        let want = crc32fast::hash(&block);
        for pattern in [
            [1, 0, 0],
            [0x80, 0, 0],
            [0xff, 0x01, 0],
            [7, 0, 9],
            [1, 2, 3],
        ] {
            let last = pattern.iter().rposition(|b| *b != 0).unwrap();
            for offset in 0..block.len() - last {
                let mut bad = block.clone();
                for (byte, change) in bad[offset..].iter_mut().zip(pattern) {
                    *byte ^= change;
                }
                let found = candidates(block.len(), want, crc32fast::hash(&bad));
                assert!(
                    found.contains(&(offset, pattern)),
                    "{pattern:?} at {offset}"
                );
                assert!(found.len() < 20, "{} candidates", found.len());
            }
        }
    }

    #[test]
    fn names_nothing_outside_of_the_block() {
        for got in 1..2_000 {
            for (offset, pattern) in candidates(5, 0, got) {
                let last = pattern.iter().rposition(|b| *b != 0).unwrap();
                assert!(offset + last < 5);
            }
        }
        assert!(candidates(0, 1, 2).is_empty());
        assert!(candidates(100, 7, 7).is_empty());
    }
}
