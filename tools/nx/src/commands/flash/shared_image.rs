//! An image that several lanes send at once, read for all of them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use nx_flash::blocks::BlockMap;
use nx_flash::host::{Outcome, Request};
use nx_flash::source::ImageSource;

/// Most bytes of blocks that are kept for lanes that come to them later. Lanes that are further
/// apart read the file again.
const KEPT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A proven image, whose blocks are read and digested once for all lanes that are near each other.
#[derive(Debug)]
pub(crate) struct SharedImage {
    source: ImageSource,
    kept_max: usize,
    kept: Mutex<VecDeque<Kept>>,
    bytes_read: AtomicU64,
}

/// A block, or the place for one that a lane reads now: whoever else wants it waits for that.
#[derive(Debug)]
struct Kept {
    number: u32,
    outcome: Arc<OnceLock<Outcome>>,
}

impl SharedImage {
    /// For one device: nothing is kept.
    pub(crate) fn alone(source: ImageSource) -> Self {
        Self::keeping(source, 0)
    }

    /// For many devices.
    pub(crate) fn shared(source: ImageSource) -> Self {
        let block = u64::from(source.map().block_bytes()).max(1);
        let blocks = KEPT_BYTES_MAX.checked_div(block).unwrap_or(0);
        Self::keeping(source, usize::try_from(blocks).unwrap_or(0))
    }

    fn keeping(source: ImageSource, kept_max: usize) -> Self {
        Self {
            source,
            kept_max,
            kept: Mutex::new(VecDeque::with_capacity(kept_max)),
            bytes_read: AtomicU64::new(0),
        }
    }

    /// Where the blocks lie.
    pub(crate) const fn map(&self) -> &BlockMap {
        self.source.map()
    }

    /// Bytes of blocks that were read to be sent, so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Answers a request of a host's machine.
    pub(crate) fn serve(&self, request: &Request) -> Outcome {
        let Request::Block { number, bytes, .. } = *request else {
            return self.source.serve(request);
        };
        let read = || {
            let bytes = u64::from(bytes);
            self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
            self.source.serve(request)
        };
        if self.kept_max == 0 {
            return read();
        }
        let outcome = self.place_of(number);
        let answer = outcome.get_or_init(read).clone();
        if matches!(answer, Outcome::Failed(_)) {
            // A lane that comes later finds out by itself.
            self.forget(number);
        }
        answer
    }

    /// The place of a block among those kept, which is then the last to go.
    fn place_of(&self, number: u32) -> Arc<OnceLock<Outcome>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.iter().rposition(|kept| kept.number == number);
        let block = match known.and_then(|at| kept.remove(at)) {
            Some(block) => block,
            None => {
                if kept.len() >= self.kept_max {
                    kept.pop_front();
                }
                Kept {
                    number,
                    outcome: Arc::default(),
                }
            }
        };
        let outcome = Arc::clone(&block.outcome);
        kept.push_back(block);
        outcome
    }

    fn forget(&self, number: u32) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| kept.number != number);
    }
}
