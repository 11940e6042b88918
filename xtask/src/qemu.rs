//! The virtual machine: what it needs, then the package `machine` in `tests/`, which is it.

use crate::{
    error::Result,
    parts,
    repo::Repo,
    setup::{self, MACHINE_NEEDS},
};

/// Fetches what the machine is made of, then runs `machine` with `args`.
///
/// # Errors
/// Those of [`setup::ensure`] and [`parts::ensure`];
/// [`XtaskError::Failed`](crate::XtaskError::Failed) if a step fails.
pub fn run(repo: &Repo, args: &[String]) -> Result<()> {
    setup::ensure(MACHINE_NEEDS)?;
    parts::ensure(repo)?;
    repo.cargo("run")
        .args(["--locked", "--quiet", "-p", "machine", "--"])
        .args(args)
        .env("NX_PARTS", repo.parts())
        .run()
}
