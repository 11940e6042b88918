//! The digests of a segment's blocks, made from its file on all processors.

use std::fs::File;
use std::io;
use std::path::Path;
use std::slice::ChunksMut;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use nx_image::digest::Digest;

use super::error::SourceError;
use crate::blocks::BlockMap;
use crate::extents::{next_data, read_at};

/// Threads at most: each has a block in memory.
const THREADS_MAX: usize = 4;
/// Bytes of blocks that a thread takes in one go, but at least one block.
const RUN_BYTES: u32 = 512 * 1_024;
/// Bytes that are worth a thread of their own.
const THREAD_BYTES: u64 = 4 * 1_048_576;

/// What is told of the progress, and says whether to go on.
pub(super) type Look<'a> = &'a mut dyn FnMut(u64) -> bool;

/// Reads the blocks of a segment and gives their digests. `look` is told how many bytes of the
/// image are read, those in front of the segment included.
pub(super) fn block_digests(
    path: &Path,
    file: &File,
    map: &BlockMap,
    segment: u8,
    look: Look<'_>,
) -> Result<Vec<Digest>, SourceError> {
    let blocks = map.blocks_of(segment);
    let mut digests = Vec::new();
    digests.resize(
        usize::try_from(blocks).unwrap_or(0),
        Digest::from_bytes([0; Digest::BYTES]),
    );
    let run = RUN_BYTES.checked_div(map.block_bytes()).unwrap_or(0).max(1);
    let work = Work {
        path,
        file,
        map,
        segment,
        run,
        runs: Mutex::new(
            digests
                .chunks_mut(usize::try_from(run).unwrap_or(1))
                .zip(0..),
        ),
        done: AtomicU64::new(map.in_segment(segment, 0).map_or(0, |first| first.offset)),
        is_over: AtomicBool::new(false),
    };
    let bytes = u64::from(blocks).saturating_mul(u64::from(map.block_bytes()));
    let threads = thread::available_parallelism().map_or(1, |count| count.get());
    let worth = usize::try_from(bytes / THREAD_BYTES).unwrap_or(THREADS_MAX);
    let threads = threads.min(THREADS_MAX).min(worth);
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads)
            .map(|_| scope.spawn(|| work.run(&mut |_| true)))
            .collect();
        let own = work.run(look);
        others.into_iter().fold(own, |done, other| {
            let lost = |_| Err(SourceError::io("digest", path)(io::Error::other(LOST)));
            done.and(other.join().unwrap_or_else(lost))
        })
    })?;
    Ok(digests)
}

const LOST: &str = "a thread that digests ended early";

fn stopped(path: &Path) -> SourceError {
    let path = path.to_owned();
    SourceError::Stopped { path }
}

/// What the threads share.
struct Work<'a> {
    path: &'a Path,
    file: &'a File,
    map: &'a BlockMap,
    segment: u8,
    /// Blocks in each run.
    run: u32,
    /// The runs that nobody has taken, and their numbers.
    runs: Mutex<std::iter::Zip<ChunksMut<'a, Digest>, std::ops::RangeFrom<u32>>>,
    /// Bytes done.
    done: AtomicU64,
    /// One of them has failed, or was told to stop.
    is_over: AtomicBool,
}

impl Work<'_> {
    /// Takes runs until there are none, or something fails.
    fn run(&self, look: Look<'_>) -> Result<(), SourceError> {
        let ended = self.take_runs(look);
        self.is_over.fetch_or(ended.is_err(), Ordering::Relaxed);
        ended
    }

    fn take_runs(&self, look: Look<'_>) -> Result<(), SourceError> {
        let mut buffer = Vec::new();
        let mut zeros = None;
        loop {
            let next = self
                .runs
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .next();
            let Some((digests, number)) = next else {
                return Ok(());
            };
            let first = number.saturating_mul(self.run);
            for (digest, index) in digests.iter_mut().zip(first..) {
                if self.is_over.load(Ordering::Relaxed) {
                    return Ok(());
                }
                let Some(block) = self.map.in_segment(self.segment, index) else {
                    return Ok(());
                };
                *digest = self.digest(block.offset, block.bytes, &mut buffer, &mut zeros)?;
                let bytes = u64::from(block.bytes);
                let before = self.done.fetch_add(bytes, Ordering::Relaxed);
                if !look(before.saturating_add(bytes)) {
                    return Err(stopped(self.path));
                }
            }
        }
    }

    /// `zeros` remembers the digest of a hole: all of one length have one.
    fn digest(
        &self,
        offset: u64,
        len: u32,
        buffer: &mut Vec<u8>,
        zeros: &mut Option<(u32, Digest)>,
    ) -> Result<Digest, SourceError> {
        let end = offset.saturating_add(u64::from(len));
        let hole = next_data(self.file, offset) >= end;
        if let Some((_, digest)) = zeros.filter(|(known, _)| hole && *known == len) {
            return Ok(digest);
        }
        buffer.resize(usize::try_from(len).unwrap_or(0), 0);
        let had = read_at(self.file, buffer, offset).map_err(SourceError::io("read", self.path))?;
        if had != buffer.len() {
            let path = self.path.to_owned();
            return Err(SourceError::Changed { path });
        }
        let digest = Digest::of(buffer);
        if hole {
            *zeros = Some((len, digest));
        }
        Ok(digest)
    }
}
