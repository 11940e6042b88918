//! What a store does to files.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Every operation by which a [`FileStore`](super::FileStore) changes a file system, or decides
/// what of a change outlives a power cut; reading is not among them.
///
/// [`System`] makes the calls. A test puts itself between, to fail any of them, or to work out what
/// a power cut may leave.
pub trait Ops: fmt::Debug + Send + Sync {
    /// Makes a folder for its owner only, in one that is there; it is no error if it is there
    /// itself.
    fn make_dir(&self, path: &Path) -> io::Result<()>;

    /// Opens a file for reading and writing, and makes it, for its owner only, if it is not there.
    fn create(&self, path: &Path, create: Create) -> io::Result<File>;

    /// Writes all of `bytes`.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts a file, or makes it longer by zeros.
    fn set_len(&self, file: &File, bytes: u64) -> io::Result<()>;

    /// Makes a file's bytes and its length durable.
    fn sync_data(&self, file: &File) -> io::Result<()>;

    /// Makes a file durable, with its mode and owner.
    fn sync_all(&self, file: &File) -> io::Result<()>;

    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Has what is read next come from the medium, where that can be had.
    fn forget_cached(&self, file: &File);

    /// Moves a file to another name, in one step; what had that name is gone.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes the name of a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// Whether a file may be there already when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    /// It may, and keeps its bytes; a link is followed.
    OrOpen,
    /// It may not, and neither may a link.
    New,
}

/// The running system.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Ops for System {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    }

    fn create(&self, path: &Path, create: Create) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).truncate(false).mode(0o600);
        match create {
            Create::OrOpen => options.create(true),
            Create::New => options.create_new(true),
        };
        options.open(path)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn set_len(&self, file: &File, bytes: u64) -> io::Result<()> {
        file.set_len(bytes)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_all(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn forget_cached(&self, file: &File) {
        // A medium without a cache has nothing to forget.
        let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}
