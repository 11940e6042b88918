//! A disk of fixed size: all that the logic of two slots knows of storage.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::StorageError;
use super::lock::Held;
use crate::extents;

/// How long a disk may be somebody else's: who watches devices looks at one each time that it
/// was written, and has it meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);

/// A disk of fixed size.
///
/// A write of one aligned sector of 512 bytes reaches the medium as a whole or not at all. Of
/// larger writes any sectors may, in any order, until [`sync`](Self::sync) has returned.
pub trait Disk: fmt::Debug + Send {
    /// Bytes that it has.
    fn size(&self) -> u64;

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// When the disk ends before, or fails.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` from `offset` on.
    ///
    /// # Errors
    /// When the disk ends before, or fails.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// What was written before survives a power cut, and is read from the medium.
    ///
    /// # Errors
    /// When the disk fails.
    fn sync(&mut self) -> io::Result<()>;

    /// The first byte at or behind `offset` that may not be zero; `u64::MAX` if there is none.
    fn next_data(&self, offset: u64) -> u64 {
        offset
    }

    /// Keeps others who ask away, until [`release`](Self::release).
    ///
    /// # Errors
    /// When another process has it.
    fn claim(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    /// Lets others have it again.
    fn release(&mut self) {}
}

/// A block device, or a file that stands for one.
#[derive(Debug)]
pub struct FileDisk {
    path: PathBuf,
    file: File,
    size: u64,
    held: Option<Held>,
}

impl FileDisk {
    /// Opens a disk that is there.
    ///
    /// # Errors
    /// When it is neither a file nor a block device, or the system refuses.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        // Looked at first: opening a device of another kind may do something.
        let kind = std::fs::metadata(path)
            .map_err(StorageError::io("look at", path))?
            .file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(StorageError::NotATarget {
                path: path.to_owned(),
                what: "something else",
            });
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let file = options.open(path).map_err(StorageError::io("open", path))?;
        let size = rustix::fs::seek(&file, rustix::fs::SeekFrom::End(0))
            .map_err(|errno| StorageError::io("measure", path)(errno.into()))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            size,
            held: None,
        })
    }
}

impl Disk for FileDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let fits = offset.checked_add(len).is_some_and(|end| end <= self.size);
        if !fits {
            // A file would grow; a disk does not.
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        // What is read back has to come from the medium; where that cannot be had, it does not.
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
        Ok(())
    }

    fn next_data(&self, offset: u64) -> u64 {
        extents::next_data(&self.file, offset)
    }

    fn claim(&mut self) -> Result<(), StorageError> {
        if self.held.is_none() {
            let file = self.file.try_clone();
            let file = file.map_err(StorageError::io("open", &self.path))?;
            self.held = Some(Held::take(file, &self.path, PATIENCE)?);
        }
        Ok(())
    }

    fn release(&mut self) {
        self.held = None;
    }
}
