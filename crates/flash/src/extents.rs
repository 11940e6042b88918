//! Runs of bytes in files that may have holes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, seek};

const CHUNK_BYTES: u64 = 64 * 1_024;

/// Bytes that can be searched: those of a file, or of an image in its partitions.
pub(crate) trait Bytes {
    /// As [`next_data`].
    fn next_data(&self, offset: u64) -> u64;

    /// As [`read_at`].
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl Bytes for File {
    fn next_data(&self, offset: u64) -> u64 {
        next_data(self, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        read_at(self, buffer, offset)
    }
}

/// The first byte at or behind `offset` that is not in a hole; the file's end if there is none.
/// Where the medium cannot tell, `offset` itself.
pub(crate) fn next_data(file: &File, offset: u64) -> u64 {
    match seek(file, SeekFrom::Data(offset)) {
        Ok(at) => at,
        Err(rustix::io::Errno::NXIO) => u64::MAX,
        Err(_) => offset,
    }
}

/// Reads as much as there is.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut had = 0;
    while let Some(rest) = buffer.get_mut(had..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(u64::try_from(had).unwrap_or(u64::MAX));
        match FileExt::read_at(file, rest, at) {
            Ok(0) => break,
            Ok(count) => had = had.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(had)
}

/// Hands over every chunk of a range that is not all zero, with its offset; stops when told.
pub(crate) fn each_nonzero(
    file: &File,
    offset: u64,
    bytes: u64,
    each: &mut dyn FnMut(u64, &[u8]) -> io::Result<bool>,
) -> io::Result<()> {
    let end = offset.saturating_add(bytes);
    let mut buffer = vec![0; usize::try_from(CHUNK_BYTES).unwrap_or(0)];
    let mut at = next_data(file, offset).max(offset);
    while at < end {
        let want = usize::try_from((end.saturating_sub(at)).min(CHUNK_BYTES)).unwrap_or(0);
        let Some(chunk) = buffer.get_mut(..want) else {
            break;
        };
        let had = read_at(file, chunk, at)?;
        let Some(chunk) = chunk.get(..had).filter(|chunk| !chunk.is_empty()) else {
            break;
        };
        if chunk.iter().any(|byte| *byte != 0) && !each(at, chunk)? {
            break;
        }
        at = next_data(
            file,
            at.saturating_add(u64::try_from(had).unwrap_or(u64::MAX)),
        );
    }
    Ok(())
}

/// Whether a range holds nothing but zeros; what is behind the end of the file is zero.
pub(crate) fn is_zero(file: &File, offset: u64, bytes: u64) -> io::Result<bool> {
    let mut zero = true;
    each_nonzero(file, offset, bytes, &mut |_, _| {
        zero = false;
        Ok(false)
    })?;
    Ok(zero)
}
