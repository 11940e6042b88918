//! What libFuzzer said at its end.

use std::str::FromStr;

/// How the runs of one target ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Inputs that were tried.
    pub(super) runs: u64,
    /// Edges of the program that they reached.
    pub(super) edges: u64,
    /// Inputs that reached something new.
    pub(super) kept: u64,
    /// It ended by itself: no crash, no hang, no memory beyond the bound.
    pub(super) clean: bool,
}

impl Outcome {
    /// Reads the log of a run: `#1000 DONE cov: 12 ft: 40 corp: 5/57b …`; nothing when it has no
    /// line of progress at all.
    pub(super) fn of(log: &str, succeeded: bool) -> Option<Self> {
        let line = log
            .lines()
            .rfind(|line| line.starts_with('#') && line.contains(" cov: "))?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |name: &str| {
            let at = words.iter().position(|word| *word == name)?;
            words.get(at.checked_add(1)?).copied()
        };
        let done = words.get(1) == Some(&"DONE");
        Some(Self {
            runs: number(words.first()?.strip_prefix('#')?)?,
            edges: number(after("cov:")?)?,
            kept: number(after("corp:")?.split('/').next()?)?,
            clean: succeeded && done,
        })
    }
}

fn number(text: &str) -> Option<u64> {
    u64::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "INFO: Seed: 1\n\
        #4\tINITED cov: 60 ft: 60 corp: 1/20b exec/s: 0 rss: 30Mb\n\
        #1000\tDONE   cov: 75 ft: 141 corp: 30/644b lim: 98 exec/s: 0 rss: 33Mb\n\
        Done 1000 runs in 0 second(s)\n";

    #[test]
    fn the_last_line_of_progress_counts() {
        let done = Outcome::of(LOG, true).unwrap();
        let figures = (done.runs, done.edges, done.kept);
        assert_eq!(figures, (1_000, 75, 30));
        assert!(done.clean);
    }

    #[test]
    fn what_was_not_done_or_did_not_succeed_is_not_clean() {
        assert!(!Outcome::of(LOG, false).unwrap().clean);
        let cut = LOG.replace("DONE", "NEW");
        assert!(!Outcome::of(&cut, true).unwrap().clean);
        assert_eq!(Outcome::of("cannot start\n", true), None);
    }
}
