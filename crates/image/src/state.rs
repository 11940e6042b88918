//! The header of the state partition: what the `state` segment holds.
//!
//! The rest of the partition is zeros until a device formats it. Layout, little-endian:
//!
//! | bytes | field |
//! |---|---|
//! | 0..8 | magic, `NXSTATE1` |
//! | 8..12 | version, 1 |
//! | 12..16 | length of this header, 4096 |
//! | 16..24 | length of the state partition in bytes, this header included |
//! | 24..4092 | zero |
//! | 4092..4096 | CRC-32 (IEEE) over bytes 0..4092 |

use alloc::{vec, vec::Vec};
use core::ops::Range;

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateHeader {
    /// Length of the state partition, in bytes, the header included: at least
    /// [`StateHeader::BYTES`].
    pub partition_bytes: u64,
}

impl StateHeader {
    /// Length of the header, in bytes.
    pub const BYTES: usize = 4096;
    /// The first bytes of every header.
    pub const MAGIC: [u8; 8] = *b"NXSTATE1";
    /// The only version there is.
    pub const VERSION: u32 = 1;

    /// Reads a header.
    ///
    /// # Errors
    /// Which part of it is not as specified. No input makes this panic.
    pub fn parse(bytes: &[u8]) -> Result<Self, StateHeaderError> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().map_err(|_| StateHeaderError::Length)?;
        if take(bytes, MAGIC) != Some(Self::MAGIC) {
            return Err(StateHeaderError::Magic);
        }
        let crc = take(bytes, CRC).map(u32::from_le_bytes);
        if crc != Some(crc32fast::hash(bytes.get(..CRC.start).unwrap_or_default())) {
            return Err(StateHeaderError::Crc);
        }
        if take(bytes, VERSION).map(u32::from_le_bytes) != Some(Self::VERSION) {
            return Err(StateHeaderError::Version);
        }
        let partition_bytes = take(bytes, PARTITION_BYTES)
            .map(u64::from_le_bytes)
            .unwrap_or(0);
        let header = Self { partition_bytes };
        // Length and reserved bytes follow from the rest.
        if partition_bytes < Self::BYTES as u64 || header.encode() != bytes {
            return Err(StateHeaderError::Contents);
        }
        Ok(header)
    }

    /// The bytes of the header; [`Self::BYTES`] of them.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; Self::BYTES];
        put(&mut bytes, MAGIC, &Self::MAGIC);
        put(&mut bytes, VERSION, &Self::VERSION.to_le_bytes());
        put(
            &mut bytes,
            HEADER_BYTES,
            &(Self::BYTES as u32).to_le_bytes(),
        );
        put(
            &mut bytes,
            PARTITION_BYTES,
            &self.partition_bytes.to_le_bytes(),
        );
        let crc = crc32fast::hash(bytes.get(..CRC.start).unwrap_or_default());
        put(&mut bytes, CRC, &crc.to_le_bytes());
        bytes
    }
}

/// Why bytes are no header of a state partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateHeaderError {
    /// Not 4096 bytes.
    #[error("state header is not 4096 bytes long")]
    Length,
    /// Something else lies there.
    #[error("state header does not start with its magic")]
    Magic,
    /// Damaged.
    #[error("state header does not match its checksum")]
    Crc,
    /// Of a version that this program does not know.
    #[error("state header is not of version 1")]
    Version,
    /// Undamaged and wrong.
    #[error("state header holds values that no header has")]
    Contents,
}

const MAGIC: Range<usize> = 0..8;
const VERSION: Range<usize> = 8..12;
const HEADER_BYTES: Range<usize> = 12..16;
const PARTITION_BYTES: Range<usize> = 16..24;
const CRC: Range<usize> = 4092..4096;

fn take<const N: usize>(bytes: &[u8], range: Range<usize>) -> Option<[u8; N]> {
    bytes.get(range)?.try_into().ok()
}

fn put(bytes: &mut [u8], range: Range<usize>, value: &[u8]) {
    if let Some(field) = bytes.get_mut(range) {
        field.copy_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: StateHeader = StateHeader {
        partition_bytes: 16 << 20,
    };

    #[test]
    fn bytes_are_frozen() {
        let bytes = HEADER.encode();
        assert_eq!(
            bytes[..24],
            *b"NXSTATE1\x01\0\0\0\0\x10\0\0\0\0\0\x01\0\0\0\0"
        );
        assert_eq!(bytes[24..4092], [0; 4068]);
        assert_eq!(bytes[4092..], crc32fast::hash(&bytes[..4092]).to_le_bytes());
        assert_eq!(StateHeader::parse(&bytes), Ok(HEADER));
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        let good = HEADER.encode();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            assert!(StateHeader::parse(&bad).is_err(), "byte {at}");
        }
        assert_eq!(
            StateHeader::parse(&good[1..]),
            Err(StateHeaderError::Length)
        );
    }

    #[test]
    fn a_right_checksum_does_not_excuse_wrong_values() {
        for (at, want) in [
            (8, StateHeaderError::Version),
            (12, StateHeaderError::Contents),
            (4_000, StateHeaderError::Contents),
            (100, StateHeaderError::Contents),
        ] {
            let mut bytes = HEADER.encode();
            bytes[at] ^= 1;
            let crc = crc32fast::hash(&bytes[..4092]).to_le_bytes();
            bytes[4092..].copy_from_slice(&crc);
            assert_eq!(StateHeader::parse(&bytes), Err(want), "byte {at}");
        }
        let small = StateHeader {
            partition_bytes: 4_095,
        };
        assert_eq!(
            StateHeader::parse(&small.encode()),
            Err(StateHeaderError::Contents)
        );
    }
}
