//! The device half of `nx flash` for Linux targets.
//!
//! Refuses to install what is not signed by a key that it was given, and to write to its target
//! before the whole image is proven (layout `file`). It is a shell: the protocol is the device
//! machine of `nx-flash`, storage is its `FileStore`, the port is any that `nx-transport` opens.

mod anchors;
mod args;
mod backing;
mod error;
mod markers;
mod serve;
mod stop;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

use crate::markers::Markers;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let done = if args.confirm {
        backing::confirm(&args).map(|slot| Markers::to(io::stdout()).confirmed(slot))
    } else {
        serve::serve(&args)
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nowhere else to say it.
            let _ = writeln!(io::stderr(), "flashd: {}", error.chain().escape_debug());
            ExitCode::from(error.code())
        }
    }
}
