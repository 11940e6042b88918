//! Reading and compression ahead of the library, which writes a file system on one thread.
//!
//! Which blocks it will make follows from the sizes of the files. Threads read and compress them
//! ahead; the library gets the bytes from here, and what they compress to, which counts only for
//! exactly these bytes. So the file system is the same with any number of threads, and whatever a
//! change of a file makes of the forecast: what is not at hand is read, and compressed, then.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::mpsc::Receiver;
use std::thread;

use backhand::compression::{CompressionAction, Compressor, DefaultCompressor};
use backhand::{BackhandError, FilesystemCompressor, SuperBlock};

use super::forecast::{Block, Forecast};
use super::workers::{Ready, start};
use crate::build::tree::{Kind, Tree};

thread_local! {
    /// What is at hand for the file system that this thread writes.
    static LINES: RefCell<Option<Lines>> = const { RefCell::new(None) };
    /// How often something was not at hand.
    #[cfg(test)]
    pub(super) static MISSED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
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
        let ready = LINES.with_borrow_mut(|lines| lines.as_mut().and_then(|it| it.take(bytes)));
        match ready {
            Some(compressed) => Ok(compressed),
            None => {
                #[cfg(test)]
                MISSED.set(MISSED.get().saturating_add(1));
                DefaultCompressor.compress(bytes, compressor, block_size)
            }
        }
    }
}

/// Gives bytes of an entry's file, from an offset on, if they are at hand; their number.
pub(super) fn read(entry: usize, offset: u64, buffer: &mut [u8]) -> Option<usize> {
    let had = LINES.with_borrow_mut(|lines| lines.as_mut()?.read(entry, offset, buffer));
    #[cfg(test)]
    if had.is_none() {
        MISSED.set(MISSED.get().saturating_add(1));
    }
    had
}

/// Reads and compresses the contents of `tree` ahead while `write` runs on this thread.
pub(super) fn while_ahead<T>(tree: &Tree, block_size: usize, write: impl FnOnce() -> T) -> T {
    let forecast = Forecast::of(tree, block_size);
    thread::scope(|scope| {
        // Dropped at the end, also when `write` panics: threads with a full line then end.
        let _lines = Installed::new(Lines {
            lines: start(scope, tree, &forecast, block_size),
            turn: 0,
            next: None,
            block: None,
            groups: VecDeque::new(),
            sizes: tree
                .entries
                .iter()
                .map(|entry| match entry.kind {
                    Kind::File { size } => size,
                    _ => 0,
                })
                .collect(),
        });
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

/// Results of the threads, in the order of the forecast.
#[derive(Debug)]
struct Lines {
    lines: Vec<Receiver<Ready>>,
    turn: usize,
    /// Taken from a line, and not yet wanted.
    next: Option<Ready>,
    /// The block of a large file that was read last.
    block: Option<Ready>,
    /// Groups of small files that are not compressed yet: one, or, when the first file of the
    /// next was read, two.
    groups: VecDeque<Group>,
    /// Of each entry's file.
    sizes: Vec<u64>,
}

#[derive(Debug)]
struct Group {
    ready: Ready,
    /// Files that were read, and their bytes.
    read: usize,
    offset: usize,
}

impl Lines {
    /// What `bytes` compress to, if they are the last block or the first group.
    fn take(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let ready = match self.block.take() {
            Some(block) => block,
            None => self.groups.pop_front()?.ready,
        };
        (ready.raw.as_deref() == Some(bytes)).then_some(ready.compressed)
    }

    fn read(&mut self, entry: usize, offset: u64, buffer: &mut [u8]) -> Option<usize> {
        if let Some(had) = self.read_group(entry, buffer) {
            return had;
        }
        let ready = self.next(entry, offset)?;
        if matches!(ready.block, Block::Small(_)) {
            self.groups.push_back(Group {
                ready,
                read: 0,
                offset: 0,
            });
            return self.read_group(entry, buffer).flatten();
        }
        let raw = ready.raw.as_deref()?;
        buffer.get_mut(..raw.len())?.copy_from_slice(raw);
        let len = raw.len();
        // The library does not have zeros compressed.
        self.block = (!ready.compressed.is_empty()).then_some(ready);
        Some(len)
    }

    /// The bytes of a file of the last group, if it is the next of it.
    fn read_group(&mut self, entry: usize, buffer: &mut [u8]) -> Option<Option<usize>> {
        let group = self.groups.back_mut()?;
        let Block::Small(entries) = &group.ready.block else {
            return None;
        };
        if entries.get(group.read) != Some(&entry) {
            return None;
        }
        let start = group.offset;
        let len = usize::try_from(*self.sizes.get(entry)?).ok()?;
        group.read = group.read.saturating_add(1);
        group.offset = start.saturating_add(len);
        let raw = group.ready.raw.as_deref();
        Some(raw.and_then(|raw| {
            let share = raw.get(start..group.offset)?;
            buffer.get_mut(..len)?.copy_from_slice(share);
            Some(len)
        }))
    }

    /// The block that starts there, if it was foreseen; what lies before it is not wanted.
    fn next(&mut self, entry: usize, offset: u64) -> Option<Ready> {
        loop {
            let ready = match self.next.take() {
                Some(ready) => ready,
                None => self.receive()?,
            };
            match ready.block.start().cmp(&(entry, offset)) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Some(ready),
                std::cmp::Ordering::Greater => {
                    self.next = Some(ready);
                    return None;
                }
            }
        }
    }

    fn receive(&mut self) -> Option<Ready> {
        let ready = self.lines.get(self.turn)?.recv().ok()?;
        self.turn = self.turn.saturating_add(1);
        if self.turn >= self.lines.len() {
            self.turn = 0;
        }
        Some(ready)
    }
}
