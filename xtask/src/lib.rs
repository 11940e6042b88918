//! The project's own chores, run as `cargo xtask TASK`.
//!
//! Refuses to be a second source of truth: what CI does is [`ci`], what the tests need is
//! [`setup`] and [`parts`], and the rules that no compiler checks are [`tidy`]. The shell script
//! `.ci/run` only calls it. It installs nothing that is already there, and writes nothing outside
//! the target directory but the Debian packages that [`setup`] names.

pub mod bench;
pub mod ci;
pub mod command;
pub mod defects;
pub mod deny;
pub mod error;
pub mod fuzz;
pub mod parts;
pub mod qemu;
pub mod repo;
pub mod setup;
pub mod sim;
pub mod syscalls;
pub mod targets;
pub mod task;
pub mod test;
pub mod tidy;
pub mod timing;

pub use error::{Result, XtaskError};
pub use repo::Repo;
pub use task::Task;
