//! The bytes of the images: digested, written, copied, zeroed and read.

use std::io;

use nx_image::digest::Digest;
use nx_image::manifest::Manifest;

use super::boot::Provisioned;
use super::extent::{next_nonzero, zero};
use super::table::{OPEN, SEALED, unseal};
use super::{AbStore, View};
use crate::device::Area;
use crate::extents::Bytes;
use crate::storage::disk::Disk;
use crate::storage::error::StorageError;
use crate::storage::places::Places;

/// Most bytes that are read for a host at once.
const READ_BYTES_MAX: u32 = 1 << 20;

/// An image as a slot holds it, at the offsets that its own manifest gives.
#[derive(Debug)]
pub(super) struct Installed {
    pub(super) manifest: Manifest,
    view: View,
}

impl Installed {
    pub(super) fn of(
        raw: &[u8],
        disk: &Provisioned,
        slot: nx_image::boot_record::Slot,
    ) -> Option<Self> {
        let manifest = Manifest::parse(raw).ok()?;
        let view = View::of_slot(&manifest, &disk.partitions, slot);
        Some(Self { manifest, view })
    }
}

impl AbStore {
    /// Digests bytes of the image that is being transferred, or what the installed one has in
    /// their place.
    pub(super) fn digest(
        &self,
        area: Area,
        offset: u64,
        bytes: u32,
    ) -> Result<Option<Digest>, StorageError> {
        let Some(job) = &self.job else {
            return Ok(None);
        };
        let view = match area {
            Area::Staged => Some(&job.target),
            Area::Installed => job.source.as_ref(),
        };
        let Some(at) = view.and_then(|view| view.place(offset, u64::from(bytes))) else {
            return Ok(None);
        };
        let mut block = vec![0; usize::try_from(bytes).unwrap_or(0)];
        self.disk.read_at(&mut block, at).map_err(self.io("read"))?;
        for header in job.headers() {
            each_header(&mut block, at, header, unseal);
        }
        Ok(Some(Digest::of(&block)))
    }

    /// The digests of blocks in a range of the image that is being transferred.
    pub(super) fn read_back(
        &self,
        offset: u64,
        bytes: u32,
        block_bytes: u32,
    ) -> Result<Vec<Digest>, StorageError> {
        let end = offset.saturating_add(u64::from(bytes));
        let step = usize::try_from(block_bytes).unwrap_or(1).max(1);
        let mut digests = Vec::new();
        for at in (offset..end).step_by(step) {
            let len = end.saturating_sub(at).min(u64::from(block_bytes));
            let len = u32::try_from(len).unwrap_or(u32::MAX);
            match self.digest(Area::Staged, at, len)? {
                Some(digest) => digests.push(digest),
                None => break,
            }
        }
        Ok(digests)
    }

    /// Writes bytes of the image; the table of a disk that is being provisioned goes sealed.
    pub(super) fn write(&mut self, offset: u64, mut bytes: Vec<u8>) -> Result<(), StorageError> {
        self.begin_writing()?;
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let Some(job) = &self.job else { return Ok(()) };
        let at = job.target.place(offset, len);
        let at = at.ok_or_else(|| self.unusable("a partition for what is written"))?;
        for header in job.headers() {
            each_header(&mut bytes, at, header, |start| {
                if start.starts_with(&OPEN) {
                    seal(start);
                }
            });
        }
        self.disk.write_at(&bytes, at).map_err(self.io("write"))
    }

    /// Copies bytes of the installed image into the place of the same bytes of the new one.
    pub(super) fn adopt(&mut self, offset: u64, bytes: u32) -> Result<(), StorageError> {
        let Some(job) = &self.job else { return Ok(()) };
        let len = u64::from(bytes);
        let from = job.source.as_ref().and_then(|view| view.place(offset, len));
        let from = from.ok_or_else(|| self.unusable("a partition to copy from"))?;
        if job.target.place(offset, len) == Some(from) {
            return Ok(());
        }
        let mut block = vec![0; usize::try_from(bytes).unwrap_or(0)];
        self.disk
            .read_at(&mut block, from)
            .map_err(self.io("read"))?;
        self.write(offset, block)
    }

    /// Copies a block with this digest from wherever the installed image has it; says whether it
    /// does.
    pub(super) fn gather(
        &mut self,
        digest: &Digest,
        offset: u64,
        bytes: u32,
    ) -> Result<bool, StorageError> {
        let Some(job) = &self.job else {
            return Ok(false);
        };
        let Some(old) = &job.old else {
            return Ok(false);
        };
        let pages = &self.pages;
        let places = self.places.get_or_insert_with(|| {
            Places::of(&old.manifest, |root, page| pages.load(root, Some(page)))
        });
        let known = places.find(digest);
        let searched = self.search.as_ref().map_or(&[][..], |s| s.places(offset));
        let mut block = vec![0; usize::try_from(bytes).unwrap_or(0)];
        let image = ImageBytes::of(&*self.disk, old);
        for from in known.into_iter().chain(searched.iter().copied()) {
            let had = image
                .read_at(&mut block, from)
                .map_err(StorageError::io("read", &self.path))?;
            if had == block.len() && Digest::of(&block) == *digest {
                self.write(offset, block)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A search begins, if there is an image to search; what one before found is forgotten.
    pub(super) fn may_search(&mut self) -> bool {
        self.search = None;
        self.job.as_ref().is_some_and(|job| job.old.is_some())
    }

    /// Searches on; says whether there is more to look at.
    pub(super) fn search_on(&mut self) -> Result<bool, StorageError> {
        let old = self.job.as_ref().and_then(|job| job.old.as_ref());
        let (Some(old), Some(search)) = (old, &mut self.search) else {
            return Ok(false);
        };
        search
            .step(&ImageBytes::of(&*self.disk, old))
            .map_err(StorageError::io("search", &self.path))
    }

    /// Makes bytes behind a segment zero, as far as its partition has them.
    pub(super) fn zero_gap(&mut self, offset: u64, bytes: u64) -> Result<(), StorageError> {
        let Some(job) = &self.job else { return Ok(()) };
        let Some((at, bytes)) = job.target.part(offset, bytes) else {
            return Ok(());
        };
        let range = at..at.saturating_add(bytes);
        let found = next_nonzero(&*self.disk, range.clone());
        // Where there is nothing to do, what is installed stays as it is.
        if found.map_err(self.io("read"))?.is_none() {
            return Ok(());
        }
        self.begin_writing()?;
        let zeroed = zero(&mut *self.disk, range);
        zeroed.map_err(self.io("zero a gap of"))
    }

    /// Bytes of the installed image.
    pub(super) fn read(
        &mut self,
        offset: u64,
        bytes: u32,
    ) -> Result<Option<Vec<u8>>, StorageError> {
        let len = u64::from(bytes.min(READ_BYTES_MAX));
        let Some(installed) = self.installed()? else {
            return Ok(None);
        };
        let Some((at, len)) = installed.view.part(offset, len) else {
            return Ok(None);
        };
        let mut buffer = vec![0; usize::try_from(len).unwrap_or(0)];
        self.disk
            .read_at(&mut buffer, at)
            .map_err(self.io("read"))?;
        Ok(Some(buffer))
    }

    /// Whether bytes behind a segment of the installed image are zero, as far as its partition
    /// has them.
    pub(super) fn installed_is_zero(
        &mut self,
        offset: u64,
        bytes: u64,
    ) -> Result<bool, StorageError> {
        let Some(installed) = self.installed()? else {
            return Ok(false);
        };
        match installed.view.part(offset, bytes) {
            Some((at, bytes)) => {
                let found = next_nonzero(&*self.disk, at..at.saturating_add(bytes));
                Ok(found.map_err(self.io("read"))?.is_none())
            }
            None => Ok(true),
        }
    }

    fn installed(&mut self) -> Result<Option<&Installed>, StorageError> {
        if self.installed.is_none()
            && let Some(disk) = self.look()?
        {
            let slot = self.active(&disk);
            let raw = self.named(&disk, slot)?;
            self.installed = raw.and_then(|raw| Installed::of(&raw, &disk, slot));
        }
        Ok(self.installed.as_ref())
    }
}

/// Hands over the eight bytes that begin a header, if they are among these, which lie at `at`.
fn each_header(bytes: &mut [u8], at: u64, header: u64, change: impl Fn(&mut [u8])) {
    let inside = header
        .checked_sub(at)
        .and_then(|at| usize::try_from(at).ok());
    let end = inside.and_then(|from| from.checked_add(OPEN.len()));
    if let (Some(from), Some(end)) = (inside, end)
        && let Some(start) = bytes.get_mut(from..end)
    {
        change(start);
    }
}

fn seal(start: &mut [u8]) {
    if let Some(start) = start.first_chunk_mut::<8>() {
        *start = SEALED;
    }
}

/// What is in the slot partitions of an installed image, at the image's own offsets.
struct ImageBytes<'a> {
    disk: &'a dyn Disk,
    image: &'a Installed,
}

impl<'a> ImageBytes<'a> {
    const fn of(disk: &'a dyn Disk, image: &'a Installed) -> Self {
        Self { disk, image }
    }
}

impl Bytes for ImageBytes<'_> {
    fn next_data(&self, offset: u64) -> u64 {
        let next = self.image.view.next_in_slot(offset);
        next.unwrap_or(u64::MAX)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.image.manifest.image.size.saturating_sub(offset);
        let len = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let mut rest = buffer.get_mut(..len).unwrap_or_default();
        let mut at = offset;
        while !rest.is_empty() {
            let want = u64::try_from(rest.len()).unwrap_or(u64::MAX);
            let part = self.image.view.part(at, want).filter(|(_, have)| *have > 0);
            let have = match part {
                Some((_, have)) => have,
                None => self.next_data(at).saturating_sub(at).min(want),
            };
            let (piece, more) = rest.split_at_mut(usize::try_from(have).unwrap_or(0));
            match part {
                Some((place, _)) => self.disk.read_at(piece, place)?,
                None => piece.fill(0),
            }
            rest = more;
            at = at.saturating_add(have);
        }
        Ok(len)
    }
}
