//! A system that dies before a given operation, and stays dead.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::storage::ops::{Create, Ops, System};

#[derive(Debug)]
pub(super) struct Cut {
    left: AtomicU32,
}

impl Cut {
    /// It does so many operations, and no more.
    pub(super) fn after(operations: u32) -> Self {
        Self {
            left: AtomicU32::new(operations),
        }
    }

    /// Whether it has died, or will with the next operation.
    pub(super) fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    fn live(&self) -> io::Result<&System> {
        let one_less = |left: u32| left.checked_sub(1);
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .map(|_| &System)
            .map_err(|_| io::Error::other("power cut"))
    }
}

impl Ops for Cut {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.live()?.make_dir(path)
    }

    fn create(&self, path: &Path, create: Create) -> io::Result<File> {
        self.live()?.create(path, create)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.live()?.write_at(file, bytes, offset)
    }

    fn set_len(&self, file: &File, bytes: u64) -> io::Result<()> {
        self.live()?.set_len(file, bytes)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        self.live()?.sync_data(file)
    }

    fn sync_all(&self, file: &File) -> io::Result<()> {
        self.live()?.sync_all(file)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.live()?.sync_dir(path)
    }

    fn forget_cached(&self, file: &File) {
        System.forget_cached(file);
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.live()?.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.live()?.remove(path)
    }
}
