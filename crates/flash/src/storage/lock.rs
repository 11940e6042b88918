//! One `flashd` a journal.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::error::StorageError;

/// Held while a store is open; the kernel lets go of it when the process ends.
#[derive(Debug)]
pub(super) struct Lock(File);

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

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child of this process that has yet to become its program has
        // the file too.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_process_that_is_just_starting_does_not_hold_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path()).unwrap();
        // What a child has between fork and exec.
        let inherited = lock.0.try_clone().unwrap();
        assert!(Lock::take(dir.path()).is_err());
        drop(lock);
        Lock::take(dir.path()).unwrap();
        drop(inherited);
    }
}
