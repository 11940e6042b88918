//! The boot record of a disk with two slots: what boots, what boots if that does not, and how
//! many tries are left.
//!
//! Pure: bytes in, values out. Whoever owns the disk reads and writes the sectors at the
//! offsets that are given here, and orders the writes
//! (`docs/decisions/0009-ab-disk.md`, `docs/provisioning/image-format.md`, "Boot record").

mod change;
mod choice;
mod error;
mod held;
mod places;
mod record;
mod sector;
mod slot;
mod tries;

pub use choice::{Choice, newest};
pub use error::BootRecordError;
pub use held::HeldManifest;
pub use places::{
    HELD_BYTES_MAX, HELD_HEADER_BYTES, PARTITION, PARTITION_BYTES, RecordCopy, SECTOR_BYTES,
    SEGMENT_BYTES, held_offset, partition_name, partition_number,
};
pub use record::{BootRecord, SlotContents};
pub use slot::Slot;
pub use tries::Tries;

#[cfg(test)]
mod tests;
