//! Many transfers over bad lines, in virtual time. What fails is told with its seed.
#![expect(clippy::print_stdout, reason = "a program that people run by hand")]

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use flash_matrix::Soak;

/// Send images over bad lines in virtual time, one a seed
#[derive(Debug, Parser)]
struct Args {
    /// The first seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many seeds, one after another
    #[arg(long, default_value_t = 1)]
    count: u64,
    /// Tell of each transfer
    #[arg(long)]
    verbose: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let started = Instant::now();
    let mut failed = 0_u64;
    let mut slowest = None;
    for seed in args.seed..args.seed.saturating_add(args.count) {
        let soak = Soak::of(seed);
        if args.verbose {
            println!("{soak}");
        }
        match soak.run() {
            Ok(soaked) => {
                if args.verbose {
                    println!("  {soaked:?}");
                }
                slowest = slowest.max(Some((soaked.elapsed, seed)));
            }
            Err(why) => {
                failed = failed.saturating_add(1);
                println!("FAILED {soak}\n  {why}");
                println!("  again: {}", soak.command());
            }
        }
    }
    println!(
        "{} transfers, {failed} failed, {:?}",
        args.count,
        started.elapsed()
    );
    if let Some((elapsed, seed)) = slowest {
        println!("the longest took {elapsed:?} of virtual time: seed {seed}");
    }
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
