//! How many bytes may be under way, from the rate at which acknowledgements come.

use core::time::Duration;

use crate::time::Instant;

/// Bytes under way before anything is known of the line: what fills a line of 120 kB/s with a
/// round trip of 100 ms. On a slow line most of it waits in front of the link, which takes no more.
const START_BYTES: u64 = 12 * 1_024;
/// Bytes delivered after which the rate is known: what a handshake takes tells little.
const KNOWN_AFTER_BYTES: u64 = 3 * START_BYTES;
/// Frames that may always be under way, so that one lost frame is noticed by the next.
const FRAMES_MIN: u64 = 8;

/// Time that what is under way lasts at least, at the line's rate: several acknowledgements are
/// then on their way at once, and one that is lost is covered by the next.
const HOLD_MIN: Duration = Duration::from_millis(10);

/// Keeps about two round trips' worth of bytes under way: enough to fill the line while
/// losses are mended, and little enough that a retransmission does not wait in a queue.
#[derive(Debug, Default)]
pub(super) struct Pace {
    delivered: u64,
    delivered_at: Instant,
    /// Highest delivery rate of late, in bytes per second; decays slowly.
    rate: u64,
}

/// What the pace was when a frame was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct PaceMark {
    delivered: u64,
    delivered_at: Instant,
}

impl Pace {
    /// To be kept with a frame that is sent now; `idle` when nothing else is under way.
    pub(super) fn mark(&mut self, now: Instant, idle: bool) -> PaceMark {
        if idle {
            self.delivered_at = now;
        }
        PaceMark {
            delivered: self.delivered,
            delivered_at: self.delivered_at,
        }
    }

    /// A frame of this many bytes is acknowledged.
    pub(super) fn delivered(&mut self, bytes: usize, mark: PaceMark, now: Instant) {
        self.delivered = self
            .delivered
            .saturating_add(u64::try_from(bytes).unwrap_or(0));
        self.delivered_at = now;
        let micros = now.since(mark.delivered_at).as_micros().max(1);
        let amount = u128::from(self.delivered.saturating_sub(mark.delivered));
        let rate = amount
            .saturating_mul(1_000_000)
            .checked_div(micros)
            .unwrap_or(0);
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        let aged = self.rate.saturating_sub(self.rate / 512);
        self.rate = aged.max(rate);
    }

    /// So many bytes have taken so long, there and back.
    pub(super) fn at_least(&mut self, bytes: usize, took: Duration) {
        let bytes = u64::try_from(bytes).unwrap_or(0).saturating_mul(1_000_000);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        self.rate = self.rate.max(bytes.checked_div(micros).unwrap_or(0));
    }

    /// Bytes per second that the line delivers, as far as is known.
    pub(super) const fn rate(&self) -> u64 {
        self.rate
    }

    /// How long so many bytes take, as far as is known.
    pub(super) fn time_of(&self, bytes: u64) -> Duration {
        let micros = bytes.saturating_mul(1_000_000).checked_div(self.rate);
        Duration::from_micros(micros.unwrap_or(0))
    }

    /// Bytes that may be under way.
    pub(super) fn limit(&self, least_rtt: Option<Duration>, frame_bytes: usize) -> u64 {
        let frame = u64::try_from(frame_bytes).unwrap_or(0);
        let least = frame.saturating_mul(FRAMES_MIN);
        let floor = if self.delivered < KNOWN_AFTER_BYTES {
            least.max(START_BYTES)
        } else {
            least
        };
        let Some(rtt) = least_rtt else {
            return floor;
        };
        // A lost acknowledgement must not stop a line whose round trip is shorter than a probe.
        let rtt = rtt.max(HOLD_MIN);
        let bdp = u128::from(self.rate).saturating_mul(rtt.as_micros()) / 1_000_000;
        let bdp = u64::try_from(bdp).unwrap_or(u64::MAX);
        bdp.saturating_mul(2)
            .saturating_add(frame.saturating_mul(2))
            .max(floor)
    }
}
