//! What a segment is made from: one open file, watched for changes.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::error::BuildError;
use super::tree::Tree;
use super::writer::Build;
use super::{cpio, squashfs};
use crate::manifest::SegmentKind;
use crate::regular;

/// An input, opened once.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) kind: SegmentKind,
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) size: u64,
    seen: Seen,
}

type Seen = (u64, u64, u64, i64, i64);

fn seen(file: &File) -> std::io::Result<Seen> {
    let found = file.metadata()?;
    Ok((
        found.dev(),
        found.ino(),
        found.len(),
        found.mtime(),
        found.mtime_nsec(),
    ))
}

impl Input {
    /// Opens a file, or makes one from a directory where the segment allows it.
    pub(super) fn open(
        kind: SegmentKind,
        path: &Path,
        build: &Build,
        scratch: &Path,
    ) -> Result<Self, BuildError> {
        let found = fs::metadata(path).map_err(BuildError::io("open", path))?;
        let file = if found.is_dir() {
            Self::pack(kind, path, build, scratch)?
        } else if found.is_file() {
            regular::open(path).map_err(BuildError::io("open", path))?
        } else {
            return Err(refuse(kind, path, "is neither a file nor a directory"));
        };
        let seen = seen(&file).map_err(BuildError::io("look at", path))?;
        let size = seen.2;
        if size == 0 {
            return Err(refuse(kind, path, "is empty"));
        }
        Ok(Self {
            kind,
            path: path.to_owned(),
            file,
            size,
            seen,
        })
    }

    fn pack(
        kind: SegmentKind,
        path: &Path,
        build: &Build,
        scratch: &Path,
    ) -> Result<File, BuildError> {
        if !matches!(kind, SegmentKind::Rootfs | SegmentKind::Initrd) {
            let what = "is a directory; only rootfs and initrd are made from directories";
            return Err(refuse(kind, path, what));
        }
        let tree = Tree::read(kind.as_str(), path, build)?;
        if tree.entries.is_empty() {
            return Err(refuse(kind, path, "is an empty directory"));
        }
        let mut file =
            tempfile::tempfile_in(scratch).map_err(BuildError::io("create a file in", scratch))?;
        let written = match kind {
            SegmentKind::Rootfs => squashfs::write(&tree, build.mtime, &mut file),
            _ => cpio::write(&tree, build.mtime, &mut file),
        };
        written.map_err(|error| error.in_folder(scratch))?;
        Ok(file)
    }

    /// Reads bytes from it that were there when it was opened.
    pub(super) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), BuildError> {
        match self.file.read_exact_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.changed()),
            other => other.map_err(BuildError::io("read", &self.path)),
        }
    }

    fn changed(&self) -> BuildError {
        BuildError::Changed {
            segment: self.kind.as_str(),
            path: self.path.clone(),
        }
    }

    /// Whether this is the file that `path` names.
    pub(super) fn is(&self, path: &Path) -> bool {
        fs::metadata(path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.seen.0, self.seen.1))
    }

    /// It must be what it was when it was opened.
    pub(super) fn check_unchanged(&self) -> Result<(), BuildError> {
        match seen(&self.file) {
            Ok(now) if now == self.seen => Ok(()),
            Ok(_) => Err(self.changed()),
            Err(error) => Err(BuildError::io("look at", &self.path)(error)),
        }
    }
}

fn refuse(kind: SegmentKind, path: &Path, what: &str) -> BuildError {
    BuildError::Input {
        segment: kind.as_str(),
        path: path.to_owned(),
        what: what.to_owned(),
    }
}
