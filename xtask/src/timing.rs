//! How long each step took, as a table.

use std::{
    fmt,
    time::{Duration, Instant},
};

/// The times of the steps that ran, in order.
#[derive(Debug, Default)]
pub struct Timings {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: &'static str,
    took: Duration,
    ok: bool,
}

impl Timings {
    /// Runs `step` and notes its time, whether it succeeds or not.
    ///
    /// # Errors
    /// Those of `step`.
    pub fn measure<T, E>(
        &mut self,
        name: &'static str,
        step: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let start = Instant::now();
        let outcome = step();
        self.rows.push(Row {
            name,
            took: start.elapsed(),
            ok: outcome.is_ok(),
        });
        outcome
    }
}

impl fmt::Display for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<10} {:>9}  result", "step", "seconds")?;
        for row in &self.rows {
            let result = if row.ok { "ok" } else { "FAILED" };
            writeln!(
                f,
                "{:<10} {:>9.1}  {result}",
                row.name,
                row.took.as_secs_f64()
            )?;
        }
        let total: Duration = self.rows.iter().map(|row| row.took).sum();
        write!(f, "{:<10} {:>9.1}", "total", total.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_has_its_row() {
        let timings = Timings {
            rows: vec![
                Row {
                    name: "format",
                    took: Duration::from_millis(1_250),
                    ok: true,
                },
                Row {
                    name: "test",
                    took: Duration::from_secs(61),
                    ok: false,
                },
            ],
        };
        assert_eq!(
            timings.to_string(),
            "step         seconds  result\n\
             format           1.2  ok\n\
             test            61.0  FAILED\n\
             total           62.2"
        );
    }

    #[test]
    fn the_outcome_passes_through() {
        let mut timings = Timings::default();
        assert_eq!(timings.measure("a", || Ok::<_, ()>(7)), Ok(7));
        assert_eq!(timings.measure("b", || Err::<(), _>("no")), Err("no"));
        let results: Vec<bool> = timings.rows.iter().map(|row| row.ok).collect();
        assert_eq!(results, [true, false]);
    }
}
