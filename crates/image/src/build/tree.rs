//! A directory as it goes into an image: sorted, and without what must not matter.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, llistxattr, llistxattr_query};
use rustix::io::Errno;

use super::error::BuildError;
use super::stop::Stop;
use super::writer::Build;

/// Entries in a tree, at most.
const ENTRIES_MAX: usize = 1 << 20;
/// Directories within directories, at most: the file system is written recursively.
const DEPTH_MAX: usize = 128;
/// The Linux kernel lists no more names of attributes (`XATTR_LIST_MAX`), in bytes.
const XATTR_NAMES_BYTES_MAX: usize = 64 * 1024;

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File { size: u64 },
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
    /// What it was when the tree was walked.
    pub(super) mark: Mark,
}

/// Tells a file from another, and from what becomes of it: device, inode, size, and when its
/// content and anything about it was last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(u64, u64, u64, (i64, i64), (i64, i64));

impl Mark {
    fn of(found: &fs::Metadata) -> Self {
        Self(
            found.dev(),
            found.ino(),
            found.len(),
            (found.mtime(), found.mtime_nsec()),
            (found.ctime(), found.ctime_nsec()),
        )
    }
}

/// A tree, sorted by path.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) segment: &'static str,
    pub(super) root: PathBuf,
    pub(super) root_mode: u16,
    pub(super) entries: Vec<Entry>,
    pub(super) stop: Stop,
}

/// What to do about a file that has several names in one directory tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HardLinks {
    /// Nothing is built: an image does not keep that they are one file.
    #[default]
    Refuse,
    /// Each name gets a copy.
    Copy,
}

/// What to do about extended attributes, among them capabilities and access control lists.
/// `security.selinux` is never looked at: the machine that builds sets it on every file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Xattrs {
    /// Nothing is built: an image does not keep them.
    #[default]
    Refuse,
    /// They are left out.
    Drop,
}

impl Tree {
    /// Walks a directory. Links are taken as links.
    pub(super) fn read(
        segment: &'static str,
        root: &Path,
        build: &Build,
    ) -> Result<Self, BuildError> {
        let found = fs::metadata(root).map_err(BuildError::io("look at", root))?;
        let mut walk = Walk {
            segment,
            root,
            device: found.dev(),
            policy: (build.hard_links, build.xattrs),
            linked: BTreeMap::new(),
        };
        // With a slash at its end, so that a link to a directory is followed.
        walk.check_xattrs(&root.join(""))?;
        let mut entries = Vec::new();
        let mut folders = vec![(PathBuf::new(), 1_usize)];
        while let Some((folder, depth)) = folders.pop() {
            build.check_stop()?;
            let path = root.join(&folder);
            if depth > DEPTH_MAX {
                let what = format!("lies more than {DEPTH_MAX} directories deep");
                return Err(walk.refuse(&path, what));
            }
            let listing = fs::read_dir(&path).map_err(BuildError::io("list", &path))?;
            // In one order, so that of several errors everybody sees the same one.
            let mut names = listing
                .map(|found| found.map(|found| found.file_name()))
                .collect::<Result<Vec<_>, _>>()
                .map_err(BuildError::io("list", &path))?;
            names.sort();
            for name in names {
                build.check_stop()?;
                let entry = walk.entry(&folder.join(name))?;
                if entry.kind == Kind::Directory {
                    folders.push((entry.path.clone(), depth.saturating_add(1)));
                }
                entries.push(entry);
                if entries.len() > ENTRIES_MAX {
                    return Err(walk.refuse(root, format!("has over {ENTRIES_MAX} entries")));
                }
            }
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self {
            segment,
            root: root.to_owned(),
            root_mode: mode(&found),
            entries,
            stop: build.stop(),
        })
    }

    /// The length of an entry's file in bytes; of anything else none.
    pub(super) fn size(&self, entry: usize) -> u64 {
        match self.entries.get(entry).map(|entry| &entry.kind) {
            Some(Kind::File { size }) => *size,
            _ => 0,
        }
    }

    /// Opens the file of an entry.
    pub(super) fn open(&self, entry: usize) -> io::Result<File> {
        let entry = self.entries.get(entry).ok_or(io::ErrorKind::NotFound)?;
        open(&self.root.join(&entry.path))
    }

    /// Opens the file of an entry if it still is what it was when the tree was walked.
    pub(super) fn open_unchanged(&self, entry: usize) -> Result<File, BuildError> {
        let file = self
            .open(entry)
            .map_err(|error| BuildError::io("open", &self.full(entry))(error))?;
        self.check_unchanged(entry, &file)?;
        Ok(file)
    }

    /// An open file has to be what it was when the tree was walked. What was read of it before
    /// then is what it held then.
    pub(super) fn check_unchanged(&self, entry: usize, file: &File) -> Result<(), BuildError> {
        self.check_mark(entry, file.metadata())
    }

    /// What has its name has to be what it was when the tree was walked.
    pub(super) fn check_unopened(&self, entry: usize) -> Result<(), BuildError> {
        self.check_mark(entry, fs::symlink_metadata(self.full(entry)))
    }

    fn check_mark(&self, entry: usize, now: io::Result<fs::Metadata>) -> Result<(), BuildError> {
        let now = now.map_err(|error| BuildError::io("look at", &self.full(entry))(error))?;
        let marked = self.entries.get(entry).map(|entry| entry.mark);
        match marked == Some(Mark::of(&now)) {
            true => Ok(()),
            false => Err(self.changed(entry)),
        }
    }

    /// The file of an entry became another.
    pub(super) fn changed(&self, entry: usize) -> BuildError {
        BuildError::Changed {
            segment: self.segment,
            path: self.full(entry),
        }
    }

    /// Where the file of an entry lies.
    pub(super) fn full(&self, entry: usize) -> PathBuf {
        match self.entries.get(entry) {
            Some(entry) => self.root.join(&entry.path),
            None => self.root.clone(),
        }
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

/// Opens what was a regular file when the tree was walked. By now it may be a link, which is not
/// followed, or a FIFO, which nobody waits for.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no regular file any more")),
    }
}

fn mode(found: &fs::Metadata) -> u16 {
    u16::try_from(found.mode() & 0o7777).unwrap_or(0)
}

/// A walk through a directory.
struct Walk<'a> {
    segment: &'static str,
    root: &'a Path,
    /// The file system that it stays on.
    device: u64,
    policy: (HardLinks, Xattrs),
    /// Files that have more names, and the first of them.
    linked: BTreeMap<u64, PathBuf>,
}

impl Walk<'_> {
    fn entry(&mut self, path: &Path) -> Result<Entry, BuildError> {
        let full = self.root.join(path);
        let found = fs::symlink_metadata(&full).map_err(BuildError::io("look at", &full))?;
        let kind = found.file_type();
        if path.to_str().is_none() {
            return Err(self.refuse(&full, "has a name that is not UTF-8"));
        }
        if found.dev() != self.device {
            return Err(self.refuse(&full, "is on another file system than the directory"));
        }
        if !kind.is_dir() && found.nlink() > 1 {
            self.check_names(path, &full, found.ino())?;
        }
        self.check_xattrs(&full)?;
        let kind = if kind.is_dir() {
            Kind::Directory
        } else if kind.is_file() {
            Kind::File { size: found.len() }
        } else if kind.is_symlink() {
            let to = fs::read_link(&full).map_err(BuildError::io("read", &full))?;
            if to.to_str().is_none() {
                return Err(self.refuse(&full, "leads to a name that is not UTF-8"));
            }
            Kind::Symlink(to)
        } else if kind.is_char_device() {
            Kind::CharDevice(found.rdev())
        } else if kind.is_block_device() {
            Kind::BlockDevice(found.rdev())
        } else if kind.is_fifo() {
            Kind::Fifo
        } else {
            return Err(self.refuse(&full, "is a socket, which has no place in an image"));
        };
        Ok(Entry {
            path: path.to_owned(),
            mode: mode(&found),
            mark: Mark::of(&found),
            kind,
        })
    }

    /// Names outside of the tree do not matter: the image gets one file either way.
    fn check_names(&mut self, path: &Path, full: &Path, inode: u64) -> Result<(), BuildError> {
        match self.linked.insert(inode, path.to_owned()) {
            Some(first) if self.policy.0 == HardLinks::Refuse => {
                let first = first.display();
                let what = format!("is the same file as {first}, which images do not keep");
                Err(self.refuse(full, what))
            }
            _ => Ok(()),
        }
    }

    fn check_xattrs(&self, full: &Path) -> Result<(), BuildError> {
        if self.policy.1 == Xattrs::Drop {
            return Ok(());
        }
        let failed = |error: Errno| BuildError::io("list the attributes of", full)(error.into());
        match llistxattr_query(full) {
            // Or a file system that has none.
            Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(()),
            other => other.map_err(failed)?,
        };
        let mut names = vec![0; XATTR_NAMES_BYTES_MAX];
        let len = llistxattr(full, names.as_mut_slice()).map_err(failed)?;
        let names = names.get(..len).unwrap_or_default();
        let kept = names
            .split(|byte| *byte == 0)
            .find(|name| !name.is_empty() && *name != b"security.selinux");
        match kept {
            Some(name) => {
                let name = String::from_utf8_lossy(name);
                let what = format!("has the attribute {name}, which images do not keep");
                Err(self.refuse(full, what))
            }
            None => Ok(()),
        }
    }

    fn refuse(&self, path: &Path, what: impl Into<String>) -> BuildError {
        BuildError::Input {
            segment: self.segment,
            path: path.to_owned(),
            what: what.into(),
        }
    }
}

/// Major and minor number of a Linux device.
pub(super) const fn device_numbers(rdev: u64) -> (u32, u32) {
    let major = ((rdev >> 32) & 0xffff_f000) | ((rdev >> 8) & 0x0fff);
    let minor = ((rdev >> 12) & 0xffff_ff00) | (rdev & 0xff);
    (major as u32, minor as u32)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::{XattrFlags, setxattr};

    use super::*;
    use crate::manifest::Profile;

    /// The directory itself is an entry like any other, by whatever name it is given.
    #[test]
    fn an_attribute_of_the_root_is_refused_or_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let (root, link) = (dir.path().join("root"), dir.path().join("link"));
        fs::create_dir(&root).unwrap();
        fs::write(root.join("file"), b"content").unwrap();
        symlink("root", &link).unwrap();
        let mut build = Build::new(Profile::Dev);
        Tree::read("rootfs", &root, &build).unwrap();
        setxattr(&root, "user.note", b"kept nowhere", XattrFlags::empty()).unwrap();
        for path in [&root, &link] {
            let refused = Tree::read("rootfs", path, &build).unwrap_err().to_string();
            assert!(refused.contains("has the attribute user.note"), "{refused}");
        }
        build.xattrs = Xattrs::Drop;
        assert_eq!(
            Tree::read("rootfs", &link, &build).unwrap().entries.len(),
            1
        );
    }
}
