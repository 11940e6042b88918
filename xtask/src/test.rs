//! All tests, with what they need fetched first.

use crate::{
    error::Result,
    parts,
    repo::Repo,
    setup::{self, MACHINE_NEEDS, TEST_NEEDS},
};

/// Fetches what the tests need, then runs `cargo test` with `args`, by default for the workspace.
///
/// # Errors
/// Those of [`setup::ensure`] and [`parts::ensure`];
/// [`XtaskError::Failed`](crate::XtaskError::Failed) if a test fails.
pub fn run(repo: &Repo, args: &[String]) -> Result<()> {
    setup::ensure(TEST_NEEDS.iter().chain(MACHINE_NEEDS))?;
    parts::ensure(repo)?;
    let cargo = repo.cargo("test").arg("--locked");
    let cargo = if args.is_empty() {
        cargo.args(["--workspace", "--no-fail-fast"])
    } else {
        cargo.args(args)
    };
    cargo.env("NX_PARTS", repo.parts()).run()
}
