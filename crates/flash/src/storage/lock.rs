//! One `flashd` a journal, and one a file that it writes.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::ops::Deref;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::error::StorageError;

/// Longest table of locks that is searched for a holder, in bytes.
const LOCKS_BYTES_MAX: u64 = 1 << 20;
/// Time between two tries.
const TRY_EVERY: Duration = Duration::from_millis(20);

/// A file that nobody else who asks has meanwhile; the kernel lets go of it when the process ends.
#[derive(Debug)]
pub(super) struct Held(File);

impl Held {
    /// Takes the file, which is at `path`; who has it may take so long to let go of it.
    pub(super) fn take(file: File, path: &Path, patience: Duration) -> Result<Self, StorageError> {
        let started = Instant::now();
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self(file)),
                Err(Errno::WOULDBLOCK) if started.elapsed() < patience => thread::sleep(TRY_EVERY),
                Err(errno) => return Err(refused(errno, path, || holder(&file))),
            }
        }
    }
}

impl Deref for Held {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Closing is not enough: a child of this process that has yet to become its program has
        // the file too.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// Held while a store is open.
#[derive(Debug)]
pub(super) struct Lock {
    _held: Held,
}

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
        let file = options
            .open(&path)
            .map_err(StorageError::io("open", &path))?;
        let file = Held::take(file, dir, Duration::ZERO).map_err(|error| match error {
            // Some file systems have other numbers in the kernel's table.
            StorageError::Locked {
                path: dir,
                pid: None,
            } => StorageError::Locked {
                path: dir,
                pid: written_pid(&path),
            },
            error => error,
        })?;
        file.set_len(0)
            .map_err(StorageError::io("truncate", &path))?;
        let pid = std::process::id();
        writeln!(&*file, "{pid}").map_err(StorageError::io("write", &path))?;
        Ok(Self { _held: file })
    }
}

/// Why a file was not to be had.
fn refused(errno: Errno, path: &Path, holder: impl FnOnce() -> Option<u32>) -> StorageError {
    if errno == Errno::WOULDBLOCK {
        StorageError::Locked {
            path: path.to_owned(),
            pid: holder(),
        }
    } else {
        StorageError::io("lock", path)(errno.into())
    }
}

/// The process that has this file, as far as the kernel tells.
fn holder(file: &File) -> Option<u32> {
    let found = file.metadata().ok()?;
    let (major, minor) = (
        rustix::fs::major(found.dev()),
        rustix::fs::minor(found.dev()),
    );
    let place = format!("{major:02x}:{minor:02x}:{}", found.ino());
    let mut locks = String::new();
    let table = File::open("/proc/locks").ok()?;
    table
        .take(LOCKS_BYTES_MAX)
        .read_to_string(&mut locks)
        .ok()?;
    // `1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF`
    locks.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (kind, pid) = (words.next()?, words.nth(2)?);
        let here = kind == "FLOCK" && words.next()? == place;
        pid.parse().ok().filter(|_| here)
    })
}

/// What the holder of a journal wrote there.
fn written_pid(path: &Path) -> Option<u32> {
    let mut pid = String::new();
    let file = File::open(path).ok()?;
    file.take(16).read_to_string(&mut pid).ok()?;
    pid.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_process_that_is_just_starting_does_not_hold_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path()).unwrap();
        // What a child has between fork and exec.
        let inherited = lock._held.0.try_clone().unwrap();
        assert!(Lock::take(dir.path()).is_err());
        drop(lock);
        Lock::take(dir.path()).unwrap();
        drop(inherited);
    }

    #[test]
    fn who_has_it_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let _lock = Lock::take(dir.path()).unwrap();
        let error = Lock::take(dir.path()).unwrap_err().to_string();
        let pid = std::process::id();
        assert!(
            error.ends_with(&format!(" is in use by process {pid}")),
            "{error}"
        );
    }

    #[test]
    fn a_lock_that_cannot_be_had_at_all_is_not_somebody_elses() {
        let refused = |errno| refused(errno, Path::new("/x"), || None);
        assert!(matches!(
            refused(Errno::WOULDBLOCK),
            StorageError::Locked { .. }
        ));
        for errno in [Errno::NOLCK, Errno::OPNOTSUPP, Errno::IO] {
            let error = refused(errno);
            let lock = matches!(&error, StorageError::Io { op: "lock", source, .. }
                if source.raw_os_error() == Some(errno.raw_os_error()));
            assert!(lock, "{error:?}");
        }
    }
}
