//! What the tests of the program share.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// What a run of `nx` said and how it ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Self {
            code: output.status.code().expect("ended by a signal"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn envelope(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// `nx` with these arguments, in `/`, with nothing of ours in its environment.
pub(crate) fn command<S: AsRef<OsStr>>(args: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nx"));
    command
        .args(args)
        .current_dir("/")
        .stdin(Stdio::null())
        .env_remove("NX_PORT")
        .env_remove("NX_STATE")
        .env_remove("COLUMNS")
        .env("XDG_CONFIG_HOME", "/nonexistent");
    command
}

/// Runs `nx` with these arguments to its end.
pub(crate) fn nx<S: AsRef<OsStr>>(args: &[S]) -> Run {
    Run::of(&mut command(args))
}

/// Compares with a golden file, or writes it when `UPDATE_GOLDEN=1`.
pub(crate) fn assert_golden(name: &str, got: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(&path, got).unwrap();
    }
    let want = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(got, want, "{}", path.display());
}
