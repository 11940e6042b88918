//! Cuts the power of a simulated world by the hundred thousand, all from one seed.
#![expect(clippy::print_stdout, reason = "a program that people run by hand")]

use std::process::ExitCode;
use std::thread;

use clap::Parser;
use sim::{Run, Transfer, replay};

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
    /// Instead, harm every frame and byte of a transfer, and lose every pair of frames
    #[arg(long)]
    links: bool,
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
    if args.links {
        return code(links(args.threads.unwrap_or(cores)));
    }
    let run = Run {
        seed: args.seed,
        states: args.states,
        threads: args.threads.unwrap_or(cores),
        without_sync_of: None,
    };
    let report = run.run();
    println!("{report}");
    code(report.violations.is_empty())
}

/// Every fault of one frame, every pair of lost ones, every byte; says whether all went well.
fn links(threads: usize) -> bool {
    let small = Transfer::of(20_000, 2_048);
    let long = Transfer::of(20_000, 512);
    let mut well = true;
    for (what, transfer, cases) in [
        ("one frame lost", &small, small.singles()),
        ("two frames lost", &small, small.pairs()),
        (
            "a frame late, twice, cut, behind old ones",
            &small,
            small.others(),
        ),
        ("one byte flipped, zeroed or set", &long, long.bytes()),
    ] {
        let [to_device, to_host] = transfer.frames();
        let tally = transfer.run_all(&cases, threads);
        println!("{what}, of {to_device} + {to_host} frames: {tally}");
        well &= tally.failed.is_empty();
    }
    well
}

const fn code(is_well: bool) -> ExitCode {
    if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
