//! `nx` on the host.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    error::{MachineError, Result},
    parts::Parts,
    release::Release,
};

/// What a run of `nx --json` came to.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Exit code; 128 for a signal.
    pub code: i32,
    /// What it said; null if that is no JSON.
    pub json: Value,
    /// Standard error.
    pub stderr: String,
}

impl Ended {
    /// A member of `data`.
    #[must_use]
    pub fn data(&self, member: &str) -> &Value {
        self.json
            .get("data")
            .and_then(|data| data.get(member))
            .unwrap_or(&Value::Null)
    }

    /// The reason of a failure.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.data("reason").as_str().unwrap_or_default()
    }

    /// It must have ended well.
    ///
    /// # Errors
    /// [`MachineError::Program`] if it has not.
    pub fn ok(self) -> Result<Self> {
        if self.code == 0 {
            return Ok(self);
        }
        let mut said = self.stderr.clone();
        // Writing to a `String` cannot fail.
        let _ = write!(said, " {}", self.json);
        Err(MachineError::Program {
            command: "nx".to_owned(),
            code: self.code,
            said,
        })
    }
}

/// A run of `nx`, which is killed when this is gone.
#[derive(Debug)]
pub struct Nx {
    child: Child,
    outputs: Vec<Receiver<String>>,
}

/// What `nx flash send` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Blocks that went over the link.
    pub blocks_sent: u64,
    /// Blocks that the device had.
    pub blocks_skipped: u64,
}

impl Nx {
    /// Starts `nx --json` with these arguments and nothing of ours in its environment.
    ///
    /// # Errors
    /// [`MachineError::Io`].
    pub fn start<S: AsRef<OsStr>>(
        parts: &Parts,
        args: impl IntoIterator<Item = S>,
    ) -> Result<Self> {
        let mut child = Command::new(parts.nx())
            .args(args)
            .arg("--json")
            .env_remove("NX_PORT")
            .env_remove("NX_STATE")
            .env("XDG_CONFIG_HOME", "/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(MachineError::io("start", parts.nx()))?;
        let outputs = [
            child.stdout.take().map(read_all),
            child.stderr.take().map(read_all),
        ];
        let outputs = outputs.into_iter().flatten().collect();
        Ok(Self { child, outputs })
    }

    /// Starts to send a release.
    ///
    /// # Errors
    /// [`MachineError::Io`].
    pub fn send(parts: &Parts, release: &Release, port: &Path, more: &[&str]) -> Result<Self> {
        let mut args: Vec<PathBuf> = ["flash", "send", "--img"].map(PathBuf::from).to_vec();
        args.push(release.img.clone());
        args.push("--manifest".into());
        args.push(release.manifest.clone());
        args.push("--port".into());
        args.push(unix(port));
        args.extend(more.iter().map(PathBuf::from));
        Self::start(parts, args)
    }

    /// Starts another command of `nx flash`.
    ///
    /// # Errors
    /// [`MachineError::Io`].
    pub fn flash(parts: &Parts, command: &[&str], port: &Path) -> Result<Self> {
        let mut args = vec![PathBuf::from("flash")];
        args.extend(command.iter().map(PathBuf::from));
        args.push("--port".into());
        args.push(unix(port));
        Self::start(parts, args)
    }

    /// Kills it at once.
    pub fn kill(self) {
        drop(self);
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`MachineError::Late`], and it is killed.
    pub fn wait(mut self, limit: Duration) -> Result<Ended> {
        let late = |_| MachineError::Late {
            what: "end of nx".to_owned(),
            limit,
            last: String::new(),
        };
        let mut outputs = [String::new(), String::new()];
        for (output, text) in self.outputs.iter().zip(&mut outputs) {
            // It ends with the process.
            *text = output.recv_timeout(limit).map_err(late)?;
        }
        let [stdout, stderr] = outputs;
        let status = self.child.wait();
        let status = status.map_err(MachineError::io("wait for", "nx"))?;
        Ok(Ended {
            code: status.code().unwrap_or(128),
            json: serde_json::from_str(&stdout).unwrap_or(Value::Null),
            stderr,
        })
    }
}

impl Drop for Nx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sent {
    /// What a run of `nx flash send` says.
    ///
    /// # Errors
    /// [`MachineError::Broken`] if it does not say it.
    pub fn of(ended: &Ended) -> Result<Self> {
        let number = |member: &str| {
            ended.data(member).as_u64().ok_or_else(|| {
                MachineError::broken(format!("nx says `{member}`"), ended.json.to_string())
            })
        };
        Ok(Self {
            blocks_sent: number("blocks_sent")?,
            blocks_skipped: number("blocks_skipped")?,
        })
    }
}

/// The port at a socket.
fn unix(socket: &Path) -> PathBuf {
    PathBuf::from(format!("unix:{}", socket.display()))
}

fn read_all(mut stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, read) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What has come until an error is what there is.
        let _ = stream.read_to_end(&mut bytes);
        sender.send(String::from_utf8_lossy(&bytes).into_owned())
    });
    read
}
