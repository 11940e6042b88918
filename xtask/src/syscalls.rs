//! The shipped programs, killed and refused at every system call by which they change something.

use crate::{
    error::Result,
    repo::Repo,
    setup::{self, TEST_NEEDS},
};

/// One run in so many is made in the CI; each takes a fraction of a second.
const SHARE: &str = "30";

/// Builds the programs as they ship and runs `tests/syscalls` on them, with its options.
///
/// # Errors
/// [`XtaskError::Failed`](crate::XtaskError::Failed) if something was found; what, and how to see
/// it again, is printed.
pub fn run(repo: &Repo, args: &[String]) -> Result<()> {
    inject(repo, Some("--release"), args)
}

/// A share of the runs, the same one each time, on the programs that the tests have built.
///
/// # Errors
/// As [`run`].
pub fn share(repo: &Repo) -> Result<()> {
    inject(repo, None, &["--every", SHARE].map(str::to_owned))
}

fn inject(repo: &Repo, profile: Option<&str>, args: &[String]) -> Result<()> {
    setup::ensure(TEST_NEEDS)?;
    let packages = ["nx", "flashd", "syscalls"].map(|package| ["-p", package]);
    repo.cargo("build")
        .args(["--locked", "--quiet"])
        .args(profile)
        .args(packages.as_flattened())
        .run()?;
    let folder = if profile.is_some() {
        "release"
    } else {
        "debug"
    };
    repo.cargo("run")
        .args(["--locked", "--quiet"])
        .args(profile)
        .args(["-p", "syscalls", "--"])
        .arg("--programs")
        .arg(repo.target().join(folder))
        .args(args)
        .run()
}
