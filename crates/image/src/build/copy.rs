//! An input on its way into the image: written once, its blocks digested meanwhile.
//!
//! Blocks are digested one by one, so this is done on every processor: each takes the next run
//! of blocks, reads it, digests it and writes it. What comes out does not depend on how many
//! they are.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::blocks::BlockFile;
use super::error::BuildError;
use super::input::Input;
use super::layout::Place;
use crate::digest::Digest;
use crate::limits::BLOCK_BYTES_MAX;
use crate::scan::{Holes, is_zero};

/// Bytes that a thread takes at once, or one block where that is more: few enough that they are
/// read, digested and written in its processor's cache.
const RUN_BYTES: u32 = 256 * 1024;
const _: () = assert!(RUN_BYTES <= BLOCK_BYTES_MAX && RUN_BYTES.is_power_of_two());
/// Threads, at most: each holds one run of bytes.
const THREADS_MAX: usize = 8;
/// Runs of zeros of this length, in bytes, are not written: they stay holes.
const HOLE_BYTES: usize = 64 * 1024;

/// Copies an input into its place, and its block digests into theirs. `each` gets the bytes done.
pub(super) fn copy(
    input: &Input,
    place: Place,
    block_size: u32,
    (image, path): (&File, &Path),
    (blocks, first): (BlockFile<'_>, u64),
    each: &mut dyn FnMut(u64) -> Result<(), BuildError>,
) -> Result<(), BuildError> {
    let work = Work {
        input,
        place,
        block_size: usize::try_from(block_size).unwrap_or(usize::MAX).max(1),
        // Both are powers of two: whole blocks.
        run_bytes: RUN_BYTES.max(block_size),
        image,
        path,
        blocks,
        first,
        next: AtomicU64::new(0),
        done: AtomicU64::new(0),
    };
    let runs = place.size.div_ceil(u64::from(work.run_bytes));
    let threads = thread::available_parallelism().map_or(1, |count| count.get());
    let threads = threads
        .min(THREADS_MAX)
        .min(usize::try_from(runs).unwrap_or(THREADS_MAX));
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads)
            .map(|_| scope.spawn(|| work.run(&mut |_| Ok(()))))
            .collect();
        let own = work.run(each);
        others.into_iter().fold(own, |done, other| {
            let other = other.join().unwrap_or_else(|_| {
                let source = io::Error::other("a thread that digests ended early");
                Err(BuildError::io("digest", &input.path)(source))
            });
            done.and(other)
        })
    })?;
    // The other threads may have done all of it.
    each(place.size)
}

/// Digest and CRC-32 of each block of some bytes, the last of which may be short.
pub(super) fn digest_blocks(bytes: &[u8], block_size: usize) -> Vec<(Digest, u32)> {
    bytes
        .chunks(block_size)
        .map(|block| (Digest::of(block), crc32fast::hash(block)))
        .collect()
}

/// What the threads share.
struct Work<'a> {
    input: &'a Input,
    place: Place,
    block_size: usize,
    run_bytes: u32,
    image: &'a File,
    path: &'a Path,
    blocks: BlockFile<'a>,
    /// Number of the first block.
    first: u64,
    /// The run that the next thread takes.
    next: AtomicU64,
    /// Bytes done.
    done: AtomicU64,
}

impl Work<'_> {
    /// Takes runs until there are none, or something fails.
    fn run(&self, each: &mut dyn FnMut(u64) -> Result<(), BuildError>) -> Result<(), BuildError> {
        let mut buffer = Vec::new();
        let mut holes = Holes::of(&self.input.file);
        let mut zeros = None;
        let run_bytes = u64::from(self.run_bytes);
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let start = number.saturating_mul(run_bytes);
            if start >= self.place.size {
                return Ok(());
            }
            let len = self.place.size.saturating_sub(start).min(run_bytes);
            let range = start..start.saturating_add(len);
            let blocks = if len == run_bytes && holes.cover(range.clone()) {
                Ok(zeros.get_or_insert_with(|| self.zeros()).clone())
            } else {
                self.run_of(range, &mut buffer)
            };
            let done = self.done.fetch_add(len, Ordering::Relaxed);
            let done = done.saturating_add(len);
            let run_blocks = run_bytes.checked_div(self.block_size as u64).unwrap_or(0);
            let first = number.saturating_mul(run_blocks).saturating_add(self.first);
            let taken = blocks
                .and_then(|blocks| self.blocks.put(first, &blocks))
                .and_then(|()| each(done));
            if taken.is_err() {
                // Nobody takes another one.
                self.next.store(self.place.size, Ordering::Relaxed);
                return taken;
            }
        }
    }

    /// The blocks of a run of zeros.
    fn zeros(&self) -> Vec<(Digest, u32)> {
        let run = vec![0; usize::try_from(self.run_bytes).unwrap_or(0)];
        digest_blocks(&run, self.block_size)
    }

    fn run_of(
        &self,
        range: Range<u64>,
        buffer: &mut Vec<u8>,
    ) -> Result<Vec<(Digest, u32)>, BuildError> {
        let len = range.end.saturating_sub(range.start);
        buffer.resize(usize::try_from(len).unwrap_or(usize::MAX), 0);
        self.input.read_exact_at(buffer, range.start)?;
        let at = self.place.offset.saturating_add(range.start);
        write_data(self.image, buffer, at).map_err(BuildError::io("write", self.path))?;
        Ok(digest_blocks(buffer, self.block_size))
    }
}

/// Writes what is not zero.
fn write_data(image: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut data = 0..0;
    let mut at = 0_usize;
    for piece in bytes.chunks(HOLE_BYTES) {
        let end = at.saturating_add(piece.len());
        if is_zero(piece) {
            write_piece(image, bytes, data, offset)?;
            data = end..end;
        } else {
            data.end = end;
        }
        at = end;
    }
    write_piece(image, bytes, data, offset)
}

fn write_piece(image: &File, bytes: &[u8], piece: Range<usize>, offset: u64) -> io::Result<()> {
    let at = offset.saturating_add(piece.start as u64);
    match bytes.get(piece).filter(|piece| !piece.is_empty()) {
        Some(piece) => image.write_all_at(piece, at),
        None => Ok(()),
    }
}
