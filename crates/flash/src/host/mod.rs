//! The host's half of the protocol. No I/O, no clock.
//!
//! `docs/provisioning/protocol.md`, "Sessions" and "A transfer".

mod config;
mod event;
mod job;
mod plan;
mod state;

pub use config::HostConfig;
pub use event::{Event, Failure, Job, Outcome, Request};
pub use state::{Host, Progress};
