//! A store is opened: on the disk of a device, or on any other.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nx_image::boot_record::Slot;
use nx_image::digest::Digest;

use super::{AbStore, Running};
use crate::device::{Outcome, Request};
use crate::storage::Store;
use crate::storage::digests::DigestFiles;
use crate::storage::disk::{Disk, FileDisk};
use crate::storage::error::StorageError;
use crate::storage::journal::Journal;
use crate::storage::lock::Lock;
use crate::storage::ops::{Ops, System};
use crate::storage::pages::Pages;

/// Differs from one start of the machine to the next.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What an [`AbStore`] on a device's disk is made from.
#[derive(Clone, Debug)]
pub struct AbConfig {
    /// The block device, or a file that stands for one.
    pub target: PathBuf,
    /// A folder for block digests, which may be lost; it is created.
    pub journal: PathBuf,
    /// What runs.
    pub running: Running,
}

/// A store that is open.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: AbStore,
    /// The slot that runs again, because the one on trial has no tries left: that one is
    /// forgotten.
    pub fell_back: Option<Slot>,
    /// The number of this boot.
    pub boot: u32,
    /// Nobody else has the folder meanwhile.
    pub(super) _lock: Option<Lock>,
}

impl Store for Opened {
    fn serve(&mut self, request: Request) -> Outcome {
        self.store.serve(request)
    }
}

impl AbStore {
    /// Opens the disk of a device, and a folder for it alone.
    ///
    /// # Errors
    /// When another process has the folder, the disk is none, or the system refuses.
    pub fn open(config: &AbConfig) -> Result<Opened, StorageError> {
        let dir = &config.journal;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(StorageError::io("create", dir))?;
        let lock = Lock::take(dir)?;
        let ops: Arc<dyn Ops> = Arc::new(System);
        let mut journal = Journal::open(&ops, dir)?;
        journal.change(|record| record.boot = record.boot.wrapping_add(1))?;
        let disk = FileDisk::open(&config.target)?;
        let pages = DigestFiles::open(&ops, dir)?;
        let opened = Self::open_on(disk, pages, config.running, &config.target)?;
        Ok(Opened {
            boot: journal.record().boot.wrapping_add(boot_base()),
            _lock: Some(lock),
            ..opened
        })
    }

    /// Opens the disk of a device without a folder, to [`confirm`](Self::confirm) what runs.
    ///
    /// # Errors
    /// When the disk is none, or the system refuses.
    pub fn open_to_confirm(target: &Path, running: Running) -> Result<Opened, StorageError> {
        let pages = crate::storage::pages::MemoryPages::default();
        Self::open_on(FileDisk::open(target)?, pages, running, target)
    }

    /// Opens any disk, and ends what a power cut interrupted. `name` is for messages.
    ///
    /// # Errors
    /// When the disk fails, or another process writes it.
    pub fn open_on(
        disk: impl Disk + 'static,
        pages: impl Pages + 'static,
        running: Running,
        name: &Path,
    ) -> Result<Opened, StorageError> {
        let mut store = Self {
            disk: Box::new(disk),
            pages: Box::new(pages),
            running,
            path: name.to_owned(),
            job: None,
            installed: None,
            places: None,
            search: None,
        };
        store.finish_provisioning()?;
        let fell_back = store.note_fall_back()?;
        Ok(Opened {
            store,
            fell_back,
            boot: 1,
            _lock: None,
        })
    }
}

/// Where the folder is lost with each start of the machine, its count begins anew.
fn boot_base() -> u32 {
    let id = fs::read(BOOT_ID).unwrap_or_default();
    let digest = Digest::of(&id);
    let start = digest.as_bytes().first_chunk::<4>();
    start.map_or(0, |start| u32::from_le_bytes(*start))
}
