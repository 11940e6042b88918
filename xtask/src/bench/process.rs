//! Processes that are measured.

use std::{
    ffi::OsStr,
    fs,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    command::{Cmd, which},
    error::{Result, XtaskError},
};

/// How often a process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Priority of what stands for hardware, above [`PLAYER`].
pub(super) const HARDWARE: u32 = 20;
/// Priority of the programs that are compared.
pub(super) const PLAYER: u32 = 10;

/// A command that runs before everything else on the machine where that is allowed (`chrt`, root);
/// so a machine with other work measures what an idle one does.
pub(super) fn ahead(program: impl AsRef<OsStr>, priority: u32) -> Command {
    let mut command = if may_go_ahead() {
        let mut chrt = Command::new("chrt");
        chrt.args(["--fifo", &priority.to_string()]).arg(program);
        chrt
    } else {
        Command::new(program)
    };
    command.stdin(Stdio::null());
    command
}

/// The same command, running [`ahead`] of others.
pub(super) fn put_ahead(command: &Command, priority: u32) -> Command {
    let mut ahead = ahead(command.get_program(), priority);
    ahead.args(command.get_args());
    ahead
}

/// Lets this process, and all that it starts from now on, run before everything else on the
/// machine, where that is allowed.
pub(super) fn go_ahead(priority: u32) {
    let pid = std::process::id().to_string();
    let priority = priority.to_string();
    // Where it is not allowed, the check of the line shows whether the machine is too busy.
    let _ = Cmd::new("chrt")
        .args(["--fifo", "--pid", &priority, &pid])
        .read();
}

fn may_go_ahead() -> bool {
    which("chrt").is_some()
        && Cmd::new("chrt")
            .args(["--fifo", "1", "true"])
            .read()
            .is_ok()
}

/// How a process ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// Since just before its start.
    pub(super) took: Duration,
    /// Processor time, as last seen: that of its last two milliseconds may be missing.
    pub(super) cpu_seconds: f64,
}

/// A process under way, which ends with this value.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) child: Child,
    name: String,
    at: Instant,
    /// The most memory it was seen to have used, in KiB.
    peak_kib: u64,
    /// The most processor time that it was seen to have used, in seconds.
    cpu_seconds: f64,
}

impl Started {
    /// Starts it. The clock runs from just before.
    pub(super) fn new(mut command: Command, name: &str) -> Result<Self> {
        let at = Instant::now();
        let child = command.spawn().map_err(|source| XtaskError::Start {
            command: name.to_owned(),
            source,
        })?;
        Ok(Self {
            child,
            name: name.to_owned(),
            at,
            peak_kib: 0,
            cpu_seconds: 0.0,
        })
    }

    /// Waits until it has ended. None if it has not ended `limit` after its start; it is killed
    /// then.
    pub(super) fn wait(&mut self, limit: Duration) -> Result<Option<Ended>> {
        loop {
            self.look();
            let ended = self.child.try_wait();
            let took = self.at.elapsed();
            match ended.map_err(XtaskError::io("wait for", &self.name))? {
                Some(status) => {
                    return Ok(Some(Ended {
                        status,
                        took,
                        cpu_seconds: self.cpu_seconds,
                    }));
                }
                None if took > limit => {
                    self.kill();
                    return Ok(None);
                }
                None => thread::sleep(LOOK_EVERY),
            }
        }
    }

    /// The most memory that it has used so far, in KiB: `VmHWM`, as last seen. What a process
    /// that has ended used in its last two milliseconds may be missing.
    pub(super) fn peak_kib(&mut self) -> u64 {
        self.look();
        self.peak_kib
    }

    /// Seconds of processor time so far.
    pub(super) fn cpu_seconds(&mut self) -> f64 {
        self.look();
        self.cpu_seconds
    }

    pub(super) fn kill(&mut self) {
        // It may have ended meanwhile.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn look(&mut self) {
        /// Fixed in what Linux tells programs.
        const TICKS_PER_SECOND: f64 = 100.0;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.unwrap_or_default();
        // The name before the last bracket may hold anything.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: f64 = ticks.filter_map(|field| field.parse::<f64>().ok()).sum();
        self.cpu_seconds = self.cpu_seconds.max(ticks / TICKS_PER_SECOND);
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let peak = status.ok().and_then(|status| {
            let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
            line.split_whitespace().next()?.parse().ok()
        });
        self.peak_kib = self.peak_kib.max(peak.unwrap_or(0));
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Started {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::piped());
        Started::new(command, "sh").unwrap()
    }

    #[test]
    fn a_process_that_ends_tells_how_and_one_that_does_not_is_killed() {
        let patience = Duration::from_secs(60);
        let ended = shell("exit 3").wait(patience).unwrap().unwrap();
        assert_eq!(ended.status.code(), Some(3));
        // It reads a pipe that nobody writes to.
        let mut stuck = shell("read line");
        assert!(stuck.wait(Duration::from_millis(20)).unwrap().is_none());
        assert!(stuck.child.try_wait().unwrap().is_some());
    }

    #[test]
    fn memory_and_time_of_a_process_are_seen() {
        let mut busy = shell("while :; do :; done");
        while busy.cpu_seconds() < 0.05 {
            assert!(busy.at.elapsed() < Duration::from_secs(60));
        }
        assert!(busy.peak_kib() > 100);
    }
}
