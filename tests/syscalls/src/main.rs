//! `syscalls [--flow F] [--kinds K] [--every N] [--seed S] [--only CALL:N]`: see
//! `cargo xtask syscalls`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that says what it found"
)]

use std::error::Error as _;
use std::process::ExitCode;

use syscalls::{Options, Trouble, run};

fn main() -> ExitCode {
    let tell = |finding: &str| println!("{finding}");
    let result = Options::parse(std::env::args().skip(1)).and_then(|options| run(&options, &tell));
    match result {
        Ok(table) => {
            print!("{table}");
            ExitCode::from(u8::from(table.violations() > 0))
        }
        Err(trouble) => {
            let cause = trouble.source().map(|cause| format!(": {cause}"));
            eprintln!("error: {trouble}{}", cause.unwrap_or_default());
            match trouble {
                Trouble::Usage(_) => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}
