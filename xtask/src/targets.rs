//! Builds the `no_std` halves for targets without an operating system.
//!
//! The device half is embedded in an operating system of its own, on RISC-V. `build-std` makes only
//! `core` and `alloc`, so that anything of `std`, however deep in the graph, fails to build, on
//! wasm32 too. It is not in a stable toolchain, and ours has these targets' `core` neither built
//! nor as source: Debian's packages of a newer compiler carry the source, and
//! `RUSTC_BOOTSTRAP=1` lets that compiler build it.
#![expect(clippy::print_stdout, reason = "a chore says what it does")]

use std::{fs, path::Path};

use crate::{
    command::Cmd,
    error::{Result, XtaskError},
    repo::Repo,
    setup::{self, TARGET_NEEDS},
};

/// The packages that promise `no_std`.
pub const PACKAGES: &[&str] = &["nx-flash", "nx-image"];

/// Where they must build: the seed's operating system, and a target without threads, files or time.
pub const TARGETS: &[&str] = &["riscv64imac-unknown-none-elf", "wasm32-unknown-unknown"];

/// Builds each of [`PACKAGES`] without its default features for each of [`TARGETS`].
///
/// # Errors
/// [`XtaskError::Missing`] without the compiler; [`XtaskError::Failed`] if a build fails.
pub fn build(repo: &Repo) -> Result<()> {
    setup::ensure(TARGET_NEEDS)?;
    let target_dir = repo.target().join("targets");
    for target in TARGETS {
        cargo(repo, target, &target_dir).run()?;
        for package in PACKAGES {
            let library = format!("lib{}.rlib", package.replace('-', "_"));
            report(&target_dir.join(target).join("debug").join(library))?;
        }
    }
    Ok(())
}

fn cargo(repo: &Repo, target: &str, target_dir: &Path) -> Cmd {
    PACKAGES
        .iter()
        .fold(
            Cmd::new("/usr/bin/cargo").dir(repo.root()).args([
                "build",
                "--locked",
                "--lib",
                "--no-default-features",
            ]),
            |cmd, package| cmd.args(["--package", package]),
        )
        .args(["-Zbuild-std=core,alloc", "--target", target])
        // A proof that it builds: nobody runs it, so nothing is optimised.
        .args(["--config", "profile.dev.package.\"*\".opt-level=0"])
        // The toolchain that called us has set variables that lead back to it.
        .without_env(|name| {
            (name.starts_with("CARGO_") && name != "CARGO_HOME")
                || name.starts_with("RUSTUP_")
                || matches!(
                    name,
                    "CARGO"
                        | "RUSTC"
                        | "RUSTDOC"
                        | "RUSTFLAGS"
                        | "RUSTC_WRAPPER"
                        | "LD_LIBRARY_PATH"
                )
        })
        .env("CARGO_TARGET_DIR", target_dir)
        .env("RUSTC", "/usr/bin/rustc")
        .env("RUSTC_BOOTSTRAP", "1")
}

fn report(library: &Path) -> Result<()> {
    let bytes = fs::metadata(library)
        .map_err(XtaskError::io("find", library))?
        .len();
    println!("{} ({bytes} bytes)", library.display());
    Ok(())
}
