//! Runs `nx` to its end.

use std::ffi::OsStr;
use std::process::Command;

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

/// Runs `nx` with these arguments and nothing of ours in its environment.
#[expect(clippy::panic, reason = "a test cannot go on without the program")]
pub fn nx<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Ran {
    let mut command = Command::new(nx_path());
    command
        .args(args)
        .env_remove("NX_PORT")
        .env_remove("NX_STATE")
        .env("XDG_CONFIG_HOME", "/");
    match command.output() {
        Ok(output) => Ran {
            code: output.status.code().unwrap_or(128),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        },
        Err(error) => panic!("cannot run nx: {error}"),
    }
}
