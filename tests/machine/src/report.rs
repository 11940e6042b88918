//! What a run prints: each step with its time.

use std::{
    io::{self, Write as _},
    time::{Duration, Instant},
};

use crate::error::Result;

/// Times steps and prints them as they end.
#[derive(Debug)]
pub struct Report {
    started: Instant,
}

impl Report {
    /// Begins now.
    #[must_use]
    pub fn begin() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    /// Does a step; prints its name, its time and what it says of itself.
    ///
    /// # Errors
    /// Those of the step, which is printed as failed.
    pub fn step<T>(&self, name: &str, step: impl FnOnce() -> Result<(T, String)>) -> Result<T> {
        let started = Instant::now();
        let outcome = step();
        let took = started.elapsed();
        match outcome {
            Ok((value, note)) => {
                line(&row(name, took, &note));
                Ok(value)
            }
            Err(error) => {
                line(&row(name, took, "FAILED"));
                Err(error)
            }
        }
    }

    /// Prints the time since the beginning.
    pub fn end(&self) {
        line(&row("all", self.started.elapsed(), ""));
    }
}

fn row(name: &str, took: Duration, note: &str) -> String {
    let row = format!("{name:<44} {:>7.1} s  {note}", took.as_secs_f64());
    row.trim_end().to_owned()
}

/// Prints a line at once. A reader that has gone does not stop the run.
pub fn line(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stand_below_each_other() {
        let one = row("boot", Duration::from_millis(1_250), "slot a");
        let two = row("a longer name", Duration::from_secs(100), "");
        assert_eq!(
            one.find(" s  slot a"),
            two.find(" s").filter(|_| two.ends_with(" s"))
        );
        assert!(one.contains("1.2 s") || one.contains("1.3 s"), "{one}");
    }
}
