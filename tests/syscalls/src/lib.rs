//! The shipped binaries, killed at every system call by which they change something, and refused
//! it with EIO and ENOSPC.
//!
//! Refuses to link anything of the project: what a program left is judged by what plain tools see
//! of it. `strace` takes the calls away: one run without a fault numbers the calls of the victim,
//! and then each of them goes wrong in a run of its own. `cargo xtask syscalls` runs it.

mod call;
mod daemon;
mod error;
mod flow;
mod flows;
mod kind;
mod listing;
mod options;
mod process;
mod report;
mod room;
mod run;
mod table;
mod watch;
mod world;

pub use error::{Result, Trouble};
pub use options::Options;
pub use run::{Tally, run};
pub use table::Table;
