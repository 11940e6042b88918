//! A store in files: the target, the staged image beside it, and a folder for the journal.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nx_image::digest::Digest;
use nx_image::limits::MANIFEST_BYTES_MAX;
use nx_image::manifest::Manifest;

use super::cut;
use super::digests::DigestFiles;
use super::error::StorageError;
use super::journal::{Journal, Phase, sync_dir};
use super::lock::Lock;
use super::target::{Layout, Target};
use super::{Store, boot_record};
use crate::device::{Area, Outcome, Request, StoreError, StoreStatus};
use crate::extents::{each_nonzero, is_zero, next_data, read_at};
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
    target: Target,
    dir: PathBuf,
    journal: Journal,
    digests: DigestFiles,
    boot_record: Option<PathBuf>,
    staged: Option<File>,
    staged_bytes: u64,
    keeps_state: bool,
    /// What was digested last in place, where both areas are the same bytes.
    looked_at: Option<(u64, u32, Option<Digest>)>,
    zeros: Option<(u32, Digest)>,
    _lock: Lock,
}

impl FileStore {
    /// Opens a store, alone, and ends what a power cut interrupted.
    ///
    /// # Errors
    /// When another process has it, the target is no file or block device, or the operating
    /// system refuses.
    pub fn open(config: &FileStoreConfig) -> Result<Self, StorageError> {
        let dir = &config.journal;
        // A folder that is there already may be anybody's: its mode is not ours to change.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(StorageError::io("create", dir))?;
        let lock = Lock::take(dir)?;
        let target = Target::look(&config.target, config.layout)?;
        let mut store = Self {
            journal: Journal::open(dir)?,
            digests: DigestFiles::open(dir)?,
            dir: dir.clone(),
            boot_record: config.boot_record.clone(),
            staged: None,
            staged_bytes: 0,
            keeps_state: false,
            looked_at: None,
            zeros: None,
            target,
            _lock: lock,
        };
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

    /// A rename is the moment at which an image is installed, of its file or, in place, of its
    /// manifest: what follows is finished here if it was cut off.
    fn recover(&mut self) -> Result<(), StorageError> {
        let record = self.journal.record();
        if record.phase != Phase::Installing {
            return Ok(());
        }
        let is_there = |path: &Path| fs::symlink_metadata(path).is_ok();
        match self.target.layout {
            // Not renamed: the old image is in place, and the staged one is whole.
            Layout::File if is_there(&self.target.staging) => {
                self.journal.change(|record| record.phase = Phase::Quiet)
            }
            Layout::File => {
                sync_dir(&self.target.dir)?;
                self.take_over()
            }
            // Still being written: only its host can finish it.
            Layout::InPlace if is_there(&self.dir.join("staged.json")) => Ok(()),
            Layout::InPlace => match self.manifest("installed", record.staged) {
                Some(_) => self.take_over(),
                None => Ok(()),
            },
        }
    }

    /// The manifest of what was staged becomes that of what is installed.
    fn take_over(&mut self) -> Result<(), StorageError> {
        for name in ["json", "sig"] {
            let from = self.dir.join(format!("staged.{name}"));
            let to = self.dir.join(format!("installed.{name}"));
            cut::here()?;
            match fs::rename(&from, &to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StorageError::io("rename", &from)(error));
                }
                _ => {}
            }
        }
        sync_dir(&self.dir)?;
        self.journal.change(|record| {
            record.phase = Phase::Quiet;
            record.installed = record.staged.take();
        })
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
        }
    }

    fn begin(
        &mut self,
        manifest: &[u8],
        signature: &[u8],
        image_bytes: u64,
        restart: bool,
    ) -> Result<bool, StorageError> {
        // An install that failed half way is finished or taken back before anything else.
        self.recover()?;
        let digest = Manifest::digest_of(manifest);
        let staged = self.manifest("staged", Some(digest));
        let known = self.journal.record().staged == Some(digest) && staged.is_some();
        self.staged = None;
        self.looked_at = None;
        self.staged_bytes = image_bytes;
        if known && !restart {
            self.staged = self.target.open_staging(image_bytes)?;
        }
        if self.staged.is_none() {
            self.target.discard_staging()?;
        }
        if !known {
            self.journal.change(|record| record.staged = None)?;
            self.keep("staged.json", manifest)?;
            self.keep("staged.sig", signature)?;
            sync_dir(&self.dir)?;
            self.journal.change(|record| record.staged = Some(digest))?;
        }
        self.forget_digests(manifest);
        // In place, whatever the target holds may be of use.
        let in_place = self.target.layout == Layout::InPlace && !restart;
        Ok(self.staged.is_some() || (in_place && self.target.open_installed().is_some()))
    }

    fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        let path = self.dir.join(name);
        let mut file = tempfile::Builder::new()
            .prefix(".keep")
            .tempfile_in(&self.dir)
            .map_err(StorageError::io("create a file in", &self.dir))?;
        file.write_all(bytes)
            .map_err(StorageError::io("write", &path))?;
        file.as_file()
            .sync_all()
            .map_err(StorageError::io("sync", &path))?;
        cut::here()?;
        file.persist(&path)
            .map_err(|error| StorageError::io("replace", &path)(error.error))?;
        Ok(())
    }

    fn forget_digests(&self, manifest: &[u8]) {
        let installed = self.manifest("installed", self.journal.record().installed);
        let roots: BTreeSet<Digest> = [Some(manifest.to_vec()), installed]
            .into_iter()
            .flatten()
            .filter_map(|raw| Manifest::parse(&raw).ok())
            .flat_map(|manifest| manifest.segments.into_iter().map(|s| s.block_root))
            .collect();
        self.digests.keep_only(&roots);
    }

    /// The staged image, made if it is not there. In place, the target counts as being
    /// installed from the first byte on.
    fn staging(&mut self) -> Result<&File, StorageError> {
        let record = self.journal.record();
        let gives_up_state = !self.keeps_state && record.installed.is_some();
        if self.target.layout == Layout::InPlace
            && (record.phase != Phase::Installing || gives_up_state)
        {
            self.journal.change(|record| {
                record.phase = Phase::Installing;
                record.installed = record.installed.filter(|_| !gives_up_state);
            })?;
        }
        self.looked_at = None;
        let file = match self.staged.take() {
            Some(file) => file,
            None => self.target.create_staging(self.staged_bytes)?,
        };
        Ok(self.staged.insert(file))
    }

    fn reading(&self, area: Area) -> Result<Option<File>, StorageError> {
        match (area, self.target.layout, &self.staged) {
            (Area::Staged, _, Some(file)) => file
                .try_clone()
                .map(Some)
                .map_err(StorageError::io("open", &self.target.staging)),
            (Area::Staged, Layout::InPlace, None) | (Area::Installed, Layout::File, _) => {
                Ok(self.target.open_installed())
            }
            (Area::Installed, Layout::InPlace, _) if !self.is_half_written() => {
                Ok(self.target.open_installed())
            }
            (Area::Staged, Layout::File, None) | (Area::Installed, Layout::InPlace, _) => Ok(None),
        }
    }

    fn digest(
        &mut self,
        area: Area,
        offset: u64,
        bytes: u32,
    ) -> Result<Option<Digest>, StorageError> {
        let Some(file) = self.reading(area)? else {
            return Ok(None);
        };
        let end = offset.saturating_add(u64::from(bytes));
        let len = file.metadata().map_or(0, |found| found.len());
        if self.target.layout == Layout::File && len >= end && next_data(&file, offset) >= end {
            return Ok(Some(self.digest_of_zeros(bytes)));
        }
        let looked_at = self
            .looked_at
            .filter(|(at, len, _)| (*at, *len) == (offset, bytes));
        if let Some((_, _, digest)) = looked_at {
            return Ok(digest);
        }
        let mut buffer = vec![0; usize::try_from(bytes).unwrap_or(0)];
        let had = read_at(&file, &mut buffer, offset)
            .map_err(StorageError::io("read", &self.target.path))?;
        let digest = (had == buffer.len()).then(|| Digest::of(&buffer));
        if self.target.layout == Layout::InPlace {
            self.looked_at = Some((offset, bytes, digest));
        }
        Ok(digest)
    }

    /// Holes are common, and all of one length have one digest.
    fn digest_of_zeros(&mut self, bytes: u32) -> Digest {
        if let Some((len, digest)) = self.zeros.filter(|(len, _)| *len == bytes) {
            let _ = len;
            return digest;
        }
        let digest = Digest::of(&vec![0; usize::try_from(bytes).unwrap_or(0)]);
        self.zeros = Some((bytes, digest));
        digest
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let path = self.target.written().to_owned();
        self.staging()?
            .write_all_at(bytes, offset)
            .map_err(StorageError::io("write", &path))
    }

    /// Copies from the installed image to the staged one; zeros stay holes.
    fn copy(&mut self, offset: u64, bytes: u64) -> Result<(), StorageError> {
        if self.target.layout == Layout::InPlace {
            return Ok(());
        }
        let from = &self.target.path;
        let from = File::open(from).map_err(StorageError::io("open", from))?;
        let path = self.target.staging.clone();
        // What an earlier try left there would show through where the image has zeros.
        self.zero_gap(offset, bytes)?;
        let to = self.staging()?;
        each_nonzero(&from, offset, bytes, &mut |at, chunk| {
            to.write_all_at(chunk, at).map(|()| true)
        })
        .map_err(StorageError::io("copy to", &path))
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        let Some(file) = &self.staged else {
            return Ok(());
        };
        file.sync_data()
            .map_err(StorageError::io("sync", self.target.written()))?;
        self.looked_at = None;
        // What is read back has to come from the medium; where that cannot be had, it does not.
        let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
        Ok(())
    }

    fn zero_gap(&mut self, offset: u64, bytes: u64) -> Result<(), StorageError> {
        let path = self.target.written().to_owned();
        // Where there is nothing to do, an image in place stays installed.
        if let Some(file) = self.reading(Area::Staged)?
            && is_zero(&file, offset, bytes).map_err(StorageError::io("read", &path))?
        {
            return Ok(());
        }
        let file = self.staging()?;
        each_nonzero(file, offset, bytes, &mut |at, chunk| {
            file.write_all_at(&vec![0; chunk.len()], at).map(|()| true)
        })
        .map_err(StorageError::io("zero a gap of", &path))
    }

    fn install(&mut self) -> Result<(), StorageError> {
        self.staging()?;
        self.sync()?;
        if let Some(file) = self.staged.take() {
            self.look_like_the_target(&file)?;
            file.sync_all()
                .map_err(StorageError::io("sync", self.target.written()))?;
        }
        if self.target.layout == Layout::File {
            self.journal
                .change(|record| record.phase = Phase::Installing)?;
            cut::here()?;
            let (from, to) = (&self.target.staging, &self.target.path);
            fs::rename(from, to).map_err(StorageError::io("rename", from))?;
            sync_dir(&self.target.dir)?;
        }
        self.take_over()
    }

    /// Who could read the old image can read the new one.
    fn look_like_the_target(&self, file: &File) -> Result<(), StorageError> {
        if self.target.layout == Layout::InPlace {
            return Ok(());
        }
        let Ok(found) = fs::metadata(&self.target.path) else {
            return Ok(());
        };
        // Only root may give files away; without it the new image is this user's.
        let _ = std::os::unix::fs::fchown(file, Some(found.uid()), Some(found.gid()));
        file.set_permissions(found.permissions())
            .map_err(StorageError::io("set the mode of", &self.target.staging))
    }

    fn read(&self, offset: u64, bytes: u32) -> Result<Option<Vec<u8>>, StorageError> {
        let Some(file) = self.target.open_installed() else {
            return Ok(None);
        };
        let mut buffer = vec![0; usize::try_from(bytes.min(1 << 20)).unwrap_or(0)];
        let had = read_at(&file, &mut buffer, offset)
            .map_err(StorageError::io("read", &self.target.path))?;
        buffer.truncate(had);
        Ok(Some(buffer))
    }

    fn installed_is_zero(&self, offset: u64, bytes: u64) -> Result<bool, StorageError> {
        let Some(file) = self.target.open_installed() else {
            return Ok(false);
        };
        is_zero(&file, offset, bytes).map_err(StorageError::io("read", &self.target.path))
    }

    fn set_boot(&self, target: BootTarget) -> Result<(), StoreError> {
        let none = || StoreError::Unsupported("no boot record is configured".to_owned());
        let path = self.boot_record.as_ref().ok_or_else(none)?;
        Ok(boot_record::write(path, target)?)
    }

    fn answer(&mut self, request: Request) -> Result<Outcome, StoreError> {
        Ok(match request {
            Request::Status => Outcome::Status(self.status()),
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
            Request::Adopt { offset, bytes } => {
                self.copy(offset, u64::from(bytes))?;
                Outcome::Done
            }
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
            Request::Install => {
                self.install()?;
                Outcome::Done
            }
            Request::Read { offset, bytes } => Outcome::Bytes(self.read(offset, bytes)?),
            Request::SetBoot(target) => {
                self.set_boot(target)?;
                Outcome::Done
            }
        })
    }
}

impl Store for FileStore {
    fn serve(&mut self, request: Request) -> Outcome {
        self.answer(request).unwrap_or_else(Outcome::Failed)
    }
}

fn read_bounded(path: &Path) -> Option<Vec<u8>> {
    use std::io::Read as _;
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
