//! One seed runs the world: the real host and device, the real loop around them, the real file
//! store and the real reset, on simulated time, link, medium and power.
//!
//! A run is recorded operation by operation on a folder in memory. From the record follow the
//! states that a power cut may leave, and in each of them the real code has to recover; that run
//! is recorded too, and cut again. What has to hold is said by a checker that shares no code with
//! what it checks. `docs/decisions/0011-a-simulated-medium.md` tells why it is done like this.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a harness of tests stops at the first surprise"
)]

mod ab_world;
mod cuts;
mod distrust;
mod explorer;
mod fault;
mod flash_world;
mod links;
mod loader;
mod medium;
mod promises;
mod recorder;
mod release;
mod reset_world;
mod run;
mod session;
mod tree;
mod wire;
mod world;

pub use links::{Harmed, Tally, Transfer, Way};
pub use run::{Outcome, Report, Run, replay};
pub use session::{Ended, Session};
pub use wire::{Harm, Harms};
