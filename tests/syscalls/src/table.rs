//! What all runs came to.

use std::fmt;

use crate::kind::Kind;
use crate::run::Tally;

/// A row for each flow and kind.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<(&'static str, Kind, Tally)>,
}

impl Table {
    pub(crate) fn row(&mut self, flow: &'static str, kind: Kind) -> &mut Tally {
        let is_it = |row: &(&str, Kind, Tally)| (row.0, row.1) == (flow, kind);
        let at = self.rows.iter().position(is_it).unwrap_or_else(|| {
            self.rows.push((flow, kind, Tally::default()));
            self.rows.len().saturating_sub(1)
        });
        // It was found or made on the line above.
        #[expect(clippy::indexing_slicing, reason = "the position is that of a row")]
        &mut self.rows[at].2
    }

    /// Runs with a finding.
    pub fn violations(&self) -> usize {
        self.rows.iter().map(|row| row.2.violations).sum()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| flow | fault | calls | injected | not reached | violations | seconds |\n\
             |---|---|---|---|---|---|---|"
        )?;
        let mut sum = Tally::default();
        for (flow, kind, tally) in &self.rows {
            line(f, flow, kind.name(), tally)?;
            for (total, part) in [
                (&mut sum.calls, tally.calls),
                (&mut sum.injected, tally.injected),
                (&mut sum.unreached, tally.unreached),
                (&mut sum.violations, tally.violations),
            ] {
                *total = total.saturating_add(part);
            }
            sum.time = sum.time.saturating_add(tally.time);
        }
        line(f, "all", "all", &sum)
    }
}

fn line(f: &mut fmt::Formatter<'_>, flow: &str, kind: &str, tally: &Tally) -> fmt::Result {
    let Tally {
        calls,
        injected,
        unreached,
        violations,
        time,
    } = tally;
    let seconds = time.as_secs_f64();
    writeln!(
        f,
        "| {flow} | {kind} | {calls} | {injected} | {unreached} | {violations} | {seconds:.1} |"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_added_up() {
        let mut table = Table::default();
        table.row("send", Kind::Kill).calls = 3;
        table.row("send", Kind::Eio).calls = 2;
        table.row("send", Kind::Kill).violations = 1;
        assert_eq!(table.violations(), 1);
        let text = table.to_string();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "| send | kill | 3 | 0 | 0 | 1 | 0.0 |",
                "| send | eio | 2 | 0 | 0 | 0 | 0.0 |",
                "| all | all | 5 | 0 | 0 | 1 | 0.0 |"
            ]
        );
    }
}
