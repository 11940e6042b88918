//! The running system is known to be good, or has come back after another one that was not.

use nx_image::boot_record::Slot;

use super::AbStore;
use crate::storage::error::StorageError;

/// What a confirmation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// The slot that is known to be good.
    pub slot: Slot,
    /// It was on trial before.
    pub was_on_trial: bool,
}

impl AbStore {
    /// The running system is good: its slot is no longer on trial.
    ///
    /// # Errors
    /// When the disk is not provisioned, the running slot is not known or not the one that the
    /// record names, another process writes, or the disk fails.
    pub fn confirm(&mut self) -> Result<Confirmed, StorageError> {
        let unknown = || StorageError::UnknownSlot {
            path: self.path.clone(),
        };
        let running = self.running.slot.ok_or_else(unknown)?;
        let disk = self.look()?.ok_or_else(|| self.unusable("its record"))?;
        // The slot that is on trial is yet to be started: its trial goes on.
        let waits = running == disk.record.confirmed() && disk.tries_left() > Some(0);
        let record = if waits {
            None
        } else {
            disk.record.confirmed_by(running)?
        };
        if record.is_some() {
            self.disk.claim()?;
            // It may have changed before this was the only one.
            let written = self.look().and_then(|disk| {
                let disk = disk.ok_or_else(|| self.unusable("its record"))?;
                let record = disk.record.confirmed_by(running)?;
                Ok((disk, record))
            });
            let written = written.and_then(|(disk, record)| match record {
                Some(record) => self.write_record(&disk, &record),
                None => Ok(()),
            });
            self.disk.release();
            written?;
        }
        Ok(Confirmed {
            slot: running,
            was_on_trial: record.is_some(),
        })
    }

    /// Where the confirmed slot runs again because the one on trial has no tries left, the record
    /// forgets that one; says which runs again.
    pub(super) fn note_fall_back(&mut self) -> Result<Option<Slot>, StorageError> {
        let Some(disk) = self.look()? else {
            return Ok(None);
        };
        let confirmed = disk.record.confirmed();
        let fell_back = disk.tries_left() == Some(0) && self.running.slot == Some(confirmed);
        if !fell_back {
            return Ok(None);
        }
        self.confirm()?;
        Ok(Some(confirmed))
    }
}
