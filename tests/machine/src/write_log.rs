//! A reader of what QEMU's `blklogwrites` records: the format of Linux' dm-log-writes.
//!
//! The log begins with a sector that describes it. Each entry is a sector with place, length and
//! kind of one request, and after it the data, if it has some.

use std::{fs, path::Path};

use crate::error::{MachineError, Result};

const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;
const SECTOR: usize = 512;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;

/// One request that the disk has finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Bytes were written.
    Write {
        /// Where, in bytes.
        offset: usize,
        /// What.
        data: Vec<u8>,
        /// Whether it was durable at once.
        durable: bool,
    },
    /// All that had been written was made durable.
    Flush,
}

/// Reads a log.
///
/// # Errors
/// [`MachineError::Broken`] if it is none, [`MachineError::Io`].
pub(crate) fn read(path: &Path) -> Result<Vec<Entry>> {
    let log = fs::read(path).map_err(MachineError::io("read", path))?;
    parse(&log).ok_or_else(|| MachineError::broken("a log of writes", path.display().to_string()))
}

fn parse(log: &[u8]) -> Option<Vec<Entry>> {
    let sector_bytes = u32::from_le_bytes(log.get(24..28)?.try_into().ok()?) as usize;
    if number(log, 0)? != MAGIC || number(log, 8)? != VERSION || sector_bytes != SECTOR {
        return None;
    }
    let mut entries = Vec::new();
    let mut at = SECTOR;
    // To the end of the file: the number of entries in the first sector is not always up to date.
    while at.saturating_add(SECTOR) <= log.len() {
        let place = usize::try_from(number(log, at)?)
            .ok()?
            .checked_mul(SECTOR)?;
        let length = usize::try_from(number(log, at.checked_add(8)?)?).ok()?;
        let length = length.checked_mul(SECTOR)?;
        let flags = number(log, at.checked_add(16)?)?;
        at = at.checked_add(SECTOR)?;
        if flags & FLUSH != 0 {
            entries.push(Entry::Flush);
        }
        if flags & DISCARD != 0 || length == 0 {
            continue;
        }
        let end = at.checked_add(length)?;
        entries.push(Entry::Write {
            offset: place,
            data: log.get(at..end)?.to_vec(),
            durable: flags & FUA != 0,
        });
        at = end;
    }
    Some(entries)
}

fn number(log: &[u8], at: usize) -> Option<u64> {
    let bytes = log.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sector(numbers: &[u64]) -> Vec<u8> {
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        bytes.resize(SECTOR, 0);
        bytes
    }

    #[test]
    fn writes_and_flushes_come_in_order() {
        let mut log = sector(&[MAGIC, VERSION, 3, SECTOR as u64]);
        log.extend(sector(&[8, 1, 0, 0]));
        log.extend([7; SECTOR]);
        log.extend(sector(&[0, 0, FLUSH, 0]));
        log.extend(sector(&[9, 1, FUA, 0]));
        log.extend([8; SECTOR]);
        let write = |offset, byte, durable| Entry::Write {
            offset,
            data: vec![byte; SECTOR],
            durable,
        };
        assert_eq!(
            parse(&log).unwrap(),
            [write(4096, 7, false), Entry::Flush, write(4608, 8, true)]
        );
        log.truncate(log.len() - 1);
        assert_eq!(parse(&log), None, "the last write is not whole");
    }
}
