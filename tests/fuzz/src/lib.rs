//! Every parser of bytes from outside, as a fuzz target.
//!
//! A [`Target`] takes any bytes, and must neither panic, nor take memory or time without bound,
//! nor accept what it would not itself write. `cargo xtask fuzz` runs them all under libFuzzer,
//! guided by coverage. What it found worth keeping is in `corpus/`, and the tests replay that
//! without any engine.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a target stops at the first surprise: that is what the engine looks for"
)]

mod peer;
mod scratch;
mod target;
mod targets;

pub use target::Target;
pub use targets::TARGETS;
