//! The staged image, read back from the medium by several threads.

use std::fs::File;
use std::io;
use std::thread;

use nx_image::digest::Digest;
use rustix::fs::{Advice, fadvise};

use super::FileStore;
use crate::device::Area;
use crate::extents::{next_data, read_at};
use crate::storage::error::StorageError;
use crate::storage::target::Layout;

/// Threads at most: each has [`CHUNK_BYTES`] in memory.
const THREADS_MAX: usize = 4;
/// Blocks that are worth a thread.
const THREAD_BLOCKS: usize = 4;
/// Bytes read at once.
const CHUNK_BYTES: usize = 64 * 1_024;

impl FileStore {
    /// The digests of the blocks in a range of the staged image; fewer when the medium does not
    /// hold them all.
    pub(super) fn read_back(
        &mut self,
        offset: u64,
        bytes: u32,
        block_bytes: u32,
    ) -> Result<Vec<Digest>, StorageError> {
        let Some(file) = self.reading(Area::Staged)? else {
            return Ok(Vec::new());
        };
        let zeros = match self.target.layout {
            Layout::File => Some(self.digest_of_zeros(block_bytes)),
            Layout::InPlace => None,
        };
        let run = Run {
            file: &file,
            offset,
            end: offset.saturating_add(u64::from(bytes)),
            block_bytes,
            zeros,
        };
        run.read_ahead();
        run.digests()
            .map_err(StorageError::io("read", self.target.written()))
    }
}

/// Blocks that follow each other.
struct Run<'a> {
    file: &'a File,
    offset: u64,
    end: u64,
    block_bytes: u32,
    /// The digest of a block that is a hole, where there are holes.
    zeros: Option<Digest>,
}

impl Run<'_> {
    /// Has the system read this run and the next one while this one is digested. It may as well
    /// not.
    fn read_ahead(&self) {
        let bytes = self.end.saturating_sub(self.offset).saturating_mul(2);
        let _ = fadvise(
            self.file,
            self.offset,
            std::num::NonZeroU64::new(bytes),
            Advice::WillNeed,
        );
    }

    fn digests(&self) -> io::Result<Vec<Digest>> {
        let bytes = self.end.saturating_sub(self.offset);
        let blocks = bytes.div_ceil(u64::from(self.block_bytes).max(1));
        let mut digests = vec![None; usize::try_from(blocks).unwrap_or(0)];
        let threads = thread::available_parallelism().map_or(1, |count| count.get());
        let worth = digests.len() / THREAD_BLOCKS;
        let threads = threads.min(THREADS_MAX).min(worth).max(1);
        let share = digests.len().div_ceil(threads).max(1);
        thread::scope(|scope| {
            let mut shares = digests.chunks_mut(share).zip((0..).step_by(share));
            let own = shares.next();
            let others: Vec<_> = shares
                .map(|(share, first)| scope.spawn(move || self.read(share, first)))
                .collect();
            let read = own.map_or(Ok(()), |(share, first)| self.read(share, first));
            others.into_iter().fold(read, |read, other| {
                let lost = |_| Err(io::Error::other("a thread that digests ended early"));
                read.and(other.join().unwrap_or_else(lost))
            })
        })?;
        Ok(digests.into_iter().map_while(|digest| digest).collect())
    }

    /// Digests blocks from the one with the number `first` in this run on, as far as the medium
    /// goes.
    fn read(&self, digests: &mut [Option<Digest>], first: usize) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK_BYTES];
        let block_bytes = u64::from(self.block_bytes);
        let first = u64::try_from(first).unwrap_or(u64::MAX);
        let first = self
            .offset
            .saturating_add(first.saturating_mul(block_bytes));
        for (digest, at) in digests
            .iter_mut()
            .zip((first..self.end).step_by(usize::try_from(block_bytes).unwrap_or(1).max(1)))
        {
            let end = at.saturating_add(block_bytes).min(self.end);
            *digest = self.block(at, end, &mut buffer)?;
        }
        Ok(())
    }

    fn block(&self, mut at: u64, end: u64, buffer: &mut [u8]) -> io::Result<Option<Digest>> {
        let is_whole = end.saturating_sub(at) == u64::from(self.block_bytes);
        if let Some(zeros) = self.zeros.filter(|_| is_whole)
            && (end..u64::MAX).contains(&next_data(self.file, at))
        {
            return Ok(Some(zeros));
        }
        let mut hasher = Digest::hasher();
        while at < end {
            let left = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
            let want = left.min(buffer.len());
            let Some(chunk) = buffer.get_mut(..want) else {
                return Ok(None);
            };
            if read_at(self.file, chunk, at)? != want {
                return Ok(None);
            }
            hasher.update(chunk);
            at = at.saturating_add(u64::try_from(want).unwrap_or(u64::MAX));
        }
        Ok(Some(hasher.finish()))
    }
}
