//! Every parser of bytes from outside under libFuzzer, guided by coverage, on stable Rust.
//!
//! `tests/fuzz` has the targets and, in `corpus/`, what is worth keeping of earlier runs. A run
//! begins with that and with well-formed inputs, and one seed and one count of runs give the same
//! inputs again.

mod campaign;
mod engine;
mod outcome;

pub use campaign::run;
