//! All worlds of a seed, in order, on as many threads as there are cores.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use flash_matrix::Draw;
use sha2::{Digest as _, Sha256};

use crate::cuts::Kind;
use crate::explorer::{Explorer, Findings};
use crate::recorder::leave_out_syncs_of;
use crate::world;

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Everything follows from it.
    pub seed: u64,
    /// Distinct crash states to reach.
    pub states: usize,
    /// Threads.
    pub threads: usize,
    /// A defect to try: nothing of this name is ever synced. The run ends with what it breaks; the
    /// root's name is empty.
    pub without_sync_of: Option<&'static str>,
}

/// What it gave.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Worlds that were run.
    pub worlds: usize,
    /// Crash states, each counted once, by what the medium held.
    pub distinct: usize,
    /// Of those, states in which something is there that came after something that is not.
    pub reordered: usize,
    /// Of those, states with a sector that is neither as it was nor as it should be.
    pub torn: usize,
    /// Of those, states after a second cut in the recovery from a first.
    pub double: usize,
    /// Of those, states after a third.
    pub triple: usize,
    /// Runs in which an operation failed.
    pub faults: usize,
    /// States of a medium that lied or rotted: no wrong image may pass there for a right one.
    pub apart: usize,
    /// What does not hold, with the command that repeats it.
    pub violations: Vec<String>,
    /// Over the log of all worlds, which has a line for every state.
    pub digest: String,
}

impl Run {
    /// Runs worlds, one after another, until there are so many distinct states.
    pub fn run(self) -> Report {
        let scratch = scratch();
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let (done, results) = mpsc::sync_channel(self.threads.max(1) * 2);
        thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                let done = done.clone();
                let (next, stop, scratch) = (&next, &stop, scratch.path());
                scope.spawn(move || {
                    leave_out_syncs_of(self.without_sync_of);
                    while !stop.load(Ordering::Relaxed) {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let outcome = one(self.seed, number, scratch, None);
                        if done
                            .send((number, outcome.findings, outcome.title))
                            .is_err()
                        {
                            return;
                        }
                    }
                });
            }
            drop(done);
            let report = self.gather(&results);
            stop.store(true, Ordering::Relaxed);
            // Whoever waits to hand over what nobody wants any more goes on.
            drop(results);
            report
        })
    }

    /// Takes the worlds in order, whatever order they end in.
    fn gather(self, results: &mpsc::Receiver<(usize, Findings, String)>) -> Report {
        let mut waiting = std::collections::BTreeMap::new();
        let mut seen = HashSet::new();
        let mut hasher = Sha256::new();
        let mut report = Report {
            seed: self.seed,
            ..Report::default()
        };
        let is_over =
            |report: &Report| self.without_sync_of.is_some() && !report.violations.is_empty();
        while report.distinct < self.states && !is_over(&report) {
            let found = loop {
                if let Some(found) = waiting.remove(&report.worlds) {
                    break found;
                }
                let (number, findings, title) = results.recv().expect("worlds do not end");
                waiting.insert(number, (findings, title));
            };
            let (findings, title): (Findings, String) = found;
            hasher.update(title.as_bytes());
            hasher.update(findings.log.finalize());
            report.faults += findings.faults;
            for (state, why) in findings.violations {
                let again = format!(
                    "cargo xtask sim --seed {} --world {} --state {state}",
                    self.seed, report.worlds
                );
                report.violations.push(format!(
                    "seed={} world={} step={state}: {title}: {why}\n  again: {again}",
                    self.seed, report.worlds
                ));
            }
            if findings.is_apart {
                report.apart += findings.states.len();
                report.worlds += 1;
                continue;
            }
            for state in findings.states {
                if !seen.insert(state.digest) {
                    continue;
                }
                report.distinct += 1;
                report.reordered += usize::from(state.kind == Kind::Reordered);
                report.torn += usize::from(state.kind == Kind::Torn);
                report.double += usize::from(state.cuts == 2);
                report.triple += usize::from(state.cuts == 3);
            }
            report.worlds += 1;
        }
        report.digest = hex(&hasher.finalize());
        report
    }
}

/// One world.
#[derive(Debug)]
pub struct Outcome {
    pub(crate) findings: Findings,
    title: String,
    story: String,
}

impl Outcome {
    /// What the world is, what led to the state that was asked for, and what does not hold.
    pub fn told(&self) -> String {
        let violations: String = self
            .findings
            .violations
            .iter()
            .map(|(state, why)| format!("\nstate {state}: {why}"))
            .collect();
        let states = self.findings.states.len();
        format!(
            "{}: {states} states\n{}{violations}",
            self.title, self.story
        )
    }

    /// Whether all holds.
    pub fn is_well(&self) -> bool {
        self.findings.violations.is_empty()
    }
}

/// Runs one world of a seed, and tells all of one of its states.
pub fn replay(seed: u64, world: usize, state: usize) -> Outcome {
    let scratch = scratch();
    one(seed, world, scratch.path(), Some(state))
}

fn one(seed: u64, number: usize, scratch: &Path, only: Option<usize>) -> Outcome {
    let mut mix = Draw::of(seed ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut draw = Draw::of(mix.within(0..=usize::MAX - 1) as u64);
    let scratch = scratch.join(number.to_string());
    std::fs::create_dir_all(&scratch).expect("there is room in memory");
    let mut explorer = Explorer::new(&scratch, Draw::of(draw.within(0..=1 << 60) as u64), only);
    let title = world::explore(&mut draw, &scratch, &mut explorer);
    let _ = std::fs::remove_dir_all(&scratch);
    Outcome {
        story: explorer.story().to_owned(),
        title,
        findings: explorer.findings,
    }
}

/// A folder in memory, where there is one.
fn scratch() -> tempfile::TempDir {
    let memory = PathBuf::from("/dev/shm");
    let place = if memory.is_dir() {
        memory
    } else {
        std::env::temp_dir()
    };
    tempfile::Builder::new()
        .prefix("nx-sim-")
        .tempdir_in(place)
        .expect("there is room for temporary files")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for violation in &self.violations {
            writeln!(f, "VIOLATED {violation}")?;
        }
        let share = (self.reordered + self.torn) * 100 / self.distinct.max(1);
        writeln!(
            f,
            "seed {}: {} worlds, {} distinct crash states",
            self.seed, self.worlds, self.distinct
        )?;
        writeln!(
            f,
            "{} reordered, {} torn: {share} % of all; {} cut twice, {} three times",
            self.reordered, self.torn, self.double, self.triple
        )?;
        writeln!(
            f,
            "{} runs with an operation that failed; apart, {} states of a medium that lied or rots",
            self.faults, self.apart
        )?;
        writeln!(f, "{} violations", self.violations.len())?;
        write!(f, "report {}", self.digest)
    }
}
