//! The boot record of a disk: read, and changed by one sector at a time.

use nx_image::boot_record::{
    BootRecord, Choice, HELD_BYTES_MAX, HELD_HEADER_BYTES, HeldManifest, PARTITION, RecordCopy,
    SECTOR_BYTES, Slot, Tries, held_offset, newest,
};
use nx_image::manifest::Manifest;

use super::table::Partitions;
use super::{AbStore, Found, table};
use crate::storage::error::StorageError;

/// A disk that is provisioned.
#[derive(Clone, Debug)]
pub(super) struct Provisioned {
    pub(super) partitions: Partitions,
    pub(super) record: BootRecord,
    /// The copy that counts.
    copy: RecordCopy,
    tries: Option<Tries>,
    /// Where the record's partition begins.
    pub(super) at: u64,
}

impl Provisioned {
    /// What the boot loader makes of it.
    pub(super) fn choice(&self) -> Choice {
        self.record.choice(self.tries.as_ref())
    }

    /// How often the slot on trial may still be started; nothing when none is on trial.
    pub(super) fn tries_left(&self) -> Option<u8> {
        self.record.tries_left(self.tries.as_ref())
    }
}

impl AbStore {
    /// Reads what the disk is at; nothing while it is not provisioned.
    pub(super) fn look(&self) -> Result<Option<Provisioned>, StorageError> {
        match table::read(&*self.disk).map_err(self.io("read"))? {
            Found::Open(partitions) => self.look_at(partitions),
            Found::Nothing | Found::Sealed(_) => Ok(None),
        }
    }

    /// Reads the boot record of these partitions; nothing when none is whole.
    pub(super) fn look_at(
        &self,
        partitions: Partitions,
    ) -> Result<Option<Provisioned>, StorageError> {
        let last = held_offset(Slot::B).saturating_add(HELD_BYTES_MAX as u64);
        let Some(at) = partitions
            .find(PARTITION)
            .filter(|range| range.end.saturating_sub(range.start) >= last)
            .map(|range| range.start)
        else {
            return Ok(None);
        };
        let part = |offset: u64, len: usize| {
            let mut bytes = vec![0; len];
            let read = self.disk.read_at(&mut bytes, at.saturating_add(offset));
            read.map(|()| bytes).map_err(self.io("read"))
        };
        let first = part(RecordCopy::First.offset(), SECTOR_BYTES)?;
        let second = part(RecordCopy::Second.offset(), SECTOR_BYTES)?;
        let Some((copy, record)) = newest(&first, &second) else {
            return Ok(None);
        };
        let tries = Tries::parse(&part(Tries::OFFSET, Tries::BYTES)?).ok();
        Ok(Some(Provisioned {
            partitions,
            record,
            copy,
            tries,
            at,
        }))
    }

    /// Writes a record over the copy that does not count, and only that: it counts from then on.
    pub(super) fn write_record(
        &mut self,
        disk: &Provisioned,
        record: &BootRecord,
    ) -> Result<(), StorageError> {
        let at = disk.at.saturating_add(disk.copy.other().offset());
        self.write_durably(&record.encode(), at)
    }

    /// Writes the tries of a trial.
    pub(super) fn write_tries(
        &mut self,
        disk: &Provisioned,
        tries: Tries,
    ) -> Result<(), StorageError> {
        self.write_durably(&tries.encode(), disk.at.saturating_add(Tries::OFFSET))
    }

    /// The manifest that a slot's area holds, whatever the record says of it.
    pub(super) fn held(&self, record_at: u64, slot: Slot) -> Result<Option<Vec<u8>>, StorageError> {
        let at = record_at.saturating_add(held_offset(slot));
        let mut bytes = vec![0; HELD_HEADER_BYTES];
        self.disk.read_at(&mut bytes, at).map_err(self.io("read"))?;
        let Ok(total) = HeldManifest::total_bytes(&bytes) else {
            return Ok(None);
        };
        bytes.resize(total, 0);
        self.disk.read_at(&mut bytes, at).map_err(self.io("read"))?;
        Ok(HeldManifest::parse(&bytes).ok().map(|held| held.manifest))
    }

    /// The manifest of what a slot holds, if the record names it.
    pub(super) fn named(
        &self,
        disk: &Provisioned,
        slot: Slot,
    ) -> Result<Option<Vec<u8>>, StorageError> {
        let held = self.held(disk.at, slot)?;
        let named = disk.record.contents(slot).manifest;
        Ok(held.filter(|raw| Some(Manifest::digest_of(raw)) == named))
    }

    pub(super) fn write_durably(&mut self, bytes: &[u8], at: u64) -> Result<(), StorageError> {
        self.disk.write_at(bytes, at).map_err(self.io("write"))?;
        self.disk.sync().map_err(self.io("sync"))
    }
}
