//! Digests of an image and of everything in it, from one reading of the file.
//!
//! SHA-256 is sequential, but the image, its segments and its blocks are three streams over
//! the same bytes: each has a thread of its own, and the reader hands them shared buffers.
//! Memory is a few buffers, whatever the size of the image.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use crate::digest::{Digest, Hasher};
use crate::manifest::Region;
use crate::tree::RootBuilder;

/// Bytes read at once.
pub(crate) const CHUNK_BYTES: usize = 1 << 20;
/// Buffers that may wait for one thread.
const WAITING_MAX: usize = 4;

/// What a reading found.
#[derive(Debug)]
pub(crate) struct Scanned {
    /// Of the whole file.
    pub(crate) whole: Digest,
    /// Of each segment, in order.
    pub(crate) segments: Vec<Digest>,
    /// Root of each segment's hash tree, in order.
    pub(crate) roots: Vec<Digest>,
    /// Where the first byte lies that is outside of every segment and not zero.
    pub(crate) stray: Option<u64>,
}

/// A run of an image's bytes.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) offset: u64,
    pub(crate) bytes: Arc<Vec<u8>>,
}

/// Reads the first `len` bytes of `file`, which `regions` tile. `each` gets the bytes done.
///
/// # Errors
/// What `file` or `each` says.
pub(crate) fn scan(
    file: &File,
    regions: &[Region],
    block_size: u32,
    len: u64,
    each: &mut dyn FnMut(u64) -> io::Result<()>,
) -> io::Result<Scanned> {
    if len <= CHUNK_BYTES as u64 {
        return scan_small(file, regions, block_size, len, each);
    }
    thread::scope(|scope| {
        let (to_whole, chunks) = lane();
        let whole = scope.spawn(move || whole(chunks));
        let (to_segments, chunks) = lane();
        let segments = scope.spawn(move || segments(chunks, regions));
        let (to_blocks, chunks) = lane();
        let blocks = scope.spawn(move || blocks(chunks, regions, block_size));
        let read = read(file, len, &[to_whole, to_segments, to_blocks], each);
        let whole = whole.join().map_err(|_| lost());
        let segments = segments.join().map_err(|_| lost());
        let blocks = blocks.join().map_err(|_| lost());
        read?;
        let (roots, stray) = blocks?;
        Ok(Scanned {
            whole: whole?,
            segments: segments?,
            roots,
            stray,
        })
    })
}

/// What fits into one buffer is not worth a thread.
fn scan_small(
    file: &File,
    regions: &[Region],
    block_size: u32,
    len: u64,
    each: &mut dyn FnMut(u64) -> io::Result<()>,
) -> io::Result<Scanned> {
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(CHUNK_BYTES)];
    file.read_exact_at(&mut bytes, 0)?;
    let chunk = Chunk {
        offset: 0,
        bytes: Arc::new(bytes),
    };
    each(len)?;
    let (roots, stray) = blocks([chunk.clone()], regions, block_size);
    Ok(Scanned {
        segments: segments([chunk.clone()], regions),
        whole: whole([chunk]),
        roots,
        stray,
    })
}

/// A way to a thread that digests.
pub(crate) fn lane() -> (SyncSender<Chunk>, Receiver<Chunk>) {
    sync_channel(WAITING_MAX)
}

/// A thread that digests is gone, which only a defect of ours makes it.
pub(crate) fn lost() -> io::Error {
    io::Error::other("a thread that digests ended early")
}

/// Buffers that are used again once no thread looks at them.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Vec<Arc<Vec<u8>>>);

impl Buffers {
    /// A buffer of `len` bytes with any content, which nobody else looks at.
    pub(crate) fn take(&mut self, len: usize) -> Arc<Vec<u8>> {
        let free = self
            .0
            .iter_mut()
            .position(|buffer| Arc::get_mut(buffer).is_some());
        let mut buffer = free.map(|at| self.0.swap_remove(at)).unwrap_or_default();
        if let Some(bytes) = Arc::get_mut(&mut buffer) {
            bytes.resize(len, 0);
        }
        buffer
    }

    /// Keeps a buffer, to be used again.
    pub(crate) fn keep(&mut self, buffer: Arc<Vec<u8>>) {
        self.0.push(buffer);
    }
}

/// Knows where a file has holes, which need not be read to know what they hold.
#[derive(Debug)]
pub(crate) struct Holes<'a> {
    file: &'a File,
    /// The hole that was found last; empty at first.
    hole: Range<u64>,
    /// Everything before it is data.
    data_end: u64,
    /// Made when there is a hole.
    zeros: Option<Arc<Vec<u8>>>,
}

impl<'a> Holes<'a> {
    pub(crate) fn of(file: &'a File) -> Self {
        Self {
            file,
            hole: 0..0,
            data_end: 0,
            zeros: None,
        }
    }

    /// [`CHUNK_BYTES`] zeros, if that is what lies at `offset` for sure. Offsets have to ascend.
    pub(crate) fn zeros_at(&mut self, offset: u64) -> Option<Arc<Vec<u8>>> {
        let end = offset.saturating_add(CHUNK_BYTES as u64);
        if offset >= self.hole.end && offset >= self.data_end {
            let data = match seek(self.file, SeekFrom::Data(offset)) {
                Ok(data) => data,
                // No data follows: the hole goes on to the end of the file.
                Err(Errno::NXIO) => self.file.metadata().map_or(offset, |found| found.len()),
                // What cannot be asked is data.
                Err(_) => offset,
            };
            self.hole = offset..data;
            self.data_end = seek(self.file, SeekFrom::Hole(data))
                .unwrap_or(end)
                .max(data);
        }
        if offset < self.hole.start || self.hole.end < end {
            return None;
        }
        let zeros = || Arc::new(vec![0; CHUNK_BYTES]);
        Some(Arc::clone(self.zeros.get_or_insert_with(zeros)))
    }
}

/// The blocks of one segment, from its bytes in any pieces.
#[derive(Debug)]
pub(crate) struct BlockHasher {
    block_size: usize,
    /// Digest of a block of zeros, once there was one: holes have many.
    zeros: Option<Digest>,
    block: Hasher,
    filled: usize,
    root: RootBuilder,
}

impl BlockHasher {
    pub(crate) fn new(block_size: u32) -> Self {
        Self {
            block_size: usize::try_from(block_size).unwrap_or(usize::MAX).max(1),
            zeros: None,
            block: Digest::hasher(),
            filled: 0,
            root: RootBuilder::new(),
        }
    }

    /// Takes the segment's next bytes; `each` gets the digests of the blocks that they end.
    pub(crate) fn update(&mut self, mut bytes: &[u8], each: &mut dyn FnMut(Digest)) {
        while !bytes.is_empty() {
            let room = self.block_size.saturating_sub(self.filled);
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            bytes = rest;
            if now.len() == self.block_size && is_zero(now) {
                let digest = *self.zeros.get_or_insert_with(|| Digest::of(now));
                self.push(digest, each);
                continue;
            }
            self.block.update(now);
            self.filled = self.filled.saturating_add(now.len());
            if self.filled == self.block_size {
                self.end_block(each);
            }
        }
    }

    /// The root; `each` gets the digest of the last block where it is short.
    pub(crate) fn finish(mut self, each: &mut dyn FnMut(Digest)) -> Digest {
        if self.filled > 0 {
            self.end_block(each);
        }
        self.root.finish().0
    }

    fn end_block(&mut self, each: &mut dyn FnMut(Digest)) {
        let digest = std::mem::take(&mut self.block).finish();
        self.filled = 0;
        self.push(digest, each);
    }

    fn push(&mut self, digest: Digest, each: &mut dyn FnMut(Digest)) {
        self.root.push(&digest);
        each(digest);
    }
}

/// Whether every byte is zero. Compares with zeros at hand, which the processor does in wide
/// steps in every build.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    bytes
        .chunks(ZEROS.len())
        .all(|piece| ZEROS.get(..piece.len()) == Some(piece))
}

fn read(
    file: &File,
    len: u64,
    lanes: &[SyncSender<Chunk>],
    each: &mut dyn FnMut(u64) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffers = Buffers::default();
    let mut holes = Holes::of(file);
    let mut offset = 0_u64;
    while offset < len {
        let left = len.saturating_sub(offset).min(CHUNK_BYTES as u64);
        let full = left == CHUNK_BYTES as u64;
        let bytes = match full.then(|| holes.zeros_at(offset)).flatten() {
            Some(zeros) => zeros,
            None => {
                let mut bytes = buffers.take(usize::try_from(left).unwrap_or(CHUNK_BYTES));
                let buffer = Arc::get_mut(&mut bytes).ok_or_else(lost)?;
                file.read_exact_at(buffer, offset)?;
                buffers.keep(Arc::clone(&bytes));
                bytes
            }
        };
        for lane in lanes {
            let bytes = Arc::clone(&bytes);
            lane.send(Chunk { offset, bytes }).map_err(|_| lost())?;
        }
        offset = offset.saturating_add(left);
        each(offset)?;
    }
    Ok(())
}

fn whole(chunks: impl IntoIterator<Item = Chunk>) -> Digest {
    let mut hasher = Digest::hasher();
    for chunk in chunks {
        hasher.update(&chunk.bytes);
    }
    hasher.finish()
}

fn segments(chunks: impl IntoIterator<Item = Chunk>, regions: &[Region]) -> Vec<Digest> {
    let mut hashers = per_segment(regions, Digest::hasher);
    for chunk in chunks {
        pieces(regions, &chunk, &mut |region, _, piece| {
            if let Some(hasher) = region.segment.and_then(|index| hashers.get_mut(index)) {
                hasher.update(piece);
            }
        });
    }
    hashers.into_iter().map(Hasher::finish).collect()
}

fn blocks(
    chunks: impl IntoIterator<Item = Chunk>,
    regions: &[Region],
    block_size: u32,
) -> (Vec<Digest>, Option<u64>) {
    let mut hashers = per_segment(regions, || BlockHasher::new(block_size));
    let mut stray = None;
    for chunk in chunks {
        pieces(
            regions,
            &chunk,
            &mut |region, at, piece| match region.segment {
                Some(index) => {
                    if let Some(hasher) = hashers.get_mut(index) {
                        hasher.update(piece, &mut |_| {});
                    }
                }
                None if stray.is_none() && !is_zero(piece) => {
                    let first = piece.iter().position(|byte| *byte != 0).unwrap_or(0);
                    stray = Some(at.saturating_add(first as u64));
                }
                None => {}
            },
        );
    }
    let roots = hashers
        .into_iter()
        .map(|hasher| hasher.finish(&mut |_| {}))
        .collect();
    (roots, stray)
}

fn per_segment<T>(regions: &[Region], new: impl FnMut() -> T) -> Vec<T> {
    let count = regions
        .iter()
        .filter(|region| region.segment.is_some())
        .count();
    std::iter::repeat_with(new).take(count).collect()
}

/// Cuts a chunk where regions end: region, offset in the image, bytes.
fn pieces(regions: &[Region], chunk: &Chunk, each: &mut dyn FnMut(&Region, u64, &[u8])) {
    let end = chunk.offset.saturating_add(chunk.bytes.len() as u64);
    let first = regions.partition_point(|region| region.range.end <= chunk.offset);
    for region in regions.iter().skip(first) {
        let (from, to) = (
            region.range.start.max(chunk.offset),
            region.range.end.min(end),
        );
        if from >= to {
            break;
        }
        let within = |at: u64| usize::try_from(at.saturating_sub(chunk.offset)).unwrap_or(0);
        let piece = chunk
            .bytes
            .get(within(from)..within(to))
            .unwrap_or_default();
        each(region, from, piece);
    }
}

#[cfg(test)]
mod tests;
