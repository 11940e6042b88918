//! One direction of a line: rate, latency, a transmit queue, and noise.

use std::collections::VecDeque;
use std::time::Duration;

use nx_transport::{FrameSplitter, Split};

use crate::noise::{Condition, Noise};

/// Bytes that the sender's side takes before it holds the writer back: the transmit buffer of
/// a serial port of Linux.
const QUEUE_BYTES: usize = 4_096;
/// Bytes that arrive at once: what a USB adapter or a FIFO hands over in one go.
const GULP_BYTES: usize = 256;
/// On a line so fast that this is more, what arrives in this part of a second.
const GULPS_PER_SECOND: u64 = 2_000;

/// Bytes on their way, in order.
#[derive(Debug)]
pub(crate) struct Wire {
    bytes_per_second: u64,
    latency: Duration,
    noise: Noise,
    drop_every: Option<u64>,
    frames: u64,
    splitter: Box<dyn FrameSplitter>,
    /// When the last byte that was taken has left the sender.
    busy_until: Duration,
    /// When each gulp arrives, how many bytes it was, and what is left of them.
    gulps: VecDeque<(Duration, usize, Vec<u8>)>,
    /// Arrived, and not yet known to be whole frames.
    held: Vec<u8>,
    arrived: VecDeque<u8>,
}

impl Wire {
    pub(crate) fn new(
        bytes_per_second: u64,
        latency: Duration,
        condition: Condition,
        seed: u64,
        splitter: Box<dyn FrameSplitter>,
    ) -> Self {
        Self {
            bytes_per_second,
            latency,
            noise: Noise::new(condition, seed),
            drop_every: condition.drop_every(),
            frames: seed,
            splitter,
            busy_until: Duration::ZERO,
            gulps: VecDeque::new(),
            held: Vec::new(),
            arrived: VecDeque::new(),
        }
    }

    /// What the sender's side holds; on a fast line a few milliseconds' worth.
    fn queue_bytes(&self) -> usize {
        QUEUE_BYTES.max(usize::try_from(self.bytes_per_second / 250).unwrap())
    }

    /// Bytes that have not left the sender yet.
    fn waiting(&self, now: Duration) -> usize {
        let left = self.busy_until.saturating_sub(now);
        let bytes = left.as_nanos() * u128::from(self.bytes_per_second) / 1_000_000_000;
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Takes what there is room for.
    pub(crate) fn take(&mut self, bytes: &[u8], now: Duration) -> usize {
        let room = self.queue_bytes().saturating_sub(self.waiting(now));
        let taken = &bytes[..room.min(bytes.len())];
        let at_once = usize::try_from(self.bytes_per_second / GULPS_PER_SECOND).unwrap();
        for gulp in taken.chunks(GULP_BYTES.max(at_once)) {
            let nanos = gulp.len() as u64 * 1_000_000_000 / self.bytes_per_second;
            self.busy_until = self.busy_until.max(now) + Duration::from_nanos(nanos);
            let received = self.noise.pass(gulp);
            let at = self.busy_until + self.latency;
            self.gulps.push_back((at, gulp.len(), received));
        }
        taken.len()
    }

    /// When the writer should look again whether there is room.
    pub(crate) fn room_at(&self) -> Duration {
        let half = self.queue_bytes() as u64 / 2 * 1_000_000_000 / self.bytes_per_second;
        self.busy_until.saturating_sub(Duration::from_nanos(half))
    }

    /// Whether bytes wait for the reader, once all that is due has arrived.
    pub(crate) fn is_readable(&mut self, now: Duration) -> bool {
        while self.gulps.front().is_some_and(|(at, ..)| *at <= now) {
            if let Some((_, _, bytes)) = self.gulps.pop_front() {
                self.arrive(&bytes);
            }
        }
        !self.arrived.is_empty()
    }

    /// When more bytes arrive.
    pub(crate) fn next_arrival(&self) -> Option<Duration> {
        self.gulps.front().map(|(at, ..)| *at)
    }

    /// Gives what has arrived.
    pub(crate) fn give(&mut self, into: &mut [u8]) -> usize {
        let count = into.len().min(self.arrived.len());
        for (slot, byte) in into.iter_mut().zip(self.arrived.drain(..count)) {
            *slot = byte;
        }
        count
    }

    fn arrive(&mut self, bytes: &[u8]) {
        let Some(every) = self.drop_every else {
            self.arrived.extend(bytes);
            return;
        };
        self.held.extend(bytes);
        loop {
            match self.splitter.split(&self.held) {
                Split::NeedMore => return,
                Split::Junk(len) => self.arrived.extend(self.held.drain(..len)),
                Split::Frame(len) => {
                    self.frames += 1;
                    let frame = self.held.drain(..len);
                    if self.frames.is_multiple_of(every) {
                        drop(frame);
                    } else {
                        self.arrived.extend(frame);
                    }
                }
            }
            if self.held.is_empty() {
                return;
            }
        }
    }
}
