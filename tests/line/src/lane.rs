//! One direction of a line, without clock or terminal.

use std::collections::VecDeque;
use std::time::Duration;

use crate::limits::{INBOX_BYTES_MAX, PIECE, fifo_bytes};
use crate::noise::Noise;
use crate::{Conditions, Tally, uart};

const NANOS: u128 = 1_000_000_000;

/// One direction of a line: bytes are put into its FIFO, pass one after another, and arrive.
///
/// `now` never goes backwards. The caller keeps the FIFO filled while there is anything to send:
/// with [`Lane::room`] and [`Lane::put`], until the one is 0 or its source is empty, and then
/// [`Lane::advance`]. Bytes that a late caller finds in its source count as having waited there.
#[derive(Debug)]
pub struct Lane {
    conditions: Conditions,
    fifo: VecDeque<u8>,
    /// Since when bytes have passed without a pause, and how many; none while the line is silent.
    since: Option<Duration>,
    passed: u64,
    /// Speed that counts for what is sent now, and that which the sender has set.
    baud: u32,
    baud_wanted: u32,
    noise: Noise,
    flying: VecDeque<Piece>,
    inbox: VecDeque<u8>,
    tally: Tally,
}

/// Bytes that arrive together.
#[derive(Debug)]
struct Piece {
    arrives: Duration,
    baud: u32,
    bytes: Vec<u8>,
}

impl Lane {
    /// A silent line; `number` tells the numbers drawn for one direction from the other's.
    #[must_use]
    pub fn new(conditions: &Conditions, number: u64) -> Self {
        let Conditions {
            seed,
            burst_rate,
            burst_bytes,
            baud,
            ..
        } = *conditions;
        Self {
            conditions: conditions.clone(),
            fifo: VecDeque::new(),
            since: None,
            passed: 0,
            baud,
            baud_wanted: baud,
            noise: Noise::new(seed, number, burst_rate, burst_bytes),
            flying: VecDeque::new(),
            inbox: VecDeque::new(),
            tally: Tally::default(),
        }
    }

    /// What has happened so far.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// Whether nothing passes.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.since.is_none()
    }

    /// The sender's terminal is set to this speed. It counts once all that was put has passed.
    pub fn sender_speed(&mut self, baud: u32) {
        self.baud_wanted = baud;
        if self.is_silent() {
            self.baud = baud;
        }
    }

    /// Bytes per second now.
    #[must_use]
    pub fn rate(&self) -> u32 {
        self.conditions.rate_at(self.baud)
    }

    /// How many bytes to put now: what has passed unseen since the last call, and a FIFO of more.
    #[must_use]
    pub fn room(&self, now: Duration) -> usize {
        self.due(now)
            .saturating_add(fifo_bytes(self.rate()))
            .saturating_sub(self.fifo.len())
    }

    /// Puts bytes into the FIFO; at most [`Lane::room`]. They begin to pass now if nothing does.
    pub fn put(&mut self, bytes: &[u8], now: Duration) {
        if bytes.is_empty() {
            return;
        }
        if self.since.is_none() {
            self.since = Some(now);
            self.passed = 0;
            self.baud = self.baud_wanted;
            let rate = self.conditions.bit_error_rate_at(self.baud);
            self.noise.set_bit_error_rate(rate);
        }
        self.fifo.extend(bytes);
    }

    /// Lets pass what had the time to. The line falls silent when its FIFO is empty.
    pub fn advance(&mut self, now: Duration) {
        let Some(since) = self.since else { return };
        let rate = self.rate();
        let due = self.due(now);
        let mut left = due.min(self.fifo.len());
        let piece = usize::try_from(bytes_in(PIECE, rate)).map_or(1, |bytes| bytes.max(1));
        while left > 0 {
            let count = left.min(piece);
            left = left.saturating_sub(count);
            let mut bytes: Vec<u8> = self.fifo.drain(..count).collect();
            self.passed = self.passed.saturating_add(count_of(count));
            self.tally.carried = self.tally.carried.saturating_add(count_of(count));
            self.noise.act(&mut bytes, &mut self.tally);
            let passed_at = since.saturating_add(time_of(self.passed, rate));
            self.flying.push_back(Piece {
                arrives: passed_at.saturating_add(self.conditions.latency),
                baud: self.baud,
                bytes,
            });
        }
        if self.fifo.is_empty() {
            let busy = time_of(self.passed, rate);
            self.tally.busy = self.tally.busy.saturating_add(busy);
            self.since = None;
        }
    }

    /// Takes in what has arrived by now, at a terminal set to `baud`.
    pub fn arrive(&mut self, baud: u32, now: Duration) {
        while let Some(piece) = self.flying.front()
            && piece.arrives <= now
            && let Some(piece) = self.flying.pop_front()
        {
            let mut bytes = piece.bytes;
            if piece.baud != baud {
                let mut seen = Vec::new();
                uart::sample(&bytes, piece.baud, baud, &mut seen);
                let count = count_of(bytes.len());
                self.tally.mismatched = self.tally.mismatched.saturating_add(count);
                bytes = seen;
            }
            let room = INBOX_BYTES_MAX.saturating_sub(self.inbox.len());
            let lost = count_of(bytes.len().saturating_sub(room));
            self.tally.overrun = self.tally.overrun.saturating_add(lost);
            self.inbox.extend(bytes.iter().take(room));
        }
    }

    /// What has arrived, as far as it lies in one piece; [`Lane::taken`] says how much was taken.
    #[must_use]
    pub fn inbox(&self) -> &[u8] {
        let (front, back) = self.inbox.as_slices();
        if front.is_empty() { back } else { front }
    }

    /// So many bytes of the inbox have been taken.
    pub fn taken(&mut self, count: usize) {
        self.inbox.drain(..count.min(self.inbox.len()));
    }

    /// When to call again, if nothing else happens: a piece will have passed, or arrived.
    #[must_use]
    pub fn next_change(&self) -> Option<Duration> {
        let arrives = self.flying.front().map(|piece| piece.arrives);
        let passes = self.since.map(|since| {
            let rate = self.rate();
            let piece = bytes_in(PIECE, rate).max(1);
            let next = count_of(self.fifo.len()).min(piece);
            since.saturating_add(time_of(self.passed.saturating_add(next), rate))
        });
        [arrives, passes].into_iter().flatten().min()
    }

    /// Remembers by how much the caller came late.
    pub(crate) fn was_late(&mut self, by: Duration) {
        self.tally.late_max = self.tally.late_max.max(by);
    }

    /// Bytes that could have passed by now, beyond those that were seen to.
    fn due(&self, now: Duration) -> usize {
        let Some(since) = self.since else { return 0 };
        let could = bytes_in(now.saturating_sub(since), self.rate());
        usize::try_from(could.saturating_sub(self.passed)).unwrap_or(usize::MAX)
    }
}

fn count_of(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Whole bytes that pass in that time.
fn bytes_in(time: Duration, rate: u32) -> u64 {
    let bytes = time.as_nanos().saturating_mul(u128::from(rate)) / NANOS;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Time that so many bytes take, rounded up.
fn time_of(bytes: u64, rate: u32) -> Duration {
    let nanos = u128::from(bytes).saturating_mul(NANOS);
    let nanos = nanos.div_ceil(u128::from(rate.max(1)));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
