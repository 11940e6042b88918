use std::ffi::{CString, OsStr};
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::FileType;

/// One top-level entry of a state root: its name as raw bytes, and what it is.
///
/// Ordered by name, byte by byte.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    name: Vec<u8>,
    kind: EntryKind,
}

impl Entry {
    /// An entry called `name`. Any bytes will do: names of no known encoding are removed like
    /// others.
    pub fn new(name: impl AsRef<OsStr>, kind: EntryKind) -> Self {
        Self {
            name: name.as_ref().as_bytes().to_vec(),
            kind,
        }
    }

    /// The name, as the file system has it.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// What the name stands for; links are not followed.
    pub fn kind(&self) -> EntryKind {
        self.kind
    }

    /// The name for a system call; `None` if it holds a NUL, which no file system gives.
    pub(crate) fn c_name(&self) -> Option<CString> {
        CString::new(self.name.as_slice()).ok()
    }
}

/// What a directory entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link, wherever it leads.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket's name.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// Something the system has no name for.
    Other,
}

impl EntryKind {
    pub(crate) fn of(kind: FileType) -> Self {
        match kind {
            FileType::Directory => Self::Directory,
            FileType::RegularFile => Self::File,
            FileType::Symlink => Self::Symlink,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            FileType::CharacterDevice => Self::CharDevice,
            FileType::BlockDevice => Self::BlockDevice,
            FileType::Unknown => Self::Other,
        }
    }

    /// The word for it in a plan's canonical lines.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::File => "file",
            Self::Symlink => "symlink",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::CharDevice => "char-device",
            Self::BlockDevice => "block-device",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
