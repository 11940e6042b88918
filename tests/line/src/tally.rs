//! What has happened on a line in one direction.

use std::fmt;
use std::time::Duration;

/// What has happened in one direction so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bytes that the line has carried, lost ones among them.
    pub carried: u64,
    /// Time for which it carried bytes.
    pub busy: Duration,
    /// Bits flipped.
    pub bits_flipped: u64,
    /// Bytes lost in bursts.
    pub burst_lost: u64,
    /// Bytes that were sampled with another speed than they were sent with.
    pub mismatched: u64,
    /// Bytes lost because nobody had read those before them.
    pub overrun: u64,
    /// The longest time by which the line's own thread came late.
    pub late_max: Duration,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "carried {} bytes in {:.3} s of line time: {} bits flipped, {} bytes lost in bursts, \
             {} at mismatched speeds, {} overrun; at most {:.1} ms late",
            self.carried,
            self.busy.as_secs_f64(),
            self.bits_flipped,
            self.burst_lost,
            self.mismatched,
            self.overrun,
            self.late_max.as_secs_f64() * 1e3,
        )
    }
}
