//! The image that is being transferred becomes the one that boots, whenever the power goes.

use nx_image::boot_record::{BootRecord, RecordCopy, Slot, Tries};

use super::AbStore;
use super::table::{self, Found, SECTOR_BYTES, unseal};
use crate::storage::error::StorageError;

impl AbStore {
    /// The last write is the one sector that makes it so.
    pub(super) fn install(&mut self) -> Result<(), StorageError> {
        let Some(job) = &self.job else {
            return Err(self.unusable("no offer"));
        };
        let slot = job.slot;
        self.disk.claim()?;
        // Nothing had to be written of an image that the slot held already.
        self.hold_manifest()?;
        self.disk.sync().map_err(self.io("sync"))?;
        match slot {
            Some(slot) => self.switch_to(slot)?,
            None => self.make_disk()?,
        }
        self.end_job();
        Ok(())
    }

    /// The slot boots next, on trial.
    fn switch_to(&mut self, slot: Slot) -> Result<(), StorageError> {
        let Some(job) = &self.job else { return Ok(()) };
        let contents = job.contents();
        let disk = self.look()?.ok_or_else(|| self.unusable("its record"))?;
        let record = disk.record.on_trial(slot, contents)?;
        if let Some(number) = record.trial {
            self.write_tries(&disk, Tries::all(number))?;
        }
        self.write_record(&disk, &record)
    }

    /// The disk is provisioned: its record, then the tables.
    fn make_disk(&mut self) -> Result<(), StorageError> {
        let Some(job) = &self.job else { return Ok(()) };
        let (at, headers) = (job.record_at, job.headers());
        let segment = BootRecord::first(job.contents()).segment();
        let copies = RecordCopy::ALL.map(RecordCopy::offset);
        let first = copies.into_iter().min().unwrap_or(0);
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        let (before, copies) = segment.split_at_checked(first).unwrap_or_default();
        // A record counts as soon as one of its copies is there: all else is there before.
        self.write_durably(before, at)?;
        let behind = u64::try_from(before.len()).unwrap_or(u64::MAX);
        self.write_durably(copies, at.saturating_add(behind))?;
        self.unseal(&headers)
    }

    /// Ends a provisioning that was cut off after its record was written: all else was durable by
    /// then.
    pub(super) fn finish_provisioning(&mut self) -> Result<(), StorageError> {
        let Found::Sealed(partitions) = table::read(&*self.disk).map_err(self.io("read"))? else {
            return Ok(());
        };
        if self.look_at(partitions)?.is_none() {
            return Ok(());
        }
        self.disk.claim()?;
        let backup = self.backup()?;
        let headers: Vec<u64> = backup.into_iter().chain([table::PRIMARY]).collect();
        let result = self.unseal(&headers);
        self.disk.release();
        result
    }

    /// Where the header of the other copy of the table is, as the sealed one says.
    fn backup(&self) -> Result<Option<u64>, StorageError> {
        let mut header = [0; SECTOR_BYTES as usize];
        self.disk
            .read_at(&mut header, table::PRIMARY)
            .map_err(self.io("read"))?;
        Ok(table::other_header(&header).filter(|at| {
            at.checked_add(SECTOR_BYTES)
                .is_some_and(|end| end <= self.disk.size())
        }))
    }

    /// Makes these headers count, one after the other.
    fn unseal(&mut self, headers: &[u64]) -> Result<(), StorageError> {
        let mut header = [0; SECTOR_BYTES as usize];
        for at in headers {
            self.disk
                .read_at(&mut header, *at)
                .map_err(self.io("read"))?;
            unseal(&mut header);
            self.write_durably(&header, *at)?;
        }
        Ok(())
    }
}
