//! Why a device's storage cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use nx_image::boot_record::BootRecordError;

use crate::device::StoreError;

/// Why a device's storage cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// Another process has it, most likely a `flashd`.
    #[error("{} is in use by {}", path.display(), holder(*pid))]
    Locked {
        /// The journal's folder, or the file that images are written to.
        path: PathBuf,
        /// The other process, where that is known.
        pid: Option<u32>,
    },
    /// The target is nothing that an image can be written to.
    #[error("{} is {what}, not a file or a block device", path.display())]
    NotATarget {
        /// The target.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// What lies where the staged image belongs is not ours.
    #[error("{} is {what}: not touched", path.display())]
    ForeignStaging {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The disk, or what was offered, does not have what a disk with two slots needs.
    #[error("{}: {what} is missing", path.display())]
    Unusable {
        /// The disk.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// Nothing says which slot the running system was started from.
    #[error("{}: which slot runs is not known", path.display())]
    UnknownSlot {
        /// The disk.
        path: PathBuf,
    },
    /// The slot that is to be written runs.
    #[error("the running system is not confirmed: {why}")]
    Unconfirmed {
        /// More about it.
        why: String,
    },
    /// The boot record does not allow it.
    #[error("the boot record does not allow that")]
    Record(#[from] BootRecordError),
    /// The operating system refused.
    #[error("{op} {} failed", path.display())]
    Io {
        /// What was done.
        op: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    )
}

impl StorageError {
    /// For `map_err`: names what was done, and to what.
    pub(super) fn io<'a>(op: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Self + 'a {
        move |source| Self::Io {
            op,
            path: path.to_owned(),
            source,
        }
    }
}

impl From<StorageError> for StoreError {
    fn from(error: StorageError) -> Self {
        match &error {
            StorageError::Io { source, .. } => {
                let text = format!("{error}: {source}");
                match source.kind() {
                    io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::FileTooLarge => Self::Full(text),
                    _ => Self::Failed(text),
                }
            }
            StorageError::Record(source) => Self::Failed(format!("{error}: {source}")),
            _ => Self::Failed(error.to_string()),
        }
    }
}
