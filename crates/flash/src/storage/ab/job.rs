//! What is being transferred, and to which places of the disk.

use std::collections::BTreeSet;

use nx_image::boot_record::{HeldManifest, PARTITION, Slot, SlotContents, held_offset};
use nx_image::boot_record::{RecordCopy, SECTOR_BYTES};
use nx_image::digest::Digest;
use nx_image::manifest::{Manifest, Role, SegmentKind};

use super::table::{self, OPEN};
use super::{AbStore, Installed, View};
use crate::storage::error::StorageError;

/// An image on its way to the disk.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) manifest: Manifest,
    pub(super) held: HeldManifest,
    digest: Digest,
    /// Where its bytes go.
    pub(super) target: View,
    /// Where the installed image has the bytes of the same segments, if there is one.
    pub(super) source: Option<View>,
    /// The installed image itself, if its manifest is known.
    pub(super) old: Option<Installed>,
    /// The slot that is written; nothing for a disk that is being provisioned.
    pub(super) slot: Option<Slot>,
    /// Where the partition of the boot record begins.
    pub(super) record_at: u64,
    begun: bool,
}

impl Job {
    /// SHA-256 of its manifest.
    pub(super) const fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether something was written.
    pub(super) const fn is_begun(&self) -> bool {
        self.begun
    }

    /// What the boot record says of a slot that holds it.
    pub(super) fn contents(&self) -> SlotContents {
        let sectors = |kind| {
            let mut segments = self.manifest.segments.iter();
            let size = segments
                .find(|segment| segment.kind == kind)
                .map_or(0, |segment| segment.size);
            u32::try_from(size.div_ceil(table::SECTOR_BYTES)).unwrap_or(u32::MAX)
        };
        SlotContents {
            kernel_sectors: sectors(SegmentKind::Kernel),
            initrd_sectors: sectors(SegmentKind::Initrd),
            manifest: Some(self.digest),
        }
    }

    /// Where its tables have their headers on a disk that is being provisioned: the backup's
    /// first.
    pub(super) fn headers(&self) -> Vec<u64> {
        if self.slot.is_some() {
            return Vec::new();
        }
        let tables = self.manifest.segments.iter().rev();
        let header = |segment: &nx_image::Segment| match segment.kind {
            SegmentKind::Gpt => Some(table::PRIMARY),
            SegmentKind::GptBackup => segment.end().checked_sub(table::SECTOR_BYTES),
            _ => None,
        };
        tables.filter_map(header).collect()
    }
}

impl AbStore {
    /// Gets ready for an image; says whether the place that it goes to may hold some of it.
    pub(super) fn begin(
        &mut self,
        manifest: Vec<u8>,
        signature: Vec<u8>,
        restart: bool,
    ) -> Result<bool, StorageError> {
        self.end_job();
        let parsed = Manifest::parse(&manifest).map_err(|_| self.unusable("its manifest"))?;
        let digest = Manifest::digest_of(&manifest);
        let disk = self.look()?;
        let mut old = None;
        let (slot, source, target, record_at) = match &disk {
            Some(disk) => {
                if let Some(why) = self.unconfirmed(disk) {
                    return Err(StorageError::Unconfirmed { why });
                }
                let active = self.active(disk);
                let confirmed = disk.record.confirmed();
                // Where the image is installed already, that is where it is looked at.
                let same = disk.record.contents(active).manifest == Some(digest);
                let from = if same { active } else { confirmed };
                let raw = self.named(disk, from)?;
                old = raw.and_then(|raw| Installed::of(&raw, disk, from));
                let view = |slot| View::of_slot(&parsed, &disk.partitions, slot);
                let to = confirmed.other();
                (Some(to), Some(view(from)), view(to), disk.at)
            }
            None => {
                let record = parsed.segments.iter().find(|s| s.role == Role::Record);
                let at = record.ok_or_else(|| self.unusable(PARTITION))?.offset;
                (None, None, View::whole(&parsed), at)
            }
        };
        let before = self.held(record_at, slot.unwrap_or(Slot::A));
        let resumed = !restart && before.ok().flatten().as_deref() == Some(&manifest);
        self.forget_pages(&parsed, old.as_ref());
        self.job = Some(Job {
            digest,
            manifest: parsed,
            held: HeldManifest {
                manifest,
                signature,
            },
            target,
            source,
            old,
            slot,
            record_at,
            begun: false,
        });
        Ok(resumed)
    }

    /// The first write is next: nothing may boot from now on what is going to be written over.
    pub(super) fn begin_writing(&mut self) -> Result<(), StorageError> {
        let job = self.job.as_ref().ok_or_else(|| self.unusable("no offer"))?;
        if job.begun {
            return Ok(());
        }
        self.disk.claim()?;
        match job.slot {
            Some(slot) => self.vacate(slot)?,
            None => self.unmake()?,
        }
        self.hold_manifest()?;
        if let Some(job) = &mut self.job {
            job.begun = true;
        }
        Ok(())
    }

    /// The record stops naming the slot.
    fn vacate(&mut self, slot: Slot) -> Result<(), StorageError> {
        let disk = self.look()?.ok_or_else(|| self.unusable("its record"))?;
        if let Some(why) = self.unconfirmed(&disk) {
            return Err(StorageError::Unconfirmed { why });
        }
        if disk.record.names(slot) {
            let record = disk.record.vacated(slot)?;
            self.write_record(&disk, &record)?;
        }
        Ok(())
    }

    /// Whatever the disk was, it is not any more.
    fn unmake(&mut self) -> Result<(), StorageError> {
        let Some(job) = &self.job else { return Ok(()) };
        let (record_at, mut headers) = (job.record_at, job.headers());
        headers.extend(self.disk.size().checked_sub(table::SECTOR_BYTES));
        let zeros = [0; SECTOR_BYTES];
        let mut sector = [0; SECTOR_BYTES];
        for at in headers {
            self.disk
                .read_at(&mut sector, at)
                .map_err(self.io("read"))?;
            if sector.starts_with(&OPEN) {
                self.disk.write_at(&zeros, at).map_err(self.io("write"))?;
            }
        }
        // With a table that is gone, no record counts; then one of an earlier try may go too.
        self.disk.sync().map_err(self.io("sync"))?;
        for copy in RecordCopy::ALL {
            let at = record_at.saturating_add(copy.offset());
            self.disk
                .read_at(&mut sector, at)
                .map_err(self.io("read"))?;
            if sector != zeros {
                self.disk.write_at(&zeros, at).map_err(self.io("write"))?;
            }
        }
        self.disk.sync().map_err(self.io("sync"))
    }

    /// Says in the slot's area what is going to be in it. The record says whether it counts.
    pub(super) fn hold_manifest(&mut self) -> Result<(), StorageError> {
        let Some(job) = &self.job else { return Ok(()) };
        let slot = job.slot.unwrap_or(Slot::A);
        let at = job.record_at.saturating_add(held_offset(slot));
        let bytes = job.held.encode()?;
        let mut there = vec![0; bytes.len()];
        self.disk.read_at(&mut there, at).map_err(self.io("read"))?;
        if there != bytes {
            self.disk.write_at(&bytes, at).map_err(self.io("write"))?;
        }
        Ok(())
    }

    fn forget_pages(&mut self, manifest: &Manifest, old: Option<&Installed>) {
        let old = old.map(|old| &old.manifest);
        let images = [Some(manifest), old].into_iter().flatten();
        let segments = images.flat_map(|manifest| &manifest.segments);
        let roots: BTreeSet<Digest> = segments.map(|segment| segment.block_root).collect();
        self.pages.keep_only(&roots);
    }

    pub(super) fn unusable(&self, what: &'static str) -> StorageError {
        StorageError::Unusable {
            path: self.path.clone(),
            what,
        }
    }
}
