//! Cuts the power of a simulated world by the hundred thousand, all from one seed.
#![expect(clippy::print_stdout, reason = "a program that people run by hand")]

use std::process::ExitCode;
use std::thread;

use clap::Parser;
use sim::{Run, replay};

/// Cut the power of a simulated world, and see it recover
#[derive(Debug, Parser)]
struct Args {
    /// Everything follows from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Distinct crash states to reach
    #[arg(long, default_value_t = 10_000)]
    states: usize,
    /// Threads; the report is the same with any number [default: one a core]
    #[arg(long)]
    threads: Option<usize>,
    /// Run this world only, and tell of one state
    #[arg(long)]
    world: Option<usize>,
    /// The state to tell of
    #[arg(long, default_value_t = 0)]
    state: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(world) = args.world {
        let outcome = replay(args.seed, world, args.state);
        println!("{}", outcome.told());
        return code(outcome.is_well());
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let run = Run {
        seed: args.seed,
        states: args.states,
        threads: args.threads.unwrap_or(cores),
    };
    let report = run.run();
    println!("{report}");
    code(report.violations.is_empty())
}

const fn code(is_well: bool) -> ExitCode {
    if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
