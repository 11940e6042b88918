//! Cuts the power of a simulated world.

use crate::{error::Result, repo::Repo};

/// Runs the simulator with these options.
///
/// # Errors
/// [`XtaskError::Failed`](crate::XtaskError::Failed) when something did not hold.
pub fn run(repo: &Repo, args: &[String]) -> Result<()> {
    repo.cargo("run")
        .args(["--locked", "--quiet", "--release", "-p", "sim", "--"])
        .args(args)
        .run()
}
