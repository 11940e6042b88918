//! The serial line that programs are measured on: a process of `tests/line`.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{ChildStdout, Stdio},
};

use super::{
    process::{HARDWARE, Started, ahead},
    programs::Programs,
};
use crate::error::{Result, XtaskError};

/// Speed that the terminals are set to, in baud; eight bits, no parity, one stop bit.
pub(super) const BAUD: u32 = 921_600;
/// What that carries, in bytes per second.
pub(super) const RATE: u32 = BAUD / 10;

/// A line under way.
#[derive(Debug)]
pub(super) struct Emulator {
    process: Started,
    said: BufReader<ChildStdout>,
    ends: [PathBuf; 2],
}

/// What a line did in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Carried {
    pub(super) bytes: f64,
    pub(super) bits_flipped: f64,
    pub(super) burst_lost: f64,
    pub(super) overrun: f64,
    pub(super) late_max_ms: f64,
}

impl Emulator {
    /// Starts a line of [`RATE`] with more `conditions`, as `line --help` has them.
    pub(super) fn start(programs: &Programs, conditions: &[String]) -> Result<Self> {
        let mut command = ahead(&programs.line, HARDWARE);
        command
            .args(["--until-eof", "--rate", &RATE.to_string()])
            .args(["--baud", &BAUD.to_string()])
            .args(conditions)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Started::new(command, "line")?;
        let Some(stdout) = process.child.stdout.take() else {
            return Err(odd("nothing"));
        };
        let mut said = BufReader::new(stdout);
        let mut ends = [PathBuf::new(), PathBuf::new()];
        for end in &mut ends {
            let mut path = String::new();
            said.read_line(&mut path)
                .map_err(XtaskError::io("read from", "line"))?;
            if !path.starts_with('/') {
                return Err(odd(&path));
            }
            *end = PathBuf::from(path.trim());
        }
        Ok(Self {
            process,
            said,
            ends,
        })
    }

    /// The paths of both ends.
    pub(super) fn ends(&self) -> [&Path; 2] {
        let [near, far] = &self.ends;
        [near, far]
    }

    /// Seconds of processor time that it has used.
    pub(super) fn cpu_seconds(&mut self) -> f64 {
        self.process.cpu_seconds()
    }

    /// Ends it; returns what it did from the first end to the second, and back.
    pub(super) fn finish(mut self) -> Result<[Carried; 2]> {
        drop(self.process.child.stdin.take());
        let mut text = String::new();
        self.said
            .read_to_string(&mut text)
            .map_err(XtaskError::io("read from", "line"))?;
        parse(&text).ok_or_else(|| odd(&text))
    }
}

/// Opens an end without making it anybody's terminal.
pub(super) fn open(end: &Path) -> Result<File> {
    /// `O_NOCTTY`
    const NOCTTY: i32 = 0o400;
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(NOCTTY)
        .open(end)
        .map_err(XtaskError::io("open", end))
}

fn parse(text: &str) -> Option<[Carried; 2]> {
    let way = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let numbers: Vec<f64> = line
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        let [bytes, _, bits_flipped, burst_lost, _, overrun, late_max_ms] = *numbers else {
            return None;
        };
        Some(Carried {
            bytes,
            bits_flipped,
            burst_lost,
            overrun,
            late_max_ms,
        })
    };
    Some([way("there: ")?, way("back: ")?])
}

fn odd(said: &str) -> XtaskError {
    XtaskError::Unexpected {
        what: "what `line` says".to_owned(),
        detail: format!("{said:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_line_says_at_its_end_is_understood() {
        let text = "there: carried 1078348 bytes in 11.701 s of line time: 7 bits flipped, 64 \
                    bytes lost in bursts, 3 at mismatched speeds, 2 overrun; at most 4.8 ms late\n\
                    back: carried 104 bytes in 0.001 s of line time: 0 bits flipped, 0 bytes lost \
                    in bursts, 0 at mismatched speeds, 0 overrun; at most 4.8 ms late\n";
        let [there, back] = parse(text).unwrap();
        let want = Carried {
            bytes: 1_078_348.0,
            bits_flipped: 7.0,
            burst_lost: 64.0,
            overrun: 2.0,
            late_max_ms: 4.8,
        };
        assert_eq!(there, want);
        assert!((back.bytes - 104.0).abs() < 0.5);
        assert_eq!(parse("there: nothing"), None);
    }
}
