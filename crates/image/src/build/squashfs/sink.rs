use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Pieces that may wait for those before them: at most 128 KiB each.
const WAITING_MAX: usize = 64;
/// In the size of a stored block: it is not compressed.
const PLAIN: u32 = 1 << 24;

/// Where a piece is stored, and as what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    /// Offset in the file system, in bytes.
    pub(super) start: u64,
    /// Length in bytes; none for a block of zeros.
    pub(super) len: u32,
    pub(super) plain: bool,
    /// CRC-32 of what is stored.
    pub(super) checksum: u32,
}

impl Stored {
    /// What stands for it in lists of blocks.
    pub(super) const fn size(&self) -> u32 {
        match self.plain {
            true => self.len | PLAIN,
            false => self.len,
        }
    }
}

/// Takes pieces from several threads in any order, and stores them in that of their numbers.
#[derive(Debug)]
pub(super) struct Sink<'a> {
    out: &'a File,
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Debug)]
struct State {
    /// Where the next piece is stored.
    position: u64,
    stored: Vec<Stored>,
    waiting: BTreeMap<usize, (Stored, Vec<u8>)>,
    closed: bool,
}

impl<'a> Sink<'a> {
    /// Stores from `position` on.
    pub(super) const fn new(out: &'a File, position: u64) -> Self {
        Self {
            out,
            state: Mutex::new(State {
                position,
                stored: Vec::new(),
                waiting: BTreeMap::new(),
                closed: false,
            }),
            moved: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a piece, or keeps it until those before it have come. Waits while too many wait.
    pub(super) fn put(&self, number: usize, bytes: &[u8], plain: bool) -> io::Result<()> {
        let mut piece = Stored {
            start: 0,
            len: u32::try_from(bytes.len()).map_err(io::Error::other)?,
            plain,
            checksum: crc32fast::hash(bytes),
        };
        let mut state = self.state();
        while number.saturating_sub(state.stored.len()) > WAITING_MAX && !state.closed {
            state = self
                .moved
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if number != state.stored.len() {
            state.waiting.insert(number, (piece, bytes.to_vec()));
            return Ok(());
        }
        state.place(&mut piece);
        let mut ready = Vec::new();
        loop {
            let next = state.stored.len();
            let Some((mut piece, bytes)) = state.waiting.remove(&next) else {
                break;
            };
            state.place(&mut piece);
            ready.push((piece, bytes));
        }
        drop(state);
        self.moved.notify_all();
        self.out.write_all_at(bytes, piece.start)?;
        for (piece, bytes) in &ready {
            self.out.write_all_at(bytes, piece.start)?;
        }
        Ok(())
    }

    /// Lets nobody wait any more: a piece will not come.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.moved.notify_all();
    }

    /// The pieces, and where the last one ends.
    pub(super) fn finish(self) -> (Vec<Stored>, u64) {
        let state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        (state.stored, state.position)
    }
}

impl State {
    fn place(&mut self, piece: &mut Stored) {
        piece.start = self.position;
        self.position = self.position.saturating_add(u64::from(piece.len));
        self.stored.push(*piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_stored_in_order_whoever_comes_first() {
        let out = tempfile::tempfile().unwrap();
        let sink = Sink::new(&out, 3);
        let pieces: Vec<Vec<u8>> = (0..200_u8).map(|n| vec![n; usize::from(n % 7)]).collect();
        let turn = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    loop {
                        let n = turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        // Of each four, the last comes first.
                        let number = (n & !3) + 3 - (n & 3);
                        let Some(piece) = pieces.get(number) else {
                            return;
                        };
                        sink.put(number, piece, number.is_multiple_of(2)).unwrap();
                    }
                });
            }
        });
        let (stored, end) = sink.finish();
        let mut start = 3;
        for (piece, stored) in pieces.iter().zip(&stored) {
            let wanted = Stored {
                start,
                len: piece.len() as u32,
                plain: (piece.first().unwrap_or(&0)).is_multiple_of(2),
                checksum: crc32fast::hash(piece),
            };
            if !piece.is_empty() {
                assert_eq!(*stored, wanted);
            }
            start += piece.len() as u64;
        }
        assert_eq!((stored.len(), end), (200, start));
        let mut all = vec![0; (end - 3) as usize];
        out.read_exact_at(&mut all, 3).unwrap();
        assert_eq!(all, pieces.concat());
    }

    #[test]
    fn nobody_waits_for_a_piece_that_does_not_come() {
        let out = tempfile::tempfile().unwrap();
        let sink = Sink::new(&out, 0);
        std::thread::scope(|scope| {
            let far = scope.spawn(|| sink.put(WAITING_MAX + 1, b"far", false));
            sink.close();
            far.join().unwrap().unwrap();
        });
        assert_eq!(sink.finish(), (Vec::new(), 0));
    }
}
