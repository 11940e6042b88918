//! Where the repository is, and where its output goes.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::{
    command::Cmd,
    error::{Result, XtaskError},
};

/// A checkout of this project.
#[derive(Debug, Clone)]
pub struct Repo {
    root: PathBuf,
}

impl Repo {
    /// The checkout that this program was built from.
    ///
    /// # Errors
    /// [`XtaskError::Io`] if it has been moved away since.
    pub fn find() -> Result<Self> {
        let manifest_dir = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest_dir.join("..");
        let root = root
            .canonicalize()
            .map_err(XtaskError::io("find the checkout at", root))?;
        Ok(Self { root })
    }

    /// The folder with the workspace's `Cargo.toml`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target directory: `CARGO_TARGET_DIR`, or `target`.
    pub fn target(&self) -> PathBuf {
        self.root
            .join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| OsString::from("target")))
    }

    /// The kernel, busybox and root tree that the process tests work on; see
    /// [`parts`](crate::parts). `NX_PARTS`, or always `target/parts` in the checkout: the tests
    /// look there too, and do not know of `CARGO_TARGET_DIR`.
    pub fn parts(&self) -> PathBuf {
        env::var_os("NX_PARTS").map_or_else(|| self.root.join("target/parts"), PathBuf::from)
    }

    /// The cargo that called us, run in the checkout.
    pub fn cargo(&self, subcommand: &str) -> Cmd {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        Cmd::new(cargo)
            .shown_as("cargo")
            .dir(&self.root)
            .arg(subcommand)
    }
}
