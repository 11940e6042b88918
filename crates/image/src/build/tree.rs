//! A directory as it goes into an image: sorted, and without what must not matter.

use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::error::BuildError;
use crate::digest::Digest;

/// Entries in a tree, at most.
const ENTRIES_MAX: usize = 1 << 20;

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File { size: u64, sha256: Digest },
    Symlink(PathBuf),
    CharDevice(u64),
    BlockDevice(u64),
    Fifo,
}

/// One entry below the root of a tree.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Relative to the root, never empty.
    pub(super) path: PathBuf,
    /// Permission bits, set-id bits and the sticky bit.
    pub(super) mode: u16,
    pub(super) kind: Kind,
}

/// A tree, sorted by path.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) segment: &'static str,
    pub(super) root: PathBuf,
    pub(super) root_mode: u16,
    pub(super) entries: Vec<Entry>,
}

impl Tree {
    /// Walks a directory and digests its files. Links are taken as links.
    pub(super) fn read(segment: &'static str, root: &Path) -> Result<Self, BuildError> {
        let mut entries = Vec::new();
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            let path = root.join(&folder);
            let listing = fs::read_dir(&path).map_err(BuildError::io("list", &path))?;
            for found in listing {
                let found = found.map_err(BuildError::io("list", &path))?;
                let entry = entry(segment, root, &folder.join(found.file_name()))?;
                if entry.kind == Kind::Directory {
                    folders.push(entry.path.clone());
                }
                entries.push(entry);
                if entries.len() > ENTRIES_MAX {
                    let what = format!("has over {ENTRIES_MAX} entries");
                    return Err(BuildError::Input {
                        segment,
                        path: root.to_owned(),
                        what,
                    });
                }
            }
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let root_mode = mode(&fs::metadata(root).map_err(BuildError::io("look at", root))?);
        Ok(Self {
            segment,
            root: root.to_owned(),
            root_mode,
            entries,
        })
    }

    /// What was read back differs.
    pub(super) fn differs(&self, path: &Path, what: impl Into<String>) -> BuildError {
        let path = path.display().to_string();
        BuildError::ReadBack {
            segment: self.segment,
            path,
            what: what.into(),
        }
    }
}

fn mode(found: &fs::Metadata) -> u16 {
    u16::try_from(found.mode() & 0o7777).unwrap_or(0)
}

fn entry(segment: &'static str, root: &Path, path: &Path) -> Result<Entry, BuildError> {
    let full = root.join(path);
    let refuse = |what: &str| BuildError::Input {
        segment,
        path: full.clone(),
        what: what.to_owned(),
    };
    let found = fs::symlink_metadata(&full).map_err(BuildError::io("look at", &full))?;
    let kind = found.file_type();
    if path.to_str().is_none() {
        return Err(refuse("has a name that is not UTF-8"));
    }
    if !kind.is_dir() && found.nlink() > 1 {
        return Err(refuse(
            "has a second name (hard link), which images do not keep",
        ));
    }
    let kind = if kind.is_dir() {
        Kind::Directory
    } else if kind.is_file() {
        let (size, sha256) = digest(&full)?;
        Kind::File { size, sha256 }
    } else if kind.is_symlink() {
        Kind::Symlink(fs::read_link(&full).map_err(BuildError::io("read", &full))?)
    } else if kind.is_char_device() {
        Kind::CharDevice(found.rdev())
    } else if kind.is_block_device() {
        Kind::BlockDevice(found.rdev())
    } else if kind.is_fifo() {
        Kind::Fifo
    } else {
        return Err(refuse("is a socket, which has no place in an image"));
    };
    Ok(Entry {
        path: path.to_owned(),
        mode: mode(&found),
        kind,
    })
}

fn digest(path: &Path) -> Result<(u64, Digest), BuildError> {
    let mut file = File::open(path).map_err(BuildError::io("open", path))?;
    digest_of(&mut file).map_err(BuildError::io("read", path))
}

/// Length and digest of what a reader gives, in constant memory.
pub(super) fn digest_of(reader: &mut dyn std::io::Read) -> std::io::Result<(u64, Digest)> {
    let mut buffer = vec![0; 256 * 1_024];
    let mut hasher = Digest::hasher();
    let mut size = 0_u64;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok((size, hasher.finish())),
            Ok(had) => {
                hasher.update(buffer.get(..had).unwrap_or_default());
                size = size.saturating_add(u64::try_from(had).unwrap_or(0));
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Major and minor number of a Linux device.
pub(super) const fn device_numbers(rdev: u64) -> (u32, u32) {
    let major = ((rdev >> 32) & 0xffff_f000) | ((rdev >> 8) & 0x0fff);
    let minor = ((rdev >> 12) & 0xffff_ff00) | (rdev & 0xff);
    (major as u32, minor as u32)
}
