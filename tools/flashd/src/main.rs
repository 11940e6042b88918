//! The device half of `nx flash` for Linux targets.
//!
//! Refuses to install what is not signed by a key that it was given, and to write to its target
//! before the whole image is proven (layout `file`). It is a shell: the protocol is the device
//! machine of `nx-flash`, storage is its `FileStore`, the port is any that `nx-transport` opens.

mod anchors;
mod args;
mod error;
mod markers;
mod serve;
mod stop;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let args = args::Args::parse();
    match serve::serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nowhere else to say it.
            let _ = writeln!(io::stderr(), "flashd: {}", error.chain().escape_debug());
            ExitCode::from(error.code())
        }
    }
}
