//! Round trips, measured: smoothed as in RFC 6298, section 2.

use core::time::Duration;

use crate::limits::{ACK_DELAY, PROBE_AFTER_MAX, PROBE_AFTER_MIN};

/// Shortest time before a line whose round trip is known is probed.
pub(super) const PROBE_AFTER_KNOWN_MIN: Duration = Duration::from_millis(15);

/// Measured round-trip times, and the time after which silence means loss.
#[derive(Debug, Default)]
pub(super) struct Rtt {
    smoothed: Option<Duration>,
    variation: Duration,
    least: Option<Duration>,
}

impl Rtt {
    /// Takes one measurement.
    pub(super) fn sample(&mut self, rtt: Duration) {
        self.least = Some(self.least.map_or(rtt, |least| least.min(rtt)));
        let Some(smoothed) = self.smoothed else {
            self.smoothed = Some(rtt);
            self.variation = part(rtt, 2);
            return;
        };
        let off = smoothed.abs_diff(rtt);
        self.variation = part(self.variation.saturating_mul(3).saturating_add(off), 4);
        self.smoothed = Some(part(smoothed.saturating_mul(7).saturating_add(rtt), 8));
    }

    /// The smoothed round trip; zero while there is none.
    pub(super) fn smoothed(&self) -> Duration {
        self.smoothed.unwrap_or_default()
    }

    /// The shortest round trip seen.
    pub(super) const fn least(&self) -> Option<Duration> {
        self.least
    }

    /// How long to wait for an answer before frames are sent again; doubles per `round`.
    ///
    /// A tail that is lost is told by nothing else. Repeating a few frames too early costs less
    /// than waiting, so a line that is known is probed soon.
    pub(super) fn probe_after(&self, round: u32) -> Duration {
        let base = self.smoothed.map_or(PROBE_AFTER_MIN, |smoothed| {
            smoothed
                .saturating_add(self.variation.saturating_mul(4))
                .saturating_add(ACK_DELAY)
                .max(PROBE_AFTER_KNOWN_MIN)
        });
        let backed_off = base.saturating_mul(1 << round.min(8));
        // A slow line's own round trip may be above the cap; a retry must still wait for it.
        backed_off.min(PROBE_AFTER_MAX.max(self.smoothed.unwrap_or_default()))
    }
}

/// A `parts`-th of a duration.
fn part(duration: Duration, parts: u32) -> Duration {
    duration.checked_div(parts).unwrap_or(duration)
}
