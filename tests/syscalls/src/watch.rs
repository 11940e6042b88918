//! How a program is started: alone, traced, or with one call taken from it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::call::{Call, TRACED};
use crate::kind::Kind;
use crate::room::Room;

/// One thing that goes wrong.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// What happens.
    pub(crate) kind: Kind,
    /// Instead of which call.
    pub(crate) call: Call,
}

impl Fault {
    /// How often it has come to pass in this room: several threads may make a call of its number.
    pub(crate) fn hits(&self, room: &Room) -> usize {
        let log = fs::read(room.log("victim", "strace")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        log.matches(self.kind.trace()).count()
    }

    fn inject(&self) -> String {
        let Self { kind, call } = self;
        format!(
            "inject={}:{}:when={}",
            call.name,
            kind.injection(),
            call.number
        )
    }
}

/// What is watched of a program.
#[derive(Clone, Debug)]
pub(crate) enum Watch<'a> {
    /// Nothing.
    Not,
    /// Its calls are written to this log.
    Trace(PathBuf),
    /// One call goes wrong, in any thread that makes one of its number; the log tells whether.
    Inject(PathBuf, &'a Fault),
    /// One call of the first thread goes wrong.
    InjectFirst(PathBuf, &'a Fault),
}

impl Watch<'_> {
    /// A command that starts `program` so; it has no variable of ours, and no configuration.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = match self {
            Self::Not => Command::new(program),
            Self::Trace(log) => strace(log, TRACED, &["-f"], program),
            Self::Inject(log, fault) => {
                let inject = fault.inject();
                strace(log, &fault.call.name, &["-f", "-e", &inject], program)
            }
            Self::InjectFirst(log, fault) => {
                let inject = fault.inject();
                strace(log, &fault.call.name, &["-e", &inject], program)
            }
        };
        command
            .current_dir("/")
            .env_remove("NX_PORT")
            .env_remove("NX_STATE")
            .env_remove("NEXUS_ANCHORS_DIR")
            .env("XDG_CONFIG_HOME", "/nonexistent")
            .env("HOME", "/nonexistent")
            .env("LC_ALL", "C");
        command
    }
}

/// A tracer of threads that run already: one call of each goes wrong.
pub(crate) fn attach(log: &Path, fault: &Fault, threads: &[String]) -> Command {
    let mut command = tracer(log, &fault.call.name);
    command.args(["-e", &fault.inject()]);
    for thread in threads {
        command.args(["-p", thread]);
    }
    command
}

fn strace(log: &Path, calls: &str, more: &[&str], program: &Path) -> Command {
    let mut command = tracer(log, calls);
    command.args(more).arg(program);
    command
}

fn tracer(log: &Path, calls: &str) -> Command {
    let mut command = Command::new("strace");
    command.args(["-q", "-y", "-o"]).arg(log);
    command.args(["-e", &format!("trace={calls}")]);
    command
}
