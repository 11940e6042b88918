//! `lossy+`, which does to any link what bad links do, by plan and seed.

mod dice;
mod faults;
mod lane;
mod link;

pub use faults::{Faults, Way};
pub use lane::Tally;
pub use link::Lossy;

#[cfg(test)]
mod tests;
