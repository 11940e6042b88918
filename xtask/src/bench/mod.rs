//! Benches: how fast, how large, beside what others do with the same work at the same time.
//!
//! `docs/performance.md` says what the tables mean, and how to repeat them.

mod emulator;
mod folder;
mod image;
mod lanes;
mod line;
mod machine;
mod median;
mod memory;
mod options;
mod players;
mod process;
mod programs;
mod selection;
mod socket;
mod table;

pub(crate) use options::Options;
pub use selection::{BENCHES, Bench, run};
pub(crate) use table::Table;
