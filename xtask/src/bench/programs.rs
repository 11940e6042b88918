//! The programs that are measured.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::folder::{Folder, Image};
use crate::{error::Result, repo::Repo};

/// Release builds of this checkout.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) nx: PathBuf,
    pub(super) flashd: PathBuf,
    pub(super) line: PathBuf,
}

impl Programs {
    /// Builds them.
    pub(super) fn build(repo: &Repo) -> Result<Self> {
        let packages = ["-p", "nx", "-p", "flashd", "-p", "line"];
        repo.cargo("build")
            .args(["--release", "--quiet"])
            .args(packages)
            .run()?;
        let folder = repo.target().join("release");
        Ok(Self {
            nx: folder.join("nx"),
            flashd: folder.join("flashd"),
            line: folder.join("line"),
        })
    }

    /// What `flashd` calls the image that it has installed.
    pub(super) const TARGET: &'static str = "disk.img";

    /// A `flashd` that installs to [`Self::TARGET`] in `work`.
    pub(super) fn flashd(&self, port: &str, image: &Image, work: &Path) -> Command {
        let mut command = Command::new(&self.flashd);
        command
            .args(["--port", port, "--target"])
            .arg(work.join(Self::TARGET))
            .arg("--journal")
            .arg(work.join("journal"))
            .arg("--pub")
            .arg(&image.key)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        command
    }

    /// An `nx` that sends an image.
    pub(super) fn send(&self, port: &str, image: &Image) -> Command {
        let mut command = self.nx(&["--json", "flash", "send", "--port", port]);
        command
            .arg("--img")
            .arg(&image.img)
            .arg("--manifest")
            .arg(&image.manifest)
            .arg("--pub")
            .arg(&image.key);
        command
    }

    /// An `nx` that builds an image of `content` alone, signed with the key in `folder`.
    pub(super) fn build_image(&self, folder: &Folder, content: &Path, image: &Image) -> Command {
        let mut command = self.nx(&["image", "build", "--profile", "dev", "--table", "none"]);
        command.arg("--pkgfs").arg(content);
        self.outputs(&mut command, folder, image);
        command
    }

    /// Says where `nx image build` puts an image, and what it signs it with.
    pub(super) fn outputs(&self, command: &mut Command, folder: &Folder, image: &Image) {
        command
            .arg("--out")
            .arg(&image.img)
            .arg("--manifest")
            .arg(&image.manifest)
            .arg("--sign")
            .arg(folder.path(Folder::SECRET));
    }

    /// An `nx` that verifies an image.
    pub(super) fn verify_image(&self, image: &Image) -> Command {
        let mut command = self.nx(&["image", "verify"]);
        command
            .arg(&image.img)
            .arg("--manifest")
            .arg(&image.manifest)
            .arg("--pub")
            .arg(&image.key);
        command
    }

    fn nx(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.nx);
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }
}
