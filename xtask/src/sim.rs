//! Cuts the power of a simulated world.

use crate::{error::Result, repo::Repo};

/// States that the CI makes.
const SHARE: &str = "10000";

/// Runs the simulator with these options.
///
/// # Errors
/// [`XtaskError::Failed`](crate::XtaskError::Failed) when something did not hold.
pub fn run(repo: &Repo, args: &[String]) -> Result<()> {
    simulate(repo, &["--release"], args)
}

/// A share of the states, by the program that the tests have built.
///
/// # Errors
/// As [`run`].
pub fn share(repo: &Repo) -> Result<()> {
    simulate(repo, &[], &["--states", SHARE].map(str::to_owned))
}

fn simulate(repo: &Repo, profile: &[&str], args: &[String]) -> Result<()> {
    repo.cargo("run")
        .args(["--locked", "--quiet"])
        .args(profile)
        .args(["-p", "sim", "--"])
        .args(args)
        .run()
}
