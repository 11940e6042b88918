//! The bytes of the images: digested, written, copied, zeroed and read.

use std::fs::File;
use std::sync::Arc;

use nx_image::digest::Digest;
use nx_image::manifest::Manifest;

use super::FileStore;
use crate::device::Area;
use crate::extents::{each_nonzero, is_zero, next_data, read_at};
use crate::storage::error::StorageError;
use crate::storage::journal::Phase;
use crate::storage::places::Places;
use crate::storage::target::Layout;

impl FileStore {
    /// The staged image, made if it is not there. In place, the target counts as being
    /// installed from the first byte on.
    pub(super) fn staging(&mut self) -> Result<&File, StorageError> {
        let file = match self.staged.take() {
            Some(file) => file,
            None => self.target.create_staging(self.staged_bytes)?,
        };
        let file = self.staged.insert(file);
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
        Ok(file)
    }

    pub(super) fn reading(&self, area: Area) -> Result<Option<File>, StorageError> {
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

    pub(super) fn digest(
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
    pub(super) fn digest_of_zeros(&mut self, bytes: u32) -> Digest {
        if let Some((_, digest)) = self.zeros.filter(|(len, _)| *len == bytes) {
            return digest;
        }
        let digest = Digest::of(&vec![0; usize::try_from(bytes).unwrap_or(0)]);
        self.zeros = Some((bytes, digest));
        digest
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let path = self.target.written().to_owned();
        let ops = Arc::clone(&self.ops);
        ops.write_at(self.staging()?, bytes, offset)
            .map_err(StorageError::io("write", &path))
    }

    /// Copies from the installed image to the staged one; zeros stay holes.
    pub(super) fn copy(&mut self, offset: u64, bytes: u64) -> Result<(), StorageError> {
        if self.target.layout == Layout::InPlace {
            return Ok(());
        }
        let from = &self.target.path;
        let from = File::open(from).map_err(StorageError::io("open", from))?;
        let path = self.target.staging.clone();
        // What an earlier try left there would show through where the image has zeros.
        self.zero_gap(offset, bytes)?;
        let ops = Arc::clone(&self.ops);
        let to = self.staging()?;
        each_nonzero(&from, offset, bytes, &mut |at, chunk| {
            ops.write_at(to, chunk, at).map(|()| true)
        })
        .map_err(StorageError::io("copy to", &path))
    }

    /// Copies a block with this digest from wherever the installed image has it; says whether it
    /// does. In place there is no second image to take it from.
    pub(super) fn gather(
        &mut self,
        digest: &Digest,
        offset: u64,
        bytes: u32,
    ) -> Result<bool, StorageError> {
        if self.target.layout == Layout::InPlace {
            return Ok(false);
        }
        let known = self.places().find(digest);
        let searched = self.search.as_ref().map_or(&[][..], |s| s.places(offset));
        let places: Vec<u64> = known.into_iter().chain(searched.iter().copied()).collect();
        if places.is_empty() {
            return Ok(false);
        }
        let Some(file) = self.reading(Area::Installed)? else {
            return Ok(false);
        };
        let mut block = vec![0; usize::try_from(bytes).unwrap_or(0)];
        for from in places {
            let had = read_at(&file, &mut block, from)
                .map_err(StorageError::io("read", &self.target.path))?;
            if had == block.len() && Digest::of(&block) == *digest {
                self.write(offset, &block)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A search begins, if there is a second image to search; what one before found is forgotten.
    pub(super) fn may_search(&mut self) -> Result<bool, StorageError> {
        self.search = None;
        let is_file = self.target.layout == Layout::File;
        Ok(is_file && self.reading(Area::Installed)?.is_some())
    }

    pub(super) fn search_on(&mut self) -> Result<bool, StorageError> {
        let Some(file) = self.reading(Area::Installed)? else {
            return Ok(false);
        };
        match &mut self.search {
            Some(search) => search
                .step(&file)
                .map_err(StorageError::io("search", &self.target.path)),
            None => Ok(false),
        }
    }

    fn places(&mut self) -> &Places {
        if self.places.is_none() {
            let installed = self.status().installed;
            let manifest = installed.and_then(|raw| Manifest::parse(&raw).ok());
            let page = |root: &Digest, page| self.digests.load(root, Some(page));
            self.places = manifest.map(|manifest| Places::of(&manifest, page));
        }
        self.places.get_or_insert_default()
    }

    pub(super) fn zero_gap(&mut self, offset: u64, bytes: u64) -> Result<(), StorageError> {
        let path = self.target.written().to_owned();
        // Where there is nothing to do, an image in place stays installed.
        if let Some(file) = self.reading(Area::Staged)?
            && is_zero(&file, offset, bytes).map_err(StorageError::io("read", &path))?
        {
            return Ok(());
        }
        let ops = Arc::clone(&self.ops);
        let file = self.staging()?;
        each_nonzero(file, offset, bytes, &mut |at, chunk| {
            ops.write_at(file, &vec![0; chunk.len()], at).map(|()| true)
        })
        .map_err(StorageError::io("zero a gap of", &path))
    }

    pub(super) fn sync(&mut self) -> Result<(), StorageError> {
        let Some(file) = &self.staged else {
            return Ok(());
        };
        self.ops
            .sync_data(file)
            .map_err(StorageError::io("sync", self.target.written()))?;
        self.looked_at = None;
        // What is read back has to come from the medium.
        self.ops.forget_cached(file);
        Ok(())
    }

    pub(super) fn read(&self, offset: u64, bytes: u32) -> Result<Option<Vec<u8>>, StorageError> {
        let Some(file) = self.target.open_installed() else {
            return Ok(None);
        };
        let mut buffer = vec![0; usize::try_from(bytes.min(1 << 20)).unwrap_or(0)];
        let had = read_at(&file, &mut buffer, offset)
            .map_err(StorageError::io("read", &self.target.path))?;
        buffer.truncate(had);
        Ok(Some(buffer))
    }

    pub(super) fn installed_is_zero(&self, offset: u64, bytes: u64) -> Result<bool, StorageError> {
        let Some(file) = self.target.open_installed() else {
            return Ok(false);
        };
        is_zero(&file, offset, bytes).map_err(StorageError::io("read", &self.target.path))
    }
}
