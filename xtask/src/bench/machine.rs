//! What a bench ran on, so that its figures can be judged.

use std::{fmt, fs, thread};

use crate::{command::Cmd, repo::Repo};

/// The machine, the day and the commit.
#[derive(Debug)]
pub(super) struct Machine {
    date: String,
    commit: String,
    cpu: String,
    cores: usize,
    kernel: String,
    load: String,
}

impl Machine {
    /// This machine, now. What cannot be found out says so.
    pub(super) fn look(repo: &Repo) -> Self {
        let said = |cmd: Cmd| cmd.read().unwrap_or_else(|_| "unknown".to_owned());
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let cpu = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .and_then(|rest| rest.split_once(':'))
            .map_or("unknown", |(_, name)| name.trim());
        let git = Cmd::new("git").dir(repo.root());
        Self {
            date: said(Cmd::new("date").args(["-u", "+%F"])),
            commit: said(git.args(["describe", "--always", "--dirty"])),
            cpu: cpu.to_owned(),
            cores: thread::available_parallelism().map_or(0, Into::into),
            kernel: said(Cmd::new("uname").args(["-sr"])),
            load: read("/proc/loadavg")
                .split_whitespace()
                .take(1)
                .collect::<String>(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            date,
            commit,
            cpu,
            cores,
            kernel,
            load,
        } = self;
        write!(
            f,
            "{date}, commit {commit}, {cores} cores of {cpu}, {kernel}; load before the run {load}"
        )
    }
}
