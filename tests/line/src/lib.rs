//! A serial line between two pseudo-terminals, for tests and benches of real programs.
//!
//! Refuses to know what the bytes mean, and uses nothing of the project that it measures. What
//! goes wrong on a line follows from a seed; when a byte passes follows from the rate alone:
//! [`Lane`] is a line in one direction, without clock or terminal, and [`Line`] the thread that
//! moves bytes between two terminals as it says.
//!
//! What a program sees:
//! - Its writes are taken at the rate of the line. Ahead of the line lie at most
//!   [`limits::fifo_bytes`] here and what the system queues for a pseudo-terminal: on Linux 6.18,
//!   13.5 KiB with large writes and 20 KiB with small ones, which cannot be set. (The driver of a
//!   UART queues 4 KiB. Stopping the terminal's output instead, with `TCOOFF`, makes it worse:
//!   what is then let in at once is as much again.)
//! - A byte arrives when its last bit would have, rounded up to a millisecond's worth of bytes, as
//!   with the FIFO of a UART. What the reader leaves behind waits, up to
//!   [`limits::INBOX_BYTES_MAX`]; then it is lost, as on a line without flow control.
//! - No hang-up: the end stays open, whoever comes and goes.
//! - The speed set with `tcsetattr` matters: a byte is sampled with the receiver's speed. A new
//!   speed of the sender counts once all that it had queued has left, and at the latest
//!   [`limits::SPEED_LOOK_EVERY`] after it was set: drivers drain before they change, which a
//!   pseudo-terminal does not let them wait for.

mod conditions;
mod dice;
mod end;
mod error;
mod lane;
pub mod limits;
mod line;
mod noise;
mod tally;
mod uart;

pub use conditions::{Conditions, Pace};
pub use error::LineError;
pub use lane::Lane;
pub use line::Line;
pub use tally::Tally;
