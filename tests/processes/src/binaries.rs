//! Where the programs are; they are built first, so that a test of this package alone works.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The `nx` of this build.
pub fn nx_path() -> &'static Path {
    &built().0
}

/// The `flashd` of this build.
pub fn flashd_path() -> &'static Path {
    &built().1
}

fn built() -> &'static (PathBuf, PathBuf) {
    static BUILT: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();
    BUILT.get_or_init(|| {
        // This test is …/<target>/<profile>/deps/<name>; the programs lie one folder up.
        let mut dir = std::env::current_exe().unwrap_or_default();
        dir.pop();
        if dir.ends_with("deps") {
            dir.pop();
        }
        let target = dir.parent().map(Path::to_owned).unwrap_or_default();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "nx", "--package", "flashd"]);
        if dir.ends_with("release") {
            build.arg("--release");
        }
        build
            .arg("--target-dir")
            .arg(&target)
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        let status = build.status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "cannot build nx and flashd"
        );
        (dir.join("nx"), dir.join("flashd"))
    })
}
