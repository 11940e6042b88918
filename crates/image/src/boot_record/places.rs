//! What lies where on a disk with two slots.

use alloc::{format, string::String};

use super::Slot;
use crate::limits::{MANIFEST_BYTES_MAX, SIGNATURE_BYTES};
use crate::manifest::{Role, SegmentKind};

/// The name of the partition.
pub const PARTITION: &str = "boot-record";
/// Its length, in bytes.
pub const PARTITION_BYTES: u64 = 1 << 20;
/// Length of a copy of the record, and of the tries, in bytes: what a disk writes at once.
pub const SECTOR_BYTES: usize = 512;
/// Length of the segment in an image, in bytes: the tries and the copies.
pub const SEGMENT_BYTES: usize = 12_288;
/// Bytes before the manifest that a slot holds.
pub const HELD_HEADER_BYTES: usize = 24;
/// Room for what a slot's manifest area holds, in bytes.
pub const HELD_BYTES_MAX: usize = 128 * 1024;

const _: () = assert!(
    HELD_HEADER_BYTES + MANIFEST_BYTES_MAX + SIGNATURE_BYTES <= HELD_BYTES_MAX,
    "every manifest fits"
);
const _: () = assert!(
    held_offset(Slot::B) + HELD_BYTES_MAX as u64 <= PARTITION_BYTES,
    "both areas fit"
);

/// Where the manifest is that slot `slot` holds, in bytes from the partition's start.
pub const fn held_offset(slot: Slot) -> u64 {
    match slot {
        Slot::A => 64 * 1024,
        Slot::B => 192 * 1024,
    }
}

/// One of the two copies of the record.
///
/// They are 4 KiB apart: a disk with sectors of 4 KiB that tears one of them still has the
/// other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordCopy {
    /// At byte 4096.
    First,
    /// At byte 8192.
    Second,
}

impl RecordCopy {
    /// Both.
    pub const ALL: [Self; 2] = [Self::First, Self::Second];

    /// Where it is, in bytes from the partition's start.
    pub const fn offset(self) -> u64 {
        match self {
            Self::First => 4_096,
            Self::Second => 8_192,
        }
    }

    /// The one that is not this one: the one to write when this one counts.
    pub const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// The name of a segment's partition on a disk with two slots: `kernel-a`, `state`.
pub fn partition_name(kind: SegmentKind, slot: Slot) -> String {
    match kind.role() {
        Role::Slot => format!("{kind}-{slot}"),
        _ => kind.as_str().into(),
    }
}

/// The number of a segment's partition on a disk with two slots, from 1; 0 for a table.
///
/// It follows from the name alone, because a boot loader cannot look for names: partitions
/// that a disk does not have leave their number free.
pub const fn partition_number(kind: SegmentKind, slot: Slot) -> u32 {
    let (a, b) = match kind {
        SegmentKind::Gpt | SegmentKind::GptBackup => (0, 0),
        SegmentKind::Bootloader => (1, 1),
        SegmentKind::BootRecord => (2, 2),
        SegmentKind::Kernel => (3, 7),
        SegmentKind::Initrd => (4, 8),
        SegmentKind::Rootfs => (5, 9),
        SegmentKind::Pkgfs => (6, 10),
        SegmentKind::State => (11, 11),
    };
    match slot {
        Slot::A => a,
        Slot::B => b,
    }
}
