//! The shipped programs, killed and refused at every system call by which they change something.

use crate::{
    error::Result,
    repo::Repo,
    setup::{self, TEST_NEEDS},
};

/// One run in so many is made in the CI; each takes a fraction of a second.
const SHARE: &str = "15";

/// Builds the programs as they ship and runs `tests/syscalls` on them, with its options.
///
/// # Errors
/// [`XtaskError::Failed`](crate::XtaskError::Failed) if something was found; what, and how to see
/// it again, is printed.
pub fn run(repo: &Repo, args: &[String]) -> Result<()> {
    setup::ensure(TEST_NEEDS)?;
    let packages = ["nx", "flashd", "syscalls"].map(|package| ["-p", package]);
    repo.cargo("build")
        .args(["--locked", "--quiet", "--release"])
        .args(packages.as_flattened())
        .run()?;
    repo.cargo("run")
        .args(["--locked", "--quiet", "--release", "-p", "syscalls", "--"])
        .arg("--programs")
        .arg(repo.target().join("release"))
        .args(args)
        .run()
}

/// A share of the runs, the same one each time.
///
/// # Errors
/// As [`run`].
pub fn share(repo: &Repo) -> Result<()> {
    run(repo, &["--every", SHARE].map(str::to_owned))
}
