//! Time that a simulation sets by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Clock;

/// A clock that stands still until it is told otherwise.
///
/// For a simulation that runs both ends of a link in one thread, where the parties of a
/// [`VirtualClock`](crate::VirtualClock) would wait for each other. Cheap to clone; clones tell
/// the same time. Sleeping on it does not wait: it sets the time.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// Stands at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Time since zero, to the nanosecond.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Acquire))
    }

    /// Moves on to `time`, at most 584 years; a time that has passed changes nothing.
    pub fn advance_to(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_max(nanos, Ordering::AcqRel);
    }

    /// For a [`Transport`](crate::Transport) that lives on this time.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock::manual(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_moves_only_forward_and_only_when_told() {
        let manual = ManualClock::new();
        let clock = manual.clock();
        assert_eq!(clock.now(), Duration::ZERO);
        manual.advance_to(Duration::from_millis(5));
        manual.advance_to(Duration::from_millis(3));
        assert_eq!(clock.now(), Duration::from_millis(5));
        clock.sleep_until(Duration::from_millis(9));
        assert_eq!(manual.now(), Duration::from_millis(9));
        assert!(clock.is_virtual());
    }
}
