//! Licences, sources and duplicates of what we depend on, by cargo-deny and `deny.toml`.
//!
//! cargo-deny is built from crates.io into the target directory when it is not there: a pinned
//! version, unoptimised, about a minute of two cores. A checker of our own would be faster to
//! build and less believable. Advisories need a database from elsewhere, so they are not part of
//! CI: `cargo deny check advisories` asks for them by hand.

use std::{fs, path::PathBuf};

use crate::{
    command::{Cmd, which},
    error::{Result, XtaskError},
    repo::Repo,
};

/// The version that `deny.toml` was written for.
const VERSION: &str = "0.20.2";

/// Checks licences, bans and sources.
///
/// # Errors
/// [`XtaskError::Failed`] if something is not allowed, or the tool
/// cannot be built.
pub fn check(repo: &Repo) -> Result<()> {
    Cmd::new(program(repo)?)
        .shown_as("cargo-deny")
        .dir(repo.root())
        .args(["--locked", "check", "bans", "licenses", "sources"])
        .run()
}

/// The pinned cargo-deny: ours, the one on `PATH`, or one that we build now.
fn program(repo: &Repo) -> Result<PathBuf> {
    let tools = repo.target().join("tools");
    let ours = tools.join("bin/cargo-deny");
    for candidate in [Some(ours.clone()), which("cargo-deny")]
        .into_iter()
        .flatten()
    {
        if is_pinned(&candidate) {
            return Ok(candidate);
        }
    }
    let build = tools.join("build");
    repo.cargo("install")
        .args(["--locked", "--debug", "--no-track", "--force"])
        .args(["--root".as_ref(), tools.as_os_str()])
        .args(["--target-dir".as_ref(), build.as_os_str()])
        .args(["--version", VERSION, "cargo-deny"])
        .run()?;
    // Its objects are six times its size, and never used again.
    fs::remove_dir_all(&build).map_err(XtaskError::io("remove", build))?;
    Ok(ours)
}

fn is_pinned(candidate: &PathBuf) -> bool {
    Cmd::new(candidate)
        .arg("--version")
        .read()
        .is_ok_and(|version| version == format!("cargo-deny {VERSION}"))
}
