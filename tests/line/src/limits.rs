//! Bounds of what a line holds.

use std::time::Duration;

/// Bytes per second that a line can be asked for. At more the system's queues are emptied within
/// the time that a thread may be kept waiting.
pub const RATE_MAX: u32 = 4_000_000;

/// Longest latency one way. With [`RATE_MAX`] it bounds what is under way to 40 MB.
pub const LATENCY_MAX: Duration = Duration::from_secs(10);

/// Bytes lost in one burst.
pub const BURST_BYTES_MAX: u32 = 1024 * 1024;

/// Bytes that have arrived and that nobody has read, beside what the system queues (12 KiB).
/// Together they are what Linux keeps for a UART: 4 KiB to read and 64 KiB behind that.
pub const INBOX_BYTES_MAX: usize = 56 * 1024;

/// How often the speeds are looked at while nothing passes.
pub const SPEED_LOOK_EVERY: Duration = Duration::from_millis(2);

/// Time whose bytes arrive together: the FIFO of a UART, at any rate.
pub const PIECE: Duration = Duration::from_millis(1);

/// Bytes read ahead of a line of `rate` bytes per second: 512, or two milliseconds' worth.
///
/// Enough that the line does not run dry while the system moves bytes from one of its queues to
/// the other.
#[must_use]
pub fn fifo_bytes(rate: u32) -> usize {
    usize::try_from(rate.div_ceil(500)).map_or(512, |bytes| bytes.max(512))
}
