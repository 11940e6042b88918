//! The clock that a link's timeouts are counted on.

use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use crate::manual_clock::ManualClock;
use crate::virtual_clock::Seat;

/// Tells the time and sleeps, on real or on virtual time. Cheap to clone.
///
/// Times are a `Duration` since an arbitrary start and never go backwards. Times of two clocks
/// compare only when both are [monotonic](Self::monotonic) or of one
/// [`VirtualClock`](crate::VirtualClock).
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Monotonic,
    Virtual(Seat),
    Manual(ManualClock),
}

impl Clock {
    /// The machine's monotonic clock; starts at the first use in the process.
    #[must_use]
    pub const fn monotonic() -> Self {
        Self(Kind::Monotonic)
    }

    pub(crate) const fn manual(clock: ManualClock) -> Self {
        Self(Kind::Manual(clock))
    }

    pub(crate) const fn virtual_seat(seat: Seat) -> Self {
        Self(Kind::Virtual(seat))
    }

    /// Time since the clock's start.
    ///
    /// On virtual time this first waits for the caller's turn, so that what it reads does not
    /// depend on how the machine schedules threads.
    #[must_use]
    pub fn now(&self) -> Duration {
        match &self.0 {
            Kind::Monotonic => start().elapsed(),
            Kind::Virtual(seat) => seat.now(),
            Kind::Manual(clock) => clock.now(),
        }
    }

    /// Returns once [`now`](Self::now) has reached `time`; at once when it has passed.
    pub fn sleep_until(&self, time: Duration) {
        match &self.0 {
            Kind::Monotonic => thread::sleep(time.saturating_sub(self.now())),
            Kind::Virtual(seat) => seat.sleep_until(time),
            Kind::Manual(clock) => clock.advance_to(time),
        }
    }

    /// Whether time is virtual.
    #[must_use]
    pub const fn is_virtual(&self) -> bool {
        matches!(self.0, Kind::Virtual(_) | Kind::Manual(_))
    }

    /// Runs `work` without holding up virtual time: the others run on meanwhile.
    ///
    /// For what waits for another party in real time, such as joining its thread; without this
    /// the party that joins would keep the turn, and the other would wait for it for ever. How far
    /// virtual time gets meanwhile depends on the others alone. On real time, just runs it.
    pub fn outside<R>(&self, work: impl FnOnce() -> R) -> R {
        match &self.0 {
            Kind::Monotonic | Kind::Manual(_) => work(),
            Kind::Virtual(seat) => seat.outside(work),
        }
    }
}

fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_sleep_reaches_its_time() {
        let clock = Clock::monotonic();
        let until = clock.now() + Duration::from_millis(2);
        clock.sleep_until(until);
        assert!(clock.now() >= until);
    }
}
