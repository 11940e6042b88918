//! What became of each claim.

use std::fmt;

/// What became of one claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Passed,
    /// By its `Caps` the link does not promise that; here is which.
    Skipped(&'static str),
    /// It does not hold; here is what happened.
    Failed(String),
}

/// What became of every claim, with each end in each part.
#[derive(Clone, Debug, Default)]
pub struct Report {
    lines: Vec<Line>,
}

#[derive(Clone, Debug)]
struct Line {
    claim: &'static str,
    swapped: bool,
    outcome: Outcome,
}

impl Report {
    pub(super) fn add(&mut self, claim: &'static str, swapped: bool, outcome: Outcome) {
        self.lines.push(Line {
            claim,
            swapped,
            outcome,
        });
    }

    /// Every claim, whether the ends had swapped parts, and what became of it.
    pub fn outcomes(&self) -> impl Iterator<Item = (&'static str, bool, &Outcome)> {
        self.lines
            .iter()
            .map(|line| (line.claim, line.swapped, &line.outcome))
    }

    /// One line for each claim that failed.
    pub fn failed(&self) -> impl Iterator<Item = String> {
        self.lines_where(|outcome| matches!(outcome, Outcome::Failed(_)))
    }

    /// One line for each claim that was skipped.
    pub fn skipped(&self) -> impl Iterator<Item = String> {
        self.lines_where(|outcome| matches!(outcome, Outcome::Skipped(_)))
    }

    fn lines_where(&self, want: fn(&Outcome) -> bool) -> impl Iterator<Item = String> {
        self.lines
            .iter()
            .filter(move |line| want(&line.outcome))
            .map(ToString::to_string)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = if self.swapped {
            "second end"
        } else {
            "first end"
        };
        match &self.outcome {
            Outcome::Passed => write!(f, "passed  {} ({part})", self.claim),
            Outcome::Skipped(why) => write!(f, "skipped {} ({part}): {why}", self.claim),
            Outcome::Failed(why) => write!(f, "FAILED  {} ({part}): {why}", self.claim),
        }
    }
}
