//! The contents of the files in a file system, compared with those of the tree.
//!
//! The library's own reader keeps every group of small files that it ever decoded, and works on
//! one thread. This one keeps one group for each thread, and shares the blocks between them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use backhand::{DataSize, FilesystemReader, Fragment, SquashfsFileReader};
use zstd::bulk::Decompressor;

use super::WHAT;
use crate::build::error::BuildError;
use crate::build::tree::Tree;
use crate::limits::BLOCK_BYTES_MAX;

/// Bytes of content that a thread takes at once, if files allow it.
const BATCH_BYTES: u64 = 4 * 1024 * 1024;
/// Threads, at most.
const THREADS_MAX: usize = 16;
/// A file without a share in a group of small files has this for its number.
const NO_GROUP: usize = u32::MAX as usize;

/// Files that have to hold what the tree's hold.
pub(super) struct Contents<'a> {
    tree: &'a Tree,
    image: &'a File,
    groups: &'a [Fragment],
    block_size: usize,
    parts: Vec<Part<'a>>,
    /// Where batches of parts end.
    ends: Vec<usize>,
    batch_bytes: u64,
}

/// Some blocks of a file.
#[derive(Clone, Copy)]
struct Part<'a> {
    /// Index of the entry in the tree.
    entry: usize,
    file: &'a SquashfsFileReader,
    /// Number of the first block, and where it lies in the image.
    first: usize,
    start: u64,
    count: usize,
    /// Whether what is not in a block comes after these.
    last: bool,
}

impl<'a> Contents<'a> {
    pub(super) fn of(
        tree: &'a Tree,
        reader: &'a FilesystemReader<'_>,
        image: &'a File,
    ) -> Result<Self, BuildError> {
        // What the format allows; the buffers are that long.
        let block_size = reader.block_size;
        if !block_size.is_power_of_two() || block_size > BLOCK_BYTES_MAX {
            return Err(BuildError::encode(WHAT)("impossible block size"));
        }
        Ok(Self {
            tree,
            image,
            groups: reader.fragments.as_deref().unwrap_or_default(),
            block_size: usize::try_from(block_size).unwrap_or(0),
            parts: Vec::new(),
            ends: Vec::new(),
            batch_bytes: 0,
        })
    }

    /// Takes the file of an entry of the tree.
    pub(super) fn push(&mut self, entry: usize, file: &'a SquashfsFileReader) {
        let batch_blocks = BATCH_BYTES.checked_div(self.block_size as u64).unwrap_or(0);
        let batch_blocks = usize::try_from(batch_blocks).unwrap_or(usize::MAX).max(1);
        let mut start = file.blocks_start();
        let mut first = 0_usize;
        let sizes = file.block_sizes();
        loop {
            let rest = sizes.get(first..).unwrap_or_default();
            let count = rest.len().min(batch_blocks);
            let last = count == rest.len();
            self.parts.push(Part {
                entry,
                file,
                first,
                start,
                count,
                last,
            });
            let blocks = (count as u64).saturating_mul(self.block_size as u64);
            let small = if count == 0 {
                file.file_len() as u64
            } else {
                0
            };
            self.batch_bytes = self.batch_bytes.saturating_add(blocks.max(small));
            if self.batch_bytes >= BATCH_BYTES {
                self.ends.push(self.parts.len());
                self.batch_bytes = 0;
            }
            if last {
                return;
            }
            for size in rest.iter().take(count) {
                start = start.saturating_add(u64::from(size.size()));
            }
            first = first.saturating_add(count);
        }
    }

    /// Compares all of them.
    pub(super) fn compare(mut self) -> Result<(), BuildError> {
        self.ends.push(self.parts.len());
        let next = AtomicUsize::new(0);
        let threads = thread::available_parallelism().map_or(1, |count| count.get());
        let threads = threads.min(THREADS_MAX).min(self.ends.len());
        thread::scope(|scope| {
            let others: Vec<_> = (1..threads)
                .map(|_| scope.spawn(|| self.work(&next)))
                .collect();
            let own = self.work(&next);
            others.into_iter().fold(own, |found, other| {
                let other = other
                    .join()
                    .unwrap_or_else(|_| Err(BuildError::encode(WHAT)("a thread ended early")));
                found.and(other)
            })
        })
    }

    /// Takes batches until there are none, or something differs.
    fn work(&self, next: &AtomicUsize) -> Result<(), BuildError> {
        let mut decoder = Decoder::new(self)?;
        loop {
            let batch = next.fetch_add(1, Ordering::Relaxed);
            let Some(end) = self.ends.get(batch) else {
                return Ok(());
            };
            let before = batch.checked_sub(1).and_then(|last| self.ends.get(last));
            let parts = self.parts.get(*before.unwrap_or(&0)..*end);
            for part in parts.unwrap_or_default() {
                if let Err(error) = self.part(part, &mut decoder) {
                    next.store(self.ends.len(), Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    }

    fn part(&self, part: &Part<'_>, decoder: &mut Decoder<'_>) -> Result<(), BuildError> {
        self.tree.stop.check()?;
        let Some(entry) = self.tree.entries.get(part.entry) else {
            return Ok(());
        };
        let named = |op, error| BuildError::io(op, &self.tree.root.join(&entry.path))(error);
        let source = self
            .tree
            .open(part.entry)
            .map_err(|error| named("open", error))?;
        match decoder.holds(part, &source) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.tree.differs(&entry.path, "has another content")),
            Err(error) => Err(named("read back", error)),
        }
    }
}

/// Decodes blocks on one thread.
struct Decoder<'a> {
    image: &'a File,
    groups: &'a [Fragment],
    block_size: usize,
    zstd: Decompressor<'static>,
    stored: Vec<u8>,
    block: Vec<u8>,
    wanted: Vec<u8>,
    /// Number and content of the group of small files that was decoded last.
    group: Option<(usize, Vec<u8>)>,
}

impl<'a> Decoder<'a> {
    fn new(contents: &Contents<'a>) -> Result<Self, BuildError> {
        Ok(Self {
            image: contents.image,
            groups: contents.groups,
            block_size: contents.block_size,
            zstd: Decompressor::new().map_err(BuildError::encode(WHAT))?,
            stored: Vec::new(),
            block: Vec::with_capacity(contents.block_size),
            wanted: Vec::new(),
            group: None,
        })
    }

    /// Whether a part of a file holds what `source` does.
    fn holds(&mut self, part: &Part<'_>, source: &File) -> io::Result<bool> {
        let len = part.file.file_len() as u64;
        let block_size = self.block_size as u64;
        let mut offset = (part.first as u64).saturating_mul(block_size);
        let mut start = part.start;
        let sizes = part.file.block_sizes().iter();
        for size in sizes.skip(part.first).take(part.count) {
            let left = len.saturating_sub(offset).min(block_size);
            if size.size() == 0 {
                self.block.clear();
                self.block.resize(usize::try_from(left).unwrap_or(0), 0);
            } else {
                self.decode(start, *size)?;
            }
            start = start.saturating_add(u64::from(size.size()));
            let block = std::mem::take(&mut self.block);
            let same = block.len() as u64 == left && self.same(&block, source, offset)?;
            self.block = block;
            if !same {
                return Ok(false);
            }
            offset = offset.saturating_add(left);
        }
        if !part.last {
            return Ok(true);
        }
        let rest = usize::try_from(len.saturating_sub(offset)).unwrap_or(usize::MAX);
        if rest > 0 && !self.group_holds(part, rest, source, offset)? {
            return Ok(false);
        }
        // It may have grown since.
        Ok(source.metadata()?.len() == len)
    }

    /// Whether a file's share of its group is the `len` bytes of `source` at `offset`.
    fn group_holds(
        &mut self,
        part: &Part<'_>,
        len: usize,
        source: &File,
        offset: u64,
    ) -> io::Result<bool> {
        let number = part.file.frag_index();
        let Some(group) = self.groups.get(number).filter(|_| number != NO_GROUP) else {
            return Ok(false);
        };
        if self.group.as_ref().is_none_or(|(last, _)| *last != number) {
            self.decode(group.start, group.size)?;
            self.group = Some((number, self.block.clone()));
        }
        let Some((_, bytes)) = self.group.take() else {
            return Ok(false);
        };
        let from = usize::try_from(part.file.block_offset()).unwrap_or(usize::MAX);
        let same = match bytes.get(from..from.saturating_add(len)) {
            Some(share) => self.same(share, source, offset)?,
            None => false,
        };
        self.group = Some((number, bytes));
        Ok(same)
    }

    fn same(&mut self, bytes: &[u8], source: &File, offset: u64) -> io::Result<bool> {
        self.wanted.resize(bytes.len(), 0);
        match source.read_exact_at(&mut self.wanted, offset) {
            // It became shorter.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            other => other.map(|()| self.wanted == bytes),
        }
    }

    /// Decodes what is stored at `start` to `block`.
    fn decode(&mut self, start: u64, size: DataSize) -> io::Result<()> {
        let len = usize::try_from(size.size()).unwrap_or(usize::MAX);
        if len > self.block_size {
            return Err(io::Error::other("a block is stored longer than it is"));
        }
        self.stored.resize(len, 0);
        self.image.read_exact_at(&mut self.stored, start)?;
        self.block.clear();
        if size.uncompressed() {
            self.block.extend_from_slice(&self.stored);
            return Ok(());
        }
        // As much as a block may have, and no more: it stays what it was made with.
        self.block.reserve_exact(self.block_size);
        self.zstd
            .decompress_to_buffer(&self.stored, &mut self.block)?;
        Ok(())
    }
}
