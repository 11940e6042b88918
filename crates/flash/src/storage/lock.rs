//! One `flashd` a journal.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::error::StorageError;

/// Held while a store is open; the kernel lets go of it when the process ends.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "the lock lives as long as the file")] File);

impl Lock {
    pub(super) fn take(dir: &Path) -> Result<Self, StorageError> {
        let path = dir.join("lock");
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let mut file = options
            .open(&path)
            .map_err(StorageError::io("open", &path))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            let read = std::io::Read::by_ref(&mut file)
                .take(16)
                .read_to_string(&mut pid);
            let known = read.is_ok() && pid.trim().bytes().all(|b| b.is_ascii_digit());
            let pid = if known && !pid.trim().is_empty() {
                pid.trim()
            } else {
                "?"
            };
            return Err(StorageError::Locked {
                path: dir.to_owned(),
                pid: pid.to_owned(),
            });
        }
        file.set_len(0)
            .map_err(StorageError::io("truncate", &path))?;
        let pid = std::process::id();
        writeln!(file, "{pid}").map_err(StorageError::io("write", &path))?;
        Ok(Self(file))
    }
}
