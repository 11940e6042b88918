//! The host's machine against a peer that does by hand what a device does.

mod bench;
mod calling;
mod chatter;
mod image;
mod jobs;
mod lost_sessions;
mod packed;
mod refusals;
mod transfer;
