//! A running `flashd`.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::binaries::flashd_path;
use crate::nx::send_signal;

/// How long a marker may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A `flashd` process that ends with the test.
#[derive(Debug)]
pub struct Flashd {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Flashd {
    /// Starts it and waits until it serves its port.
    pub fn start<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Self {
        let mut command = Command::new(flashd_path());
        command.args(args);
        Self::spawn(command)
    }

    /// Starts a command that runs it and waits until it serves its port.
    #[expect(clippy::panic, reason = "a test cannot go on without the program")]
    pub fn spawn(mut command: Command) -> Self {
        let spawned = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("cannot run flashd: {error}"));
        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        if let Some(stderr) = child.stderr.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    let _ = sender.send(format!("stderr: {line}"));
                }
            });
        }
        let mut flashd = Self {
            child,
            lines,
            seen: Vec::new(),
        };
        flashd.wait_for("flashd: ready");
        flashd
    }

    /// Waits for a line that begins like this and returns it.
    #[expect(clippy::panic, reason = "the message shows what was said instead")]
    pub fn wait_for(&mut self, start: &str) -> String {
        let started = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(started.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.starts_with(start) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("flashd never said `{start}`, but: {:#?}", self.seen)
                }
            }
        }
    }

    /// Every line so far that was waited past.
    pub fn seen(&self) -> &[String] {
        &self.seen
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        send_signal(&self.child, signal);
    }

    /// Waits for its end by itself; its exit code, or 128 when a signal ended it.
    #[must_use]
    pub fn wait(mut self) -> i32 {
        // Its output ends with it.
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.seen.push(line);
        }
        let status = self.child.wait();
        let code = status.ok().and_then(|status| status.code());
        code.unwrap_or(128)
    }

    /// Kills it at once, as `kill -9` does.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Flashd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
