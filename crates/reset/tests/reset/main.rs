//! Factory reset on real file systems: what goes, what stays, and what happens when it is cut.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stderr,
    reason = "a test may stop at the first surprise"
)]

mod cuts;
mod golden;
mod hold;
mod mounts;
mod persistence;
mod proof;
mod races;
mod recording;
mod refusals;
mod resume;
mod shapes;
mod state;
mod unprivileged;
