//! Compression ahead of the library, which writes a file system on one thread.
//!
//! Which blocks it will compress follows from the sizes of the files: whole files and their
//! blocks in order, and groups of small files that share a block. Threads compress them ahead; a
//! result counts only for exactly the bytes that it was made from. So the file system is the
//! same with any number of threads, and whatever a change of a file makes of the forecast.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::mem;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope};

use backhand::compression::{CompressionAction, Compressor, DefaultCompressor};
use backhand::{BackhandError, FilesystemCompressor, SuperBlock};

use crate::build::stop::Stop;
use crate::build::tree::{Kind, Tree};
use crate::scan::is_zero;

/// Level that the library compresses with.
const LEVEL: i32 = 3;
/// Threads, at most.
const THREADS_MAX: usize = 16;
/// Results that may wait in one thread's line: twice a block each.
const WAITING_MAX: usize = 4;

thread_local! {
    /// What is compressed ahead for the file system that this thread writes.
    static LINES: RefCell<Option<Lines>> = const { RefCell::new(None) };
}

/// The library's compressor, which takes results from this thread's [`Lines`] where it has any.
#[derive(Debug)]
pub(super) struct Ahead;

impl CompressionAction for Ahead {
    type Error = BackhandError;
    type Compressor = Compressor;
    type FilesystemCompressor = FilesystemCompressor;
    type SuperBlock = SuperBlock;

    fn decompress(
        &self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        compressor: Compressor,
    ) -> Result<(), BackhandError> {
        DefaultCompressor.decompress(bytes, out, compressor)
    }

    fn compress(
        &self,
        bytes: &[u8],
        compressor: FilesystemCompressor,
        block_size: u32,
    ) -> Result<Vec<u8>, BackhandError> {
        let ready = LINES.with_borrow_mut(|lines| lines.as_mut().and_then(|it| it.next(bytes)));
        match ready {
            Some(compressed) => Ok(compressed),
            // Not foreseen, as inodes and names are: now, then.
            None => DefaultCompressor.compress(bytes, compressor, block_size),
        }
    }
}

/// Compresses the contents of `tree` ahead while `write` runs on this thread.
pub(super) fn while_ahead<T>(
    tree: &Tree,
    block_size: usize,
    stop: &Stop,
    write: impl FnOnce() -> T,
) -> T {
    thread::scope(|scope| {
        // Dropped at the end, also when `write` panics: threads with a full line then end.
        let _lines = Installed::new(Lines::start(scope, tree, block_size, stop));
        write()
    })
}

struct Installed;

impl Installed {
    fn new(lines: Lines) -> Self {
        LINES.set(Some(lines));
        Self
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        LINES.set(None);
    }
}

/// One line of results for each thread; block `n` comes in line `n` modulo their number.
#[derive(Debug)]
struct Lines {
    lines: Vec<Receiver<Ready>>,
    turn: usize,
}

/// What a block compresses to.
#[derive(Debug)]
enum Ready {
    Compressed {
        raw: Vec<u8>,
        compressed: Vec<u8>,
    },
    /// Zeros, which are not compressed, or a file that could not be read.
    Nothing,
}

impl Lines {
    fn start<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        tree: &'env Tree,
        block_size: usize,
        stop: &'env Stop,
    ) -> Self {
        let threads = thread::available_parallelism().map_or(1, |count| count.get());
        let threads = threads.min(THREADS_MAX);
        let lines = (0..threads)
            .map(|own| {
                let (line, results) = sync_channel(WAITING_MAX);
                scope.spawn(move || {
                    let blocks = Forecast::of(tree, block_size).skip(own).step_by(threads);
                    // A thread that fails leaves its blocks to the library.
                    let _ = compress(tree, block_size, blocks, stop, &line);
                });
                results
            })
            .collect();
        Self { lines, turn: 0 }
    }

    /// What `bytes` compress to, if they are the next that were foreseen.
    fn next(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        loop {
            let line = self.lines.get(self.turn)?;
            let ready = line.recv().ok()?;
            self.turn = self.turn.saturating_add(1);
            if self.turn >= self.lines.len() {
                self.turn = 0;
            }
            if let Ready::Compressed { raw, compressed } = ready {
                return (raw == bytes).then_some(compressed);
            }
        }
    }
}

/// A run of bytes that the library will want compressed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// So many bytes of an entry's file, from an offset on.
    Of(usize, u64, usize),
    /// All bytes of the files of these entries.
    Small(Vec<usize>),
}

/// The blocks of a tree, in the order in which the library compresses them.
pub(super) struct Forecast<'a> {
    tree: &'a Tree,
    block_size: usize,
    entry: usize,
    /// Where the next block of that entry's file starts.
    offset: u64,
    small: Vec<usize>,
    small_bytes: usize,
}

impl<'a> Forecast<'a> {
    pub(super) const fn of(tree: &'a Tree, block_size: usize) -> Self {
        Self {
            tree,
            block_size,
            entry: 0,
            offset: 0,
            small: Vec::new(),
            small_bytes: 0,
        }
    }
}

impl Iterator for Forecast<'_> {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        let block_size = self.block_size as u64;
        while let Some(entry) = self.tree.entries.get(self.entry) {
            let current = self.entry;
            let Kind::File { size } = entry.kind else {
                self.entry = current.saturating_add(1);
                continue;
            };
            if size >= block_size {
                let start = self.offset;
                let left = size.saturating_sub(start);
                if left == 0 {
                    self.entry = current.saturating_add(1);
                    self.offset = 0;
                    continue;
                }
                let len = left.min(block_size);
                self.offset = start.saturating_add(len);
                return Some(Block::Of(current, start, usize::try_from(len).ok()?));
            }
            self.entry = current.saturating_add(1);
            let size = usize::try_from(size).ok()?;
            let full = self.small_bytes.saturating_add(size) > self.block_size;
            let ended = full.then(|| mem::take(&mut self.small));
            if ended.is_some() {
                self.small_bytes = 0;
            }
            if size > 0 {
                self.small.push(current);
                self.small_bytes = self.small_bytes.saturating_add(size);
            }
            if let Some(ended) = ended {
                return Some(Block::Small(ended));
            }
        }
        let last = mem::take(&mut self.small);
        (!last.is_empty()).then_some(Block::Small(last))
    }
}

fn compress(
    tree: &Tree,
    block_size: usize,
    blocks: impl Iterator<Item = Block>,
    stop: &Stop,
    line: &SyncSender<Ready>,
) -> io::Result<()> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    let mut reader = Blocks::of(tree, block_size);
    for block in blocks {
        if stop.is_wanted() {
            return Ok(());
        }
        let ready = match reader.read(&block) {
            Ok(raw) if !(matches!(block, Block::Of(..)) && is_zero(&raw)) => Ready::Compressed {
                compressed: compressor.compress(&raw)?,
                raw,
            },
            _ => Ready::Nothing,
        };
        if line.send(ready).is_err() {
            break;
        }
    }
    Ok(())
}

/// Reads blocks; keeps the file open that it read last, of which the next block often is.
pub(super) struct Blocks<'a> {
    tree: &'a Tree,
    block_size: usize,
    open: Option<(usize, File)>,
}

impl<'a> Blocks<'a> {
    pub(super) const fn of(tree: &'a Tree, block_size: usize) -> Self {
        Self {
            tree,
            block_size,
            open: None,
        }
    }

    pub(super) fn read(&mut self, block: &Block) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.block_size);
        match block {
            Block::Of(entry, offset, len) => {
                let mut file = match self.open.take() {
                    Some((open, file)) if open == *entry => file,
                    _ => self.tree.open(*entry)?,
                };
                file.seek(io::SeekFrom::Start(*offset))?;
                (&file).take(*len as u64).read_to_end(&mut bytes)?;
                self.open = Some((*entry, file));
            }
            Block::Small(entries) => {
                for entry in entries {
                    let room = self.block_size.saturating_sub(bytes.len()) as u64;
                    self.tree.open(*entry)?.take(room).read_to_end(&mut bytes)?;
                }
            }
        }
        Ok(bytes)
    }
}
