//! The end of a wait on real time.

use std::time::{Duration, Instant};

/// Longest single wait handed to the system; longer ones are waited in pieces.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// The end of a wait on real time; never, when it lies beyond what the clock can say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// `timeout` from now.
    pub(crate) fn after(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout))
    }

    /// What is left, at most an hour; zero when the time is up.
    pub(crate) fn left(self) -> Duration {
        self.0.map_or(WAIT_MAX, |end| {
            end.saturating_duration_since(Instant::now()).min(WAIT_MAX)
        })
    }

    /// Whether the time is up.
    pub(crate) fn is_over(self) -> bool {
        self.left().is_zero()
    }
}
