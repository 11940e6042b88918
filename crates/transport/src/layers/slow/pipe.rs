//! One direction of a slow line.

use std::collections::VecDeque;
use std::time::Duration;

use super::Slowness;

/// Bytes that wait to go on the line, at most: what a UART's driver holds.
const WAITING_BYTES_MAX: u64 = 4096;

/// Bytes under way in all, at most, whatever rate and latency say.
const UNDER_WAY_BYTES_MAX: usize = 1024 * 1024;

/// Bytes that arrive together, at most.
const PIECE_BYTES_MAX: u32 = 256;

/// One direction of a slow line: bytes go on it one after another, and arrive later.
#[derive(Debug)]
pub(super) struct Pipe {
    slowness: Slowness,
    /// Start of the present time without a pause, and bytes put on the line since.
    busy_since: Duration,
    busy_bytes: u64,
    pieces: VecDeque<Piece>,
    under_way: usize,
}

#[derive(Debug)]
struct Piece {
    arrives: Duration,
    bytes: VecDeque<u8>,
}

impl Pipe {
    pub(super) const fn new(slowness: Slowness) -> Self {
        Self {
            slowness,
            busy_since: Duration::ZERO,
            busy_bytes: 0,
            pieces: VecDeque::new(),
            under_way: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// How many more bytes it takes now.
    pub(super) fn room(&self, now: Duration) -> usize {
        let bounded = UNDER_WAY_BYTES_MAX.saturating_sub(self.under_way);
        let Some(rate) = self.slowness.bytes_per_second else {
            return bounded;
        };
        let behind = self.free_at().saturating_sub(now).as_nanos();
        let waiting = behind
            .saturating_mul(u128::from(rate))
            .div_ceil(1_000_000_000);
        let room = u128::from(WAITING_BYTES_MAX).saturating_sub(waiting);
        bounded.min(usize::try_from(room).unwrap_or(usize::MAX))
    }

    /// When it will have room for a worthwhile number of bytes, if it has none now.
    pub(super) fn room_at(&self) -> Option<Duration> {
        let rate = self.slowness.bytes_per_second?;
        let half = duration_of(WAITING_BYTES_MAX.div_ceil(2), rate);
        let of_line = self.free_at().saturating_sub(half);
        let of_bound = match self.pieces.front() {
            Some(piece) if self.under_way >= UNDER_WAY_BYTES_MAX => piece.arrives,
            _ => Duration::ZERO,
        };
        Some(of_line.max(of_bound))
    }

    /// Puts bytes on the line.
    pub(super) fn take(&mut self, bytes: &[u8], now: Duration) {
        let latency = self.slowness.latency;
        self.under_way = self.under_way.saturating_add(bytes.len());
        let Some(rate) = self.slowness.bytes_per_second else {
            if !bytes.is_empty() {
                let bytes = bytes.iter().copied().collect();
                self.pieces.push_back(Piece {
                    arrives: now.saturating_add(latency),
                    bytes,
                });
            }
            return;
        };
        if self.free_at() <= now {
            self.busy_since = now;
            self.busy_bytes = 0;
        }
        // A hundredth of a second's worth, so that slow lines trickle.
        let piece = rate.div_ceil(100).clamp(1, PIECE_BYTES_MAX);
        for bytes in bytes.chunks(usize::try_from(piece).unwrap_or(1)) {
            let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            self.busy_bytes = self.busy_bytes.saturating_add(count);
            let arrives = self.free_at().saturating_add(latency);
            self.pieces.push_back(Piece {
                arrives,
                bytes: bytes.iter().copied().collect(),
            });
        }
    }

    /// Takes off what has arrived, as far as it fits; returns how many bytes.
    pub(super) fn give(&mut self, inp: &mut [u8], now: Duration) -> usize {
        let mut given = 0_usize;
        while let Some(piece) = self.pieces.front_mut()
            && piece.arrives <= now
        {
            let room = inp.get_mut(given..).unwrap_or_default();
            let count = piece.bytes.len().min(room.len());
            for (slot, byte) in room.iter_mut().zip(piece.bytes.drain(..count)) {
                *slot = byte;
            }
            given = given.saturating_add(count);
            if !piece.bytes.is_empty() {
                break;
            }
            self.pieces.pop_front();
        }
        self.under_way = self.under_way.saturating_sub(given);
        given
    }

    /// When the next bytes arrive.
    pub(super) fn next_arrival(&self) -> Option<Duration> {
        self.pieces.front().map(|piece| piece.arrives)
    }

    /// When the line will have carried all that was put on it.
    fn free_at(&self) -> Duration {
        let rate = self.slowness.bytes_per_second.unwrap_or(u32::MAX);
        self.busy_since
            .saturating_add(duration_of(self.busy_bytes, rate))
    }
}

/// Time that a line of `rate` bytes per second takes for so many bytes.
fn duration_of(bytes: u64, rate: u32) -> Duration {
    let nanos = u128::from(bytes).saturating_mul(1_000_000_000);
    let nanos = nanos.checked_div(u128::from(rate)).unwrap_or_default();
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
