//! The `nx` command line: arguments, output and exit codes over the libraries that do the work.
//!
//! This crate refuses to hold logic of its own: a command reads its arguments, calls one library,
//! and says what came of it. It alone turns errors into exit codes, by the one table in
//! `docs/provisioning/exit-codes.md`, and it prints no byte of a file or a peer unfiltered.
//!
//! It is a library so that anyone can build an `nx` with drivers of their own:
//!
//! ```no_run
//! // use my_driver as _; // or its drivers are silently absent
//! fn main() -> std::process::ExitCode {
//!     nx::run()
//! }
//! ```

mod cli;
mod commands;
mod config;
mod error;
mod exit;
mod interrupt;
mod keys;
mod output;
mod progress;
mod reason;
mod size;
mod text;

pub use cli::run;
pub use exit::Exit;
