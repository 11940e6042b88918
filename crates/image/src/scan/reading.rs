use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::holes::Holes;
use super::lane::{Lane, cut};
use crate::manifest::Region;

/// Bytes read at once: few enough that they are still in the processor's cache when they are
/// digested.
pub(super) const CHUNK_BYTES: usize = 128 * 1024;
/// What lies in a hole.
static ZEROS: [u8; CHUNK_BYTES] = [0; CHUNK_BYTES];

/// Reads the first `len` bytes of `file`, which `regions` tile, for each of the `lanes`;
/// `each` gets the bytes done.
///
/// Every lane reads for itself: to copy bytes out of the page cache again costs less than to
/// hand them from one processor to another. Lanes are about as quick as each other, so a medium
/// is read once.
///
/// # Errors
/// What `file` or `each` says.
pub(crate) fn scan(
    file: &File,
    len: u64,
    regions: &[Region],
    lanes: &mut [&mut dyn Lane],
    each: &mut dyn FnMut(u64) -> io::Result<()>,
) -> io::Result<()> {
    let Some((first, others)) = lanes.split_first_mut() else {
        return Ok(());
    };
    let reading = Reading { file, len, regions };
    if len <= CHUNK_BYTES as u64 {
        // What fits into one buffer is not worth a thread.
        for lane in others {
            reading.run(*lane, &mut |_| Ok(()))?;
        }
        return reading.run(*first, each);
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let others: Vec<_> = others
            .iter_mut()
            .map(|lane| {
                scope.spawn(|| {
                    reading.run(*lane, &mut |_| match stop.load(Ordering::Relaxed) {
                        true => Err(io::Error::other("stopped")),
                        false => Ok(()),
                    })
                })
            })
            .collect();
        let read = reading.run(*first, each);
        stop.store(read.is_err(), Ordering::Relaxed);
        // This one's error says why; the others may only have been stopped.
        others.into_iter().fold(read, |read, other| {
            let other = other.join().unwrap_or_else(|_| Err(lost()));
            read.and(other)
        })
    })
}

/// A thread that digests is gone, which only a defect of ours makes it.
fn lost() -> io::Error {
    io::Error::other("a thread that digests ended early")
}

/// What all lanes read.
#[derive(Clone, Copy)]
struct Reading<'a> {
    file: &'a File,
    len: u64,
    regions: &'a [Region],
}

impl Reading<'_> {
    fn run(
        &self,
        lane: &mut dyn Lane,
        each: &mut dyn FnMut(u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut holes = Holes::of(self.file);
        let mut offset = 0_u64;
        while offset < self.len {
            let left = self.len.saturating_sub(offset).min(CHUNK_BYTES as u64);
            let end = offset.saturating_add(left);
            let all = usize::try_from(left).unwrap_or(CHUNK_BYTES);
            let bytes = if holes.cover(offset..end) {
                ZEROS.get(..all).unwrap_or_default()
            } else {
                let bytes = buffer.get_mut(..all).unwrap_or_default();
                self.file.read_exact_at(bytes, offset)?;
                bytes
            };
            cut(self.regions, offset, bytes, lane);
            offset = end;
            each(offset)?;
        }
        Ok(())
    }
}
