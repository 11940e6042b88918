//! A process of its own group, whose words go to files.

use std::fs::{self, File};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::error::{Result, Trouble};
use crate::room::Room;

/// How long a process may take; longer is a finding.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often a process is asked whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Not at all, for as long as we wait.
    Hung,
}

/// A process that has ended, and what it complained of.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    /// How.
    pub(crate) end: End,
    /// Its standard error.
    pub(crate) err: String,
}

impl Ended {
    /// Whether it ended with code 0.
    pub(crate) fn is_success(&self) -> bool {
        self.end == End::Code(0)
    }
}

/// A process; it ends with its owner.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    group: Option<Pid>,
    err: PathBuf,
}

impl Running {
    /// Starts a command; `name` is that of its files in the room.
    pub(crate) fn start(mut command: Command, room: &Room, name: &str) -> Result<Self> {
        let (out, err) = (room.log(name, "out"), room.log(name, "err"));
        let file = |path: &PathBuf| File::create(path).map_err(Trouble::io("create", path));
        command
            .stdin(Stdio::null())
            .stdout(file(&out)?)
            .stderr(file(&err)?)
            .process_group(0);
        let program = PathBuf::from(command.get_program());
        let child = command.spawn().map_err(Trouble::io("run", program))?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok(Self { child, group, err })
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, and the tracer that runs it, which takes none.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // It may have ended by itself.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Waits for its end, but not for ever.
    pub(crate) fn wait(mut self) -> Ended {
        let end = match wait_until(|| self.ended()) {
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => End::Code(code),
                (None, signal) => End::Signal(signal.unwrap_or_default()),
            },
            None => End::Hung,
        };
        let said = fs::read(&self.err).unwrap_or_default();
        Ended {
            end,
            err: String::from_utf8_lossy(&said).into_owned(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// Looks until there is something to see; nothing if there never is.
pub(crate) fn wait_until<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        let seen = look();
        if seen.is_some() || started.elapsed() > PATIENCE {
            return seen;
        }
        // Nobody unparks it: it only lets others run.
        thread::park_timeout(LOOK_EVERY);
    }
}
