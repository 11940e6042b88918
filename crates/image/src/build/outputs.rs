//! Output files that appear complete or not at all.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::error::BuildError;
use super::scrap::Scrap;

/// A file on its way to its name.
#[derive(Debug)]
pub(super) struct Output {
    path: PathBuf,
    scrap: Scrap,
}

/// The folder of a path.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."))
}

impl Output {
    /// Begins a file beside the one that it will replace.
    pub(super) fn begin(path: &Path) -> Result<Self, BuildError> {
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            let source = io::Error::new(ErrorKind::InvalidInput, "it is no regular file");
            return Err(BuildError::io("replace", path)(source));
        }
        let dir = folder_of(path);
        let scrap = Scrap::begin(dir).map_err(BuildError::io("create a file in", dir))?;
        Ok(Self {
            path: path.to_owned(),
            scrap,
        })
    }

    /// A whole small file.
    pub(super) fn of(path: &Path, bytes: &[u8]) -> Result<Self, BuildError> {
        let mut output = Self::begin(path)?;
        output
            .file()
            .write_all(bytes)
            .map_err(BuildError::io("write", path))?;
        Ok(output)
    }

    /// The file.
    pub(super) fn file(&mut self) -> &mut File {
        self.scrap.file_mut()
    }

    /// Makes it durable before it has its name.
    pub(super) fn sync(&self) -> Result<(), BuildError> {
        self.scrap
            .file()
            .sync_all()
            .map_err(BuildError::io("sync", &self.path))
    }

    /// Gives it its name, in the place of what had it.
    pub(super) fn commit(self) -> Result<(), BuildError> {
        let Self { path, scrap } = self;
        // The umask does not decide who may read an image.
        let readable = Permissions::from_mode(0o644);
        scrap
            .file()
            .set_permissions(readable)
            .map_err(BuildError::io("protect", &path))?;
        scrap
            .rename(&path)
            .map_err(BuildError::io("replace", &path))?;
        let dir = folder_of(&path);
        let folder = File::open(dir).map_err(BuildError::io("open", dir))?;
        folder.sync_all().map_err(BuildError::io("sync", dir))
    }
}
