//! Command lines as people type them.

use std::path::Path;
use std::process::Command;

use crate::binaries::nx_path;
use crate::workdir::Workdir;

/// A line of a shell in a folder: with the programs of this build, and those in the folder, and
/// nothing of ours in its environment.
#[must_use]
pub fn shell(work: &Workdir, line: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", line])
        .current_dir(work.root())
        .env("PATH", search_path(work))
        .env("XDG_CONFIG_HOME", "/")
        .env_remove("NX_PORT")
        .env_remove("NX_STATE");
    command
}

/// The search path with the folder, and the programs of this build, in front.
fn search_path(work: &Workdir) -> String {
    let bin = nx_path().parent().unwrap_or(Path::new("/")).display();
    let old = std::env::var("PATH").unwrap_or_default();
    format!("{}:{bin}:{old}", work.root().display())
}
