//! Runs `nx`.

use std::ffi::OsStr;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::binaries::nx_path;

/// What a run of `nx` said and how it ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Exit code; 128 and the signal when it was killed.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Ran {
    /// The envelope of a run with `--json`.
    #[expect(clippy::panic, reason = "the message shows what was said instead")]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no envelope ({error}): {self:#?}"))
    }

    /// It must have ended well.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }
}

/// Runs `nx` with these arguments and nothing of ours in its environment, to its end.
pub fn nx<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Ran {
    Nx::start(args).wait()
}

/// How long a run may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// A running `nx`, which ends with the test.
#[derive(Debug)]
pub struct Nx {
    child: Child,
    outputs: Option<[Receiver<String>; 2]>,
}

impl Nx {
    /// Starts it with these arguments and nothing of ours in its environment.
    pub fn start<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Self {
        let mut command = Command::new(nx_path());
        command.args(args);
        Self::spawn(command)
    }

    /// Starts a command that runs it.
    #[expect(clippy::panic, reason = "a test cannot go on without the program")]
    pub fn spawn(mut command: Command) -> Self {
        let spawned = command
            .env_remove("NX_PORT")
            .env_remove("NX_STATE")
            .env("XDG_CONFIG_HOME", "/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("cannot run nx: {error}"));
        let streams = child.stdout.take().zip(child.stderr.take());
        let outputs = streams.map(|(out, err)| [read_to_end(out), read_to_end(err)]);
        Self { child, outputs }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        send_signal(&self.child, signal);
    }

    /// Whether it has begun to watch for a signal, which until then would end it.
    #[must_use]
    pub fn watches(&self, signal: Signal) -> bool {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.unwrap_or_default().trim(), 16).unwrap_or(0);
        let bit = u32::try_from(signal.as_raw().saturating_sub(1)).unwrap_or(0);
        caught.checked_shr(bit).unwrap_or(0) & 1 == 1
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it at once, as `kill -9` does.
    pub fn kill(self) {
        drop(self);
    }

    /// Waits for its end.
    #[expect(clippy::panic, reason = "a run without end would hide what hangs")]
    pub fn wait(mut self) -> Ran {
        let text = |output: Receiver<String>| {
            // It ends with the process.
            let text = output.recv_timeout(PATIENCE);
            text.unwrap_or_else(|_| panic!("nx does not end"))
        };
        let (stdout, stderr) = self
            .outputs
            .take()
            .map(|[out, err]| (text(out), text(err)))
            .unwrap_or_default();
        let status = self.child.wait();
        let code = status.ok().and_then(|status| status.code());
        Ran {
            code: code.unwrap_or(128),
            stdout,
            stderr,
        }
    }
}

impl Drop for Nx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a child a signal.
pub(crate) fn send_signal(child: &Child, signal: Signal) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

fn read_to_end(mut stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, read) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    read
}
