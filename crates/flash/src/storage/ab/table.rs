//! The partition table of a disk with two slots, read.
//!
//! While a disk is being provisioned its table is *sealed*: the eight bytes that make a sector
//! the header of a table are others, so that nothing takes the half-written disk for a disk.

use std::io;
use std::ops::Range;

use crate::storage::disk::Disk;

/// Bytes of a sector.
pub(super) const SECTOR_BYTES: u64 = 512;
/// Where the header is of the table that counts.
pub(super) const PRIMARY: u64 = SECTOR_BYTES;
/// What a header begins with.
pub(super) const OPEN: [u8; 8] = *b"EFI PART";
/// What it begins with while the disk is being provisioned.
pub(super) const SEALED: [u8; 8] = *b"NXSEALED";

/// Bytes of the header that its CRC covers, at least.
const HEADER_BYTES_MIN: u32 = 92;
/// Entries that a table may have, of [`ENTRY_BYTES`] each.
const ENTRIES_MAX: u32 = 128;
const ENTRY_BYTES: u32 = 128;

mod field {
    use std::ops::Range;

    pub(super) const HEADER_BYTES: Range<usize> = 12..16;
    pub(super) const HEADER_CRC: Range<usize> = 16..20;
    pub(super) const OWN_SECTOR: Range<usize> = 24..32;
    pub(super) const OTHER_SECTOR: Range<usize> = 32..40;
    pub(super) const ENTRIES_SECTOR: Range<usize> = 72..80;
    pub(super) const ENTRY_COUNT: Range<usize> = 80..84;
    pub(super) const ENTRY_BYTES: Range<usize> = 84..88;
    pub(super) const ENTRIES_CRC: Range<usize> = 88..92;
    pub(super) const TYPE: Range<usize> = 0..16;
    pub(super) const FIRST: Range<usize> = 32..40;
    pub(super) const LAST: Range<usize> = 40..48;
    pub(super) const NAME: Range<usize> = 56..128;
}

/// The partitions of a disk, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Partitions {
    /// Bytes of the disk.
    pub(super) disk_bytes: u64,
    list: Vec<(String, Range<u64>)>,
}

impl Partitions {
    /// Where the partition with this name is, in bytes.
    pub(super) fn find(&self, name: &str) -> Option<&Range<u64>> {
        let found = self.list.iter().find(|(known, _)| known == name);
        found.map(|(_, range)| range)
    }

    /// Room of the partition with this name, in bytes.
    pub(super) fn room(&self, name: &str) -> Option<u64> {
        let range = self.find(name)?;
        Some(range.end.saturating_sub(range.start))
    }
}

/// What a disk has for a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// None that is whole.
    Nothing,
    /// One whose provisioning is not over.
    Sealed(Partitions),
    /// One that counts.
    Open(Partitions),
}

/// Reads the table that counts.
pub(super) fn read<D: Disk + ?Sized>(disk: &D) -> io::Result<Found> {
    let mut header = [0; SECTOR_BYTES as usize];
    if disk.size() < PRIMARY.saturating_add(SECTOR_BYTES) {
        return Ok(Found::Nothing);
    }
    disk.read_at(&mut header, PRIMARY)?;
    let sealed = header.starts_with(&SEALED);
    if sealed {
        unseal(&mut header);
    }
    let Some(entries) = Entries::of(&header) else {
        return Ok(Found::Nothing);
    };
    let mut list = vec![0; entries.bytes];
    let end = entries
        .at
        .saturating_add(u64::try_from(list.len()).unwrap_or(u64::MAX));
    if end > disk.size() {
        return Ok(Found::Nothing);
    }
    disk.read_at(&mut list, entries.at)?;
    if crc32fast::hash(&list) != entries.crc {
        return Ok(Found::Nothing);
    }
    let size = disk.size();
    let partitions = list
        .chunks_exact(ENTRY_BYTES as usize)
        .filter_map(partition);
    let inside = |(_, range): &(String, Range<u64>)| !range.is_empty() && range.end <= size;
    let partitions = Partitions {
        disk_bytes: size,
        list: partitions.filter(inside).collect(),
    };
    Ok(if sealed {
        Found::Sealed(partitions)
    } else {
        Found::Open(partitions)
    })
}

/// Makes a sealed header one that counts.
pub(super) fn unseal(header: &mut [u8]) {
    if let Some(start) = header
        .first_chunk_mut::<8>()
        .filter(|start| **start == SEALED)
    {
        *start = OPEN;
    }
}

/// Where a header says that the one of the other copy is, in bytes.
pub(super) fn other_header(header: &[u8]) -> Option<u64> {
    u64_at(header, field::OTHER_SECTOR)?.checked_mul(SECTOR_BYTES)
}

/// Where a header says that its entries are.
struct Entries {
    at: u64,
    bytes: usize,
    crc: u32,
}

impl Entries {
    fn of(header: &[u8]) -> Option<Self> {
        if !header.starts_with(&OPEN) {
            return None;
        }
        let len = u32_at(header, field::HEADER_BYTES)?;
        if len < HEADER_BYTES_MIN {
            return None;
        }
        let mut covered = header.get(..usize::try_from(len).ok()?)?.to_vec();
        covered.get_mut(field::HEADER_CRC)?.fill(0);
        let is_whole = u32_at(header, field::HEADER_CRC)? == crc32fast::hash(&covered);
        let own = u64_at(header, field::OWN_SECTOR)?;
        let count = u32_at(header, field::ENTRY_COUNT)?;
        if !is_whole
            || own.checked_mul(SECTOR_BYTES)? != PRIMARY
            || u32_at(header, field::ENTRY_BYTES)? != ENTRY_BYTES
            || count > ENTRIES_MAX
        {
            return None;
        }
        Some(Self {
            at: u64_at(header, field::ENTRIES_SECTOR)?.checked_mul(SECTOR_BYTES)?,
            bytes: usize::try_from(count.checked_mul(ENTRY_BYTES)?).ok()?,
            crc: u32_at(header, field::ENTRIES_CRC)?,
        })
    }
}

fn partition(entry: &[u8]) -> Option<(String, Range<u64>)> {
    if entry.get(field::TYPE)?.iter().all(|byte| *byte == 0) {
        return None;
    }
    let first = u64_at(entry, field::FIRST)?;
    let last = u64_at(entry, field::LAST)?;
    let end = last.checked_add(1)?.checked_mul(SECTOR_BYTES)?;
    let name: Vec<u16> = entry
        .get(field::NAME)?
        .chunks_exact(2)
        .map(|unit| {
            unit.iter()
                .rev()
                .fold(0, |all, byte| (all << 8) | u16::from(*byte))
        })
        .take_while(|unit| *unit != 0)
        .collect();
    let name = String::from_utf16(&name).ok()?;
    Some((name, first.checked_mul(SECTOR_BYTES)?..end))
}

fn u32_at(bytes: &[u8], at: Range<usize>) -> Option<u32> {
    bytes.get(at)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: Range<usize>) -> Option<u64> {
    bytes.get(at)?.try_into().ok().map(u64::from_le_bytes)
}
