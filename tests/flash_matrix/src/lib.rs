//! Every protocol test across every transport: what the tests here share.
//!
//! A [`Rig`] joins a host to a device over a [`Link`], with faults, and runs a job. In-memory
//! links run on virtual time: a test of minutes takes milliseconds and does the same on every
//! run. The others are real: pseudo-terminals, sockets, and real time.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a harness of tests stops at the first surprise"
)]

mod draw;
mod every_link;
mod link;
mod rig;
mod shells;
mod soak;

pub use draw::Draw;
pub use link::Link;
pub use nx_image::test_image::{TestImage, random_bytes};
pub use rig::{Outcome, Rig, run_for};
pub use shells::{DeviceShell, HostShell};
pub use soak::{Soak, Soaked};
