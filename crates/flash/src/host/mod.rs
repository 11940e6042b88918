//! The host's half of the protocol. No I/O, no clock.
//!
//! `docs/provisioning/protocol.md`, "Sessions" and "A transfer".

mod calling;
mod config;
mod event;
mod greeting;
mod job;
mod objects;
mod packing;
mod parting;
mod plan;
mod progress;
mod speed;
mod state;
mod working;

pub use config::HostConfig;
pub use event::{Event, Failure, Job, Outcome, Request};
pub use progress::Progress;
pub use state::Host;
