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
    /// Cut the power so many times during updates and first boots, instead
    #[arg(long, value_name = "N", conflicts_with = "compare")]
    power_cuts: Option<u32>,
    /// Make so many disks from the record of one update as a power cut could have left them,
    /// instead
    #[arg(long, value_name = "N", conflicts_with_all = ["compare", "power_cuts"])]
    states: Option<u32>,
    /// How many of those disks to boot
    #[arg(long, value_name = "N", default_value_t = 20)]
    boots: u32,
    /// When the power is cut follows from this number
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match args.power_cuts {
        Some(count) => scenario::power_cuts(count, args.seed),
        None if args.states.is_some() => {
            scenario::recorded(args.states.unwrap_or_default(), args.boots, args.seed)
        }
        None if args.compare => scenario::compare(),
        None => scenario::life(),
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
