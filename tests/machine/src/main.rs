//! `machine`: the scenarios by hand; `cargo xtask qemu` fetches what they need first.
#![expect(clippy::print_stderr, reason = "the last word of a failed run")]

use std::{error::Error as _, process::ExitCode};

use clap::Parser;
use machine::{MachineError, scenario};

/// Takes a blank virtual machine through its whole life, and prints each step with its time.
#[derive(Debug, Parser)]
#[command(name = "machine", version, max_term_width = 100)]
struct Args {
    /// Compare a transfer with socat into dd through the same port, instead
    #[arg(long)]
    compare: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = if args.compare {
        scenario::compare()
    } else {
        scenario::life()
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

fn with_causes(error: &MachineError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!("\n  because: {error}"));
        cause = error.source();
    }
    text
}
