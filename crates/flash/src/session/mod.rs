//! One side's half of a session, the same for host and device.
//!
//! A [`Channel`] numbers frames, acknowledges what arrives, finds what is lost by order,
//! carries messages reliably and in order, and paces by acknowledgements. An [`Intake`]
//! turns the bytes of a link into frames and console lines.

mod channel;
mod console;
mod intake;
mod mailbox;
mod pace;
mod receipt;
mod rtt;
mod sizing;
mod tracker;

pub use channel::{Channel, Handled};
pub use intake::{Incoming, Intake};
pub use tracker::{Piece, Slice};
