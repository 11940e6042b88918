//! Ranges of a disk that should be zero.

use std::io;
use std::ops::Range;

use crate::storage::disk::Disk;

/// Bytes that are looked at at once.
const CHUNK_BYTES: u64 = 256 * 1_024;

/// The next piece of a range that is not all zero.
pub(super) fn next_nonzero(disk: &dyn Disk, range: Range<u64>) -> io::Result<Option<Range<u64>>> {
    let mut buffer = Vec::new();
    let zeros = vec![0; CHUNK_BYTES as usize];
    let mut at = disk.next_data(range.start).max(range.start);
    while at < range.end {
        let end = at.saturating_add(CHUNK_BYTES).min(range.end);
        let len = usize::try_from(end.saturating_sub(at)).unwrap_or(0);
        buffer.resize(len, 0);
        disk.read_at(&mut buffer, at)?;
        if zeros.get(..len) != Some(buffer.as_slice()) {
            return Ok(Some(at..end));
        }
        at = disk.next_data(end).max(end);
    }
    Ok(None)
}

/// Makes a range zero where it is not.
pub(super) fn zero(disk: &mut dyn Disk, range: Range<u64>) -> io::Result<()> {
    let mut left = range;
    while let Some(piece) = next_nonzero(disk, left.clone())? {
        let len = usize::try_from(piece.end.saturating_sub(piece.start)).unwrap_or(0);
        disk.write_at(&vec![0; len], piece.start)?;
        left.start = piece.end;
    }
    Ok(())
}
