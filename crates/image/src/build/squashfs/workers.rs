use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope};

use super::forecast::{Block, Forecast};
use crate::build::tree::{Kind, Tree};
use crate::scan::is_zero;

/// Level that the library compresses with.
const LEVEL: i32 = 3;
/// Threads, at most.
const THREADS_MAX: usize = 16;
/// Results that may wait in one thread's line: twice a block each.
const WAITING_MAX: usize = 4;

/// A block that was read and compressed ahead.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) block: Block,
    /// What it holds; nothing if it could not be read, or is not what it was.
    pub(super) raw: Option<Vec<u8>>,
    /// What that compresses to; empty for zeros, which are not.
    pub(super) compressed: Vec<u8>,
}

/// Starts the threads; returns a line of results for each. Block `n` comes in line `n` modulo
/// their number. They end with their blocks, with the line, or when the build is to stop.
pub(super) fn start<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    tree: &'env Tree,
    forecast: &'env Forecast<'env>,
    block_size: usize,
) -> Vec<Receiver<Ready>> {
    let threads = thread::available_parallelism().map_or(1, |count| count.get());
    let threads = threads.min(THREADS_MAX);
    (0..threads)
        .map(|own| {
            let (line, results) = sync_channel(WAITING_MAX);
            scope.spawn(move || {
                let blocks = forecast.blocks().skip(own).step_by(threads);
                // A thread that fails leaves its blocks to the library.
                let _ = compress(Reader::of(tree, block_size), blocks, &line);
            });
            results
        })
        .collect()
}

fn compress(
    mut reader: Reader<'_>,
    blocks: impl Iterator<Item = Block>,
    line: &SyncSender<Ready>,
) -> io::Result<()> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    for block in blocks {
        if reader.tree.stop.is_wanted() {
            break;
        }
        let raw = reader.read(&block).ok();
        let compressed = match &raw {
            Some(raw) if !(matches!(block, Block::Of(..)) && is_zero(raw)) => {
                compressor.compress(raw)?
            }
            _ => Vec::new(),
        };
        let ready = Ready {
            block,
            raw,
            compressed,
        };
        if line.send(ready).is_err() {
            break;
        }
    }
    Ok(())
}

/// Reads blocks; keeps the file open that it read last, of which the next block often is.
pub(super) struct Reader<'a> {
    tree: &'a Tree,
    block_size: usize,
    open: Option<(usize, File)>,
}

impl<'a> Reader<'a> {
    pub(super) const fn of(tree: &'a Tree, block_size: usize) -> Self {
        Self {
            tree,
            block_size,
            open: None,
        }
    }

    /// All bytes of a block, each file with the length that it had.
    pub(super) fn read(&mut self, block: &Block) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.block_size);
        match block {
            Block::Of(entry, offset, len) => {
                let mut file = match self.open.take() {
                    Some((open, file)) if open == *entry => file,
                    _ => self.tree.open(*entry)?,
                };
                file.seek(io::SeekFrom::Start(*offset))?;
                append(&file, *len as u64, &mut bytes)?;
                self.open = Some((*entry, file));
            }
            Block::Small(entries) => {
                for entry in entries {
                    let found = self.tree.entries.get(*entry).map(|entry| &entry.kind);
                    let Some(Kind::File { size }) = found else {
                        continue;
                    };
                    append(&self.tree.open(*entry)?, *size, &mut bytes)?;
                }
            }
        }
        Ok(bytes)
    }
}

fn append(file: &File, len: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
    let had = file.take(len).read_to_end(bytes)?;
    match had as u64 == len {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
