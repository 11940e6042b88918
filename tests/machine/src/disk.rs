//! A reader of disks with two slots that shares no code with what wrote them.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    ops::Range,
    path::Path,
};

use crate::{
    error::{MachineError, Result},
    release::Release,
};

/// What a disk would boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boots {
    /// The old system, confirmed.
    Old,
    /// The new system on trial, and the old one if it does not come up.
    NewOnTrial,
    /// The new system, confirmed.
    New,
}

const SECTOR: u64 = 512;
/// Segments that a slot has.
const SLOT: [&str; 4] = ["kernel", "initrd", "rootfs", "pkgfs"];

/// Says what the disk would boot, after every byte of that has been compared with its release.
///
/// # Errors
/// [`MachineError::Broken`] if it would boot anything else, or nothing.
pub fn inspect(disk: &Path, old: &Release, new: &Release) -> Result<Boots> {
    let mut file = File::open(disk).map_err(MachineError::io("open", disk))?;
    let mut read = |from: u64, length: usize| {
        let mut bytes = vec![0; length];
        file.seek(SeekFrom::Start(from))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(MachineError::io("read", disk))?;
        Ok(bytes)
    };
    inspect_with(&mut read, &Contents::of(old)?, &Contents::of(new)?)
}

/// What a slot holds of a release, by segment.
#[derive(Debug)]
pub(crate) struct Contents(Vec<(&'static str, Vec<u8>)>);

impl Contents {
    pub(crate) fn of(release: &Release) -> Result<Self> {
        let read = |name| Ok((name, release.segment(name)?));
        SLOT.into_iter().map(read).collect::<Result<_>>().map(Self)
    }
}

/// The same, of a disk that is read by `read`: so many bytes from an offset.
pub(crate) fn inspect_with(
    read: &mut dyn FnMut(u64, usize) -> Result<Vec<u8>>,
    old: &Contents,
    new: &Contents,
) -> Result<Boots> {
    let broken = |what: &str| MachineError::broken("the disk boots", what.to_owned());
    let header = read(SECTOR, 512)?;
    let table = read(2 * SECTOR, 128 * 128)?;
    let partitions = partitions(&header, &table).ok_or_else(|| broken("no whole table"))?;
    let place = |name: &str| {
        let found = partitions.iter().find(|(found, _)| found == name);
        found
            .map(|(_, place)| place.clone())
            .ok_or_else(|| broken(&format!("no partition `{name}`")))
    };
    let record_at = place("boot-record")?.start;
    let copies = [4096, 8192].map(|offset| read(record_at.saturating_add(offset), 512));
    let copies = copies.into_iter().collect::<Result<Vec<_>>>()?;
    let record = copies
        .iter()
        .filter_map(|copy| Record::parse(copy))
        .max_by_key(|record| record.generation)
        .ok_or_else(|| broken("no whole boot record"))?;
    let mut holds = |slot: &str, contents: &Contents| {
        for (segment, want) in &contents.0 {
            let place = place(&format!("{segment}-{slot}"))?;
            if read(place.start, want.len())? != *want {
                return Ok(false);
            }
        }
        Ok::<_, MachineError>(true)
    };
    if record.trial {
        let other = record.other.as_deref().unwrap_or_default();
        if holds(&record.slot, new)? && holds(other, old)? {
            return Ok(Boots::NewOnTrial);
        }
    } else if holds(&record.slot, old)? {
        return Ok(Boots::Old);
    } else if holds(&record.slot, new)? {
        return Ok(Boots::New);
    }
    Err(broken(&format!(
        "{record:?}, and the slots hold something else"
    )))
}

/// Name and place in bytes of each partition, of a table whose checksums are right.
fn partitions(header: &[u8], table: &[u8]) -> Option<Vec<(String, Range<u64>)>> {
    let number = |at: usize| {
        let bytes = header.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let mut blank = header.get(..number(12)? as usize)?.to_vec();
    blank.get_mut(16..20)?.fill(0);
    let whole = header.starts_with(b"EFI PART")
        && crc32(&blank) == number(16)?
        && crc32(table) == number(88)?;
    let entry = |bytes: &[u8]| {
        let lba = |at: usize| {
            let bytes = bytes.get(at..at.checked_add(8)?)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        let units = bytes.get(56..)?.chunks_exact(2);
        let units = units.filter_map(|unit| Some(u16::from_le_bytes(unit.try_into().ok()?)));
        let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
        let end = lba(40)?.checked_add(1)?.checked_mul(SECTOR)?;
        Some((
            String::from_utf16(&units).ok()?,
            lba(32)?.checked_mul(SECTOR)?..end,
        ))
    };
    whole.then(|| table.chunks_exact(128).filter_map(entry).collect())
}

/// One copy of the boot record.
#[derive(Debug)]
struct Record {
    generation: u32,
    slot: String,
    other: Option<String>,
    trial: bool,
}

impl Record {
    /// `None` if it is not whole.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let value = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        };
        let number = |name| u32::from_str_radix(value(name)?, 16).ok();
        let covered = text.get(..text.find("nx_crc=")?)?;
        let generation = number("nx_gen")?;
        let whole =
            crc32(covered.as_bytes()) == number("nx_crc")? && number("nx_end")? == generation;
        let other = value("nx_other")?;
        whole.then(|| {
            Some(Self {
                generation,
                slot: value("nx_slot")?.to_owned(),
                other: (other != "-").then(|| other.to_owned()),
                trial: number("nx_trial")? != 0,
            })
        })?
    }
}

/// CRC-32 (IEEE), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1));
    !bytes
        .iter()
        .fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_that_everyone_means() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_record_with_another_byte_is_not_whole() {
        let covered = "# GRUB Environment Block\nnx_v=1\nnx_gen=00000007\nnx_slot=b\n\
                       nx_other=a\nnx_trial=00000007\n";
        let crc = crc32(covered.as_bytes());
        let text = format!("{covered}nx_crc={crc:08x}\nnx_end=00000007\n###");
        let record = Record::parse(text.as_bytes()).unwrap();
        assert_eq!((record.generation, record.slot.as_str()), (7, "b"));
        assert!(record.trial);
        assert_eq!(record.other.as_deref(), Some("a"));
        for (from, to) in [("slot=b", "slot=a"), ("end=00000007", "end=00000006")] {
            assert!(
                Record::parse(text.replace(from, to).as_bytes()).is_none(),
                "{to}"
            );
        }
    }
}
