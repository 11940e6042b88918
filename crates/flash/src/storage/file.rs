//! A store in files: the target, the staged image beside it, and a folder for the journal.

mod begin;
mod contents;
mod install;
mod read_back;

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nx_image::digest::Digest;
use nx_image::limits::MANIFEST_BYTES_MAX;
use nx_image::manifest::Manifest;

use super::digests::DigestFiles;
use super::error::StorageError;
use super::journal::{Journal, Phase};
use super::lock::{Held, Lock};
use super::ops::{Ops, System};
use super::places::Places;
use super::search::Search;
use super::target::{Layout, Target};
use super::{Store, boot_record};
use crate::device::{Outcome, Request, StoreError, StoreStatus};
use crate::wire::BootTarget;

/// What a [`FileStore`] is made from.
#[derive(Clone, Debug)]
pub struct FileStoreConfig {
    /// The file or block device that images are installed to.
    pub target: PathBuf,
    /// A folder for the journal; it is created.
    pub journal: PathBuf,
    /// How images are installed; by the kind of the target if not said.
    pub layout: Option<Layout>,
    /// The file that the next boot is written to.
    pub boot_record: Option<PathBuf>,
}

/// A device's storage in files.
#[derive(Debug)]
pub struct FileStore {
    ops: Arc<dyn Ops>,
    target: Target,
    dir: PathBuf,
    journal: Journal,
    digests: DigestFiles,
    boot_record: Option<PathBuf>,
    staged: Option<Held>,
    staged_bytes: u64,
    keeps_state: bool,
    /// What was digested last in place, where both areas are the same bytes.
    looked_at: Option<(u64, u32, Option<Digest>)>,
    zeros: Option<(u32, Digest)>,
    /// Where the installed image has its blocks, once that was asked.
    places: Option<Places>,
    /// The search for blocks at any offset of it.
    search: Option<Search>,
    _lock: Lock,
}

impl FileStore {
    /// Opens a store, alone, and ends what a power cut interrupted.
    ///
    /// # Errors
    /// When another process has it, the target is no file or block device, or the operating
    /// system refuses.
    pub fn open(config: &FileStoreConfig) -> Result<Self, StorageError> {
        Self::open_with(Arc::new(System), config)
    }

    /// [`open`](Self::open), with every change going through `ops`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(ops: Arc<dyn Ops>, config: &FileStoreConfig) -> Result<Self, StorageError> {
        let dir = &config.journal;
        // A folder that is there already may be anybody's: its mode is not ours to change.
        make_folder(&*ops, dir)?;
        let lock = Lock::take(dir)?;
        let target = Target::look(&ops, &config.target, config.layout)?;
        let mut store = Self {
            journal: Journal::open(&ops, dir)?,
            digests: DigestFiles::open(&ops, dir)?,
            ops,
            dir: dir.clone(),
            boot_record: config.boot_record.clone(),
            staged: None,
            staged_bytes: 0,
            keeps_state: false,
            looked_at: None,
            zeros: None,
            places: None,
            search: None,
            target,
            _lock: lock,
        };
        if store.journal.is_new() {
            // Nothing can be remembered in a folder that a power cut takes away.
            make_name_durable(&*store.ops, dir)?;
        }
        store.recover()?;
        store
            .journal
            .change(|record| record.boot = record.boot.wrapping_add(1))?;
        Ok(store)
    }

    /// How often a store was opened here: the number of this boot.
    pub const fn boot(&self) -> u32 {
        self.journal.record().boot
    }

    fn manifest(&self, which: &str, digest: Option<Digest>) -> Option<Vec<u8>> {
        let raw = read_bounded(&self.dir.join(format!("{which}.json")))?;
        (Some(Manifest::digest_of(&raw)) == digest).then_some(raw)
    }

    /// Whether the target was being written over when something stopped it.
    fn is_half_written(&self) -> bool {
        self.target.layout == Layout::InPlace && self.journal.record().phase == Phase::Installing
    }

    fn status(&self) -> StoreStatus {
        let record = self.journal.record();
        let present = fs::metadata(&self.target.path).is_ok();
        let before = self
            .manifest("installed", record.installed)
            .filter(|_| present);
        let (installed, interrupted) = if self.is_half_written() {
            (None, before)
        } else {
            (before, None)
        };
        StoreStatus {
            installed,
            interrupted,
            staged: record.staged,
            capacity: self.target.capacity(),
            layout: self.target.layout.as_str().to_owned(),
            slots: None,
        }
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), StorageError> {
        self.ops
            .sync_dir(dir)
            .map_err(StorageError::io("sync", dir))
    }

    fn set_boot(&self, target: BootTarget) -> Result<(), StoreError> {
        let none = || StoreError::Unsupported("no boot record is configured".to_owned());
        let path = self.boot_record.as_ref().ok_or_else(none)?;
        Ok(boot_record::write(&*self.ops, path, target)?)
    }

    fn answer(&mut self, request: Request) -> Result<Outcome, StoreError> {
        Ok(match request {
            Request::Status => {
                // After an install that failed half way, the records may name the image before.
                self.recover()?;
                Outcome::Status(self.status())
            }
            Request::Begin {
                manifest,
                signature,
                image_bytes,
                restart,
                keeps_state,
            } => {
                self.keeps_state = keeps_state;
                Outcome::Began {
                    resumed: self.begin(&manifest, &signature, image_bytes, restart)?,
                }
            }
            Request::LoadDirectory { root } => Outcome::Bytes(self.digests.load(&root, None)),
            Request::StoreDirectory { root, bytes } => {
                self.digests.store(&root, None, &bytes)?;
                Outcome::Done
            }
            Request::LoadPage { root, page } => {
                Outcome::Bytes(self.digests.load(&root, Some(page)))
            }
            Request::StorePage { root, page, bytes } => {
                self.digests.store(&root, Some(page), &bytes)?;
                Outcome::Done
            }
            Request::Digest {
                area,
                offset,
                bytes,
            } => Outcome::Digest(self.digest(area, offset, bytes)?),
            Request::ReadBack {
                offset,
                bytes,
                block_bytes,
            } => Outcome::Digests(self.read_back(offset, bytes, block_bytes)?),
            Request::Adopt { offset, bytes } => {
                self.copy(offset, u64::from(bytes))?;
                Outcome::Done
            }
            Request::MaySearch => Outcome::Flag(self.may_search()?),
            Request::Learn {
                offset,
                block_bytes,
                sums,
            } => {
                self.search
                    .get_or_insert_with(|| Search::new(block_bytes))
                    .learn(offset, &sums);
                Outcome::Done
            }
            Request::Search => Outcome::Flag(self.search_on()?),
            Request::Gather {
                digest,
                offset,
                bytes,
            } => Outcome::Flag(self.gather(&digest, offset, bytes)?),
            Request::Write { offset, bytes } => {
                self.write(offset, &bytes)?;
                Outcome::Done
            }
            Request::Sync => {
                self.sync()?;
                Outcome::Done
            }
            Request::ZeroGap { offset, bytes } => {
                self.zero_gap(offset, bytes)?;
                Outcome::Done
            }
            Request::IsZero { offset, bytes } => {
                Outcome::Flag(self.installed_is_zero(offset, bytes)?)
            }
            Request::Carry { offset, bytes } => {
                self.copy(offset, bytes)?;
                Outcome::Done
            }
            Request::Discard => {
                self.discard()?;
                Outcome::Done
            }
            Request::Install => {
                self.install()?;
                Outcome::Done
            }
            Request::Read { offset, bytes } => Outcome::Bytes(self.read(offset, bytes)?),
            Request::SetBoot(target) => {
                self.set_boot(target)?;
                Outcome::Done
            }
            // No store's matter.
            Request::Speed(_) => Outcome::Speed { held: false },
        })
    }
}

impl Store for FileStore {
    fn serve(&mut self, request: Request) -> Outcome {
        self.answer(request).unwrap_or_else(Outcome::Failed)
    }
}

/// Makes a folder, and those that it lies in.
fn make_folder(ops: &dyn Ops, dir: &Path) -> Result<(), StorageError> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = parent_of(dir);
    if parent != dir {
        make_folder(ops, parent)?;
    }
    ops.make_dir(dir).map_err(StorageError::io("create", dir))?;
    make_name_durable(ops, dir)
}

/// Makes it durable that a folder is there. Where something is mounted on it, that is another's
/// matter.
fn make_name_durable(ops: &dyn Ops, dir: &Path) -> Result<(), StorageError> {
    let parent = parent_of(dir);
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
    if device(parent) != device(dir) {
        return Ok(());
    }
    ops.sync_dir(parent)
        .map_err(StorageError::io("sync", parent))
}

/// The folder that something lies in.
fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

fn read_bounded(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MANIFEST_BYTES_MAX)
        .unwrap_or(0)
        .saturating_add(1);
    File::open(path)
        .ok()?
        .take(limit)
        .read_to_end(&mut bytes)
        .ok()?;
    (bytes.len() <= MANIFEST_BYTES_MAX).then_some(bytes)
}

#[cfg(test)]
mod tests;
