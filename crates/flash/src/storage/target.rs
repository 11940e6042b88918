//! The target, and the file in which an image waits to take its place.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nx_image::limits::IMAGE_BYTES_MAX;

use super::error::StorageError;
use super::lock::Held;
use super::ops::{Create, Ops};

/// How long a block device may be somebody else's: who watches devices looks at one each time
/// that it was written, and has it meanwhile.
const DEVICE_PATIENCE: Duration = Duration::from_secs(1);

/// How an image is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Staged beside the target, which one rename replaces: old or new, always.
    File,
    /// Written over the target: for devices whose recovery comes from elsewhere.
    InPlace,
}

impl Layout {
    /// `file` or `in-place`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::InPlace => "in-place",
        }
    }
}

/// The thing that images are installed to.
#[derive(Debug)]
pub(super) struct Target {
    ops: Arc<dyn Ops>,
    pub(super) path: PathBuf,
    pub(super) staging: PathBuf,
    pub(super) dir: PathBuf,
    pub(super) layout: Layout,
}

/// `O_NOFOLLOW`: a link in the place of a file of ours is not followed.
fn no_follow() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0)
}

impl Target {
    /// Looks at the target; without a layout, block devices are written in place.
    pub(super) fn look(
        ops: &Arc<dyn Ops>,
        path: &Path,
        layout: Option<Layout>,
    ) -> Result<Self, StorageError> {
        let kind = match fs::metadata(path) {
            Ok(found) => Some(found.file_type()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(StorageError::io("look at", path)(error)),
        };
        let is_device = kind.is_some_and(|kind| kind.is_block_device());
        if let Some(kind) = kind.filter(|kind| !kind.is_file() && !kind.is_block_device()) {
            return Err(StorageError::NotATarget {
                path: path.to_owned(),
                what: name_of(kind),
            });
        }
        let natural = if is_device {
            Layout::InPlace
        } else {
            Layout::File
        };
        let layout = layout.unwrap_or(natural);
        if is_device && layout == Layout::File {
            let what = "a block device, which a rename cannot replace";
            return Err(StorageError::NotATarget {
                path: path.to_owned(),
                what,
            });
        }
        // A rename would replace a link, not what it leads to.
        let path = match fs::symlink_metadata(path) {
            Ok(found) if found.is_symlink() => {
                &fs::canonicalize(path).map_err(StorageError::io("follow", path))?
            }
            _ => path,
        };
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let dir = dir.unwrap_or_else(|| Path::new(".")).to_owned();
        let dir_found = fs::metadata(&dir).map_err(StorageError::io("look at", &dir))?;
        if !dir_found.is_dir() {
            return Err(StorageError::NotATarget {
                path: dir,
                what: "no folder",
            });
        }
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let staging = dir.join(format!(".{name}.nx-staging"));
        Ok(Self {
            ops: Arc::clone(ops),
            path: path.to_owned(),
            staging,
            dir,
            layout,
        })
    }

    /// Where an image is written to before it is installed.
    pub(super) fn written(&self) -> &Path {
        match self.layout {
            Layout::File => &self.staging,
            Layout::InPlace => &self.path,
        }
    }

    /// Bytes that it can hold. A file grows as it has to.
    pub(super) fn capacity(&self) -> u64 {
        let is_device = |file: &File| {
            file.metadata()
                .is_ok_and(|found| found.file_type().is_block_device())
        };
        match File::open(&self.path) {
            // The length of a block device is where its end is.
            Ok(file) if is_device(&file) => {
                rustix::fs::seek(&file, rustix::fs::SeekFrom::End(0)).unwrap_or(0)
            }
            _ => IMAGE_BYTES_MAX,
        }
    }

    /// Opens what is installed, for reading.
    pub(super) fn open_installed(&self) -> Option<File> {
        File::open(&self.path).ok()
    }

    /// Takes the staged image of this length for reading and writing, if there is one.
    pub(super) fn open_staging(&self, bytes: u64) -> Result<Option<Held>, StorageError> {
        if self.layout == Layout::InPlace {
            return self.open_in_place(bytes).map(Some);
        }
        let Some(file) = self.take_staging(true)? else {
            return Ok(None);
        };
        let found = self.look_at(&file)?;
        if found.nlink() != 1 {
            return Err(self.foreign("a file with a second name"));
        }
        Ok((found.len() == bytes).then_some(file))
    }

    /// Takes whatever is staged, for itself alone.
    fn take_staging(&self, write: bool) -> Result<Option<Held>, StorageError> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(write)
            .custom_flags(no_follow() | non_block());
        let file = match options.open(&self.staging) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let what = fs::symlink_metadata(&self.staging).map(|found| found.file_type());
                return Err(match what {
                    Ok(kind) if !kind.is_file() => self.foreign(name_of(kind)),
                    _ => StorageError::io("open", &self.staging)(error),
                });
            }
        };
        let found = self.look_at(&file)?;
        if !found.is_file() {
            return Err(self.foreign(name_of(found.file_type())));
        }
        self.hold_staging(file).map(Some)
    }

    fn hold_staging(&self, file: File) -> Result<Held, StorageError> {
        let held = Held::take(file, &self.staging, Duration::ZERO)?;
        self.check_staging(&held)?;
        Ok(held)
    }

    /// Refuses when the staged image's name is not that of this file any more.
    pub(super) fn check_staging(&self, file: &File) -> Result<(), StorageError> {
        let ours = self.look_at(file)?;
        match fs::symlink_metadata(&self.staging) {
            Ok(found) if (found.dev(), found.ino()) == (ours.dev(), ours.ino()) => Ok(()),
            Ok(_) => Err(self.foreign("another file than before")),
            Err(error) => Err(StorageError::io("look at", &self.staging)(error)),
        }
    }

    fn look_at(&self, staged: &File) -> Result<fs::Metadata, StorageError> {
        staged
            .metadata()
            .map_err(StorageError::io("look at", &self.staging))
    }

    /// Makes a staged image of zeros, and takes it.
    pub(super) fn create_staging(&self, bytes: u64) -> Result<Held, StorageError> {
        if self.layout == Layout::InPlace {
            return self.open_in_place(bytes);
        }
        let file = self
            .ops
            .create(&self.staging, Create::New)
            .map_err(StorageError::io("create", &self.staging))?;
        let file = self.hold_staging(file)?;
        self.ops
            .set_len(&file, bytes)
            .map_err(StorageError::io("extend", &self.staging))?;
        // What is made durable in it is not to be lost with its name.
        self.sync_dir()?;
        Ok(file)
    }

    /// Removes a staged image that is of no use any more, unless another process has it.
    pub(super) fn discard_staging(&self) -> Result<(), StorageError> {
        if self.layout == Layout::InPlace {
            return Ok(());
        }
        match fs::symlink_metadata(&self.staging) {
            Ok(found) if found.is_file() => {
                let _held = self.take_staging(false)?;
                self.ops
                    .remove(&self.staging)
                    .map_err(StorageError::io("remove", &self.staging))
            }
            Ok(found) => Err(self.foreign(name_of(found.file_type()))),
            Err(_) => Ok(()),
        }
    }

    fn open_in_place(&self, bytes: u64) -> Result<Held, StorageError> {
        let file = self
            .ops
            .create(&self.path, Create::OrOpen)
            .map_err(StorageError::io("open", &self.path))?;
        let found = file
            .metadata()
            .map_err(StorageError::io("look at", &self.path))?;
        let patience = if found.is_file() {
            Duration::ZERO
        } else {
            DEVICE_PATIENCE
        };
        let file = Held::take(file, &self.path, patience)?;
        if found.is_file() && found.len() < bytes {
            self.ops
                .set_len(&file, bytes)
                .map_err(StorageError::io("extend", &self.path))?;
        }
        Ok(file)
    }

    /// Makes the target's name and that of the staged image durable, as they are.
    pub(super) fn sync_dir(&self) -> Result<(), StorageError> {
        self.ops
            .sync_dir(&self.dir)
            .map_err(StorageError::io("sync", &self.dir))
    }

    fn foreign(&self, what: &'static str) -> StorageError {
        StorageError::ForeignStaging {
            path: self.staging.clone(),
            what,
        }
    }
}

/// `O_NONBLOCK`: opening a FIFO must not wait for somebody at its other end.
fn non_block() -> i32 {
    i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0)
}

fn name_of(kind: fs::FileType) -> &'static str {
    if kind.is_dir() {
        "a folder"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_char_device() {
        "a character device"
    } else {
        "something else"
    }
}
