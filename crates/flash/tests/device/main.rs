//! The device's machine, driven frame by frame, on stores in memory and in files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop at the first surprise"
)]

mod ab;
mod bench;
mod files;
mod hostile;
mod image;
mod mixtures;
mod offers;
mod packed;
mod rivals;
mod sessions;
mod signatures;
mod transfers;
