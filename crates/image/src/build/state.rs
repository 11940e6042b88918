//! The header of the state partition: what an empty state looks like.

/// First bytes of a state partition.
pub const STATE_MAGIC: &[u8; 8] = b"NXSTATE1";
/// Length of the header, in bytes; the rest of the partition is zero.
pub const STATE_HEADER_BYTES: usize = 4_096;

/// The header of an empty state of this length.
///
/// `magic[8] · version u32 = 1 · header bytes u32 · region bytes u64 · crc32 u32 · zeros`,
/// little-endian; the CRC-32 (IEEE) covers the fields in front of it.
pub(super) fn header(region_bytes: u64) -> Vec<u8> {
    let mut header = Vec::with_capacity(STATE_HEADER_BYTES);
    header.extend(STATE_MAGIC);
    header.extend(1_u32.to_le_bytes());
    header.extend(u32::try_from(STATE_HEADER_BYTES).unwrap_or(0).to_le_bytes());
    header.extend(region_bytes.to_le_bytes());
    let crc = crc32fast::hash(&header);
    header.extend(crc.to_le_bytes());
    header.resize(STATE_HEADER_BYTES, 0);
    header
}
