use std::{
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    bench::{
        median::median,
        process::{PLAYER, Started, put_ahead},
    },
    error::{Result, XtaskError},
};

/// Nothing here takes longer.
const LIMIT: Duration = Duration::from_secs(1800);

/// Something that is done in every round, and how long it took.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) name: &'static str,
    seconds: Vec<f64>,
    processor: Vec<f64>,
}

impl Task {
    pub(super) const fn new(name: &'static str) -> Self {
        Self {
            name,
            seconds: Vec::new(),
            processor: Vec::new(),
        }
    }

    /// Does it once, ahead of everything else on the machine.
    pub(super) fn time(&mut self, command: &Command) -> Result<()> {
        let mut command = put_ahead(command, PLAYER);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        match Started::new(command, self.name)?.wait(LIMIT)? {
            Some(ended) if ended.status.success() => {
                self.seconds.push(ended.took.as_secs_f64());
                self.processor.push(ended.cpu_seconds);
                Ok(())
            }
            ended => Err(XtaskError::Unexpected {
                what: self.name.to_owned(),
                detail: format!("{ended:?}"),
            }),
        }
    }

    /// Seconds, the median of all rounds.
    pub(super) fn seconds(&self) -> f64 {
        median(self.seconds.iter().copied()).unwrap_or(f64::NAN)
    }

    /// Seconds of processor time, the median of all rounds.
    pub(super) fn processor(&self) -> f64 {
        median(self.processor.iter().copied()).unwrap_or(f64::NAN)
    }

    /// The median of what this took in each round as a multiple of what `others` took in the
    /// same round, one after the other.
    pub(super) fn ratio(&self, others: &[&Self]) -> f64 {
        let rounds = self.seconds.iter().enumerate().map(|(round, seconds)| {
            let of = |other: &&Self| other.seconds.get(round).copied().unwrap_or(f64::NAN);
            seconds / others.iter().map(of).sum::<f64>()
        });
        median(rounds).unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_the_same_round() {
        let task = |seconds: &[f64]| Task {
            name: "task",
            seconds: seconds.to_vec(),
            processor: Vec::new(),
        };
        let ours = task(&[1.0, 20.0, 3.0]);
        let theirs = task(&[2.0, 40.0, 3.0]);
        assert!((ours.ratio(&[&theirs]) - 0.5).abs() < 1e-9);
        assert!((ours.ratio(&[&theirs, &theirs]) - 0.25).abs() < 1e-9);
    }

    #[test]
    fn what_fails_is_not_timed() {
        let mut task = Task::new("false");
        task.time(&Command::new("false")).unwrap_err();
        assert!(task.seconds().is_nan());
        task.time(&Command::new("true")).unwrap();
        assert!(task.seconds() > 0.0);
    }
}
