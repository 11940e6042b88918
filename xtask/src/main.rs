//! `cargo xtask TASK`: see `cargo xtask help`.
#![expect(
    clippy::print_stderr,
    reason = "the last word of a failed task goes to the terminal"
)]

use std::process::ExitCode;

use xtask::{Repo, Task, XtaskError};

fn main() -> ExitCode {
    let outcome = Task::parse(std::env::args().skip(1)).and_then(|task| task.run(&Repo::find()?));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error.with_causes());
            match error {
                XtaskError::Usage { .. } => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}
