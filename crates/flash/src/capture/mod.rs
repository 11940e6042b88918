//! Captured sessions: one pcapng file that holds all that went into a machine.
//!
//! Interface 0 (link type USER0) has the frames of both directions, as Wireshark shows them.
//! Interface 1 (link type USER1) has what a machine's replay needs beside them: its
//! configuration, the time of every round, the answers to its requests, and the events that
//! it told. `docs/provisioning/overview.md`, "Captures".

mod nonce;
mod record;
mod recorded;
mod recorder;
mod replay;
mod tracks;

pub use nonce::first_nonce;
pub use record::{CaptureError, Record, Recorded, Side};
pub use recorder::Recorder;
pub use replay::{Divergence, Replay, Replayed, side_of};
