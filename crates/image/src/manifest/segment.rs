use alloc::string::String;
use core::{fmt, ops::Range, str::FromStr};

use super::UnknownName;
use crate::{digest::Digest, limits::PAGE_BLOCKS};

/// A run of bytes in an image with a purpose of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Unique in its image: `[a-z0-9-]{1,32}`.
    pub name: String,
    /// What the bytes are; fixes the role and the place among the segments.
    pub kind: SegmentKind,
    /// When a device writes it: the role of the kind.
    pub role: Role,
    /// Where the segment starts in the image, in bytes: a multiple of 64.
    pub offset: u64,
    /// Its length, in bytes: at least 1.
    pub size: u64,
    /// SHA-256 over its bytes.
    pub sha256: Digest,
    /// Root of its hash tree (see [`tree`](crate::tree)).
    pub block_root: Digest,
}

impl Segment {
    /// Where the segment ends in the image, in bytes (exclusive).
    pub const fn end(&self) -> u64 {
        self.offset.saturating_add(self.size)
    }

    /// Number of blocks, the last of which may be short.
    ///
    /// Exact in a checked manifest; saturates where `size` and `block_size` are hostile.
    pub fn block_count(&self, block_size: u32) -> u32 {
        blocks(self.size, block_size)
    }

    /// Number of pages in the hash tree.
    pub fn page_count(&self, block_size: u32) -> u32 {
        self.block_count(block_size).div_ceil(PAGE_BLOCKS)
    }

    /// Indices of the blocks in page `page`; empty when there is no such page.
    pub fn page_blocks(&self, page: u32, block_size: u32) -> Range<u32> {
        let count = self.block_count(block_size);
        let first = page.saturating_mul(PAGE_BLOCKS).min(count);
        first..first.saturating_add(PAGE_BLOCKS).min(count)
    }

    /// Bytes of block `block`, counted from the segment's start; empty when there is no such
    /// block.
    pub fn block_range(&self, block: u32, block_size: u32) -> Range<u64> {
        let start = u64::from(block)
            .saturating_mul(u64::from(block_size))
            .min(self.size);
        start..start.saturating_add(u64::from(block_size)).min(self.size)
    }

    /// Length of block `block`, in bytes; 0 when there is no such block.
    pub fn block_len(&self, block: u32, block_size: u32) -> u32 {
        let range = self.block_range(block, block_size);
        // At most `block_size`, so always representable.
        u32::try_from(range.end.saturating_sub(range.start)).unwrap_or(block_size)
    }
}

fn blocks(size: u64, block_size: u32) -> u32 {
    let block_size = u64::from(block_size.max(1));
    u32::try_from(size.div_ceil(block_size)).unwrap_or(u32::MAX)
}

/// What the bytes of a segment are. The order is the one that they have in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SegmentKind {
    /// Protective MBR, GPT header and partition entries, at the start.
    Gpt,
    /// Bootloader or firmware (OpenSBI).
    Bootloader,
    /// Boot record of a disk with two slots (see [`boot_record`](crate::boot_record)).
    BootRecord,
    /// Kernel.
    Kernel,
    /// Initial RAM disk, from which recovery runs too.
    Initrd,
    /// Root file system (squashfs).
    Rootfs,
    /// Package file system.
    Pkgfs,
    /// Header of the state partition.
    State,
    /// The second copy of partition entries and header, at the end.
    GptBackup,
}

impl SegmentKind {
    /// Every kind, in the order of an image.
    pub const ALL: [Self; 9] = [
        Self::Gpt,
        Self::Bootloader,
        Self::BootRecord,
        Self::Kernel,
        Self::Initrd,
        Self::Rootfs,
        Self::Pkgfs,
        Self::State,
        Self::GptBackup,
    ];

    /// The name in manifests; the builder names segments so too.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gpt => "gpt",
            Self::Bootloader => "bootloader",
            Self::BootRecord => "boot-record",
            Self::Kernel => "kernel",
            Self::Initrd => "initrd",
            Self::Rootfs => "rootfs",
            Self::Pkgfs => "pkgfs",
            Self::State => "state",
            Self::GptBackup => "gpt-backup",
        }
    }

    /// When a device writes segments of this kind.
    pub const fn role(self) -> Role {
        match self {
            Self::Gpt | Self::GptBackup => Role::Table,
            Self::Bootloader => Role::Boot,
            Self::BootRecord => Role::Record,
            Self::Kernel | Self::Initrd | Self::Rootfs | Self::Pkgfs => Role::Slot,
            Self::State => Role::State,
        }
    }
}

impl fmt::Display for SegmentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for SegmentKind {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownName {
                known: "gpt, bootloader, boot-record, kernel, initrd, rootfs, pkgfs, state, \
                        gpt-backup",
            })
    }
}

/// When a device writes a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Partition table: with the whole disk only.
    Table,
    /// On first provisioning, or when asked for.
    Boot,
    /// On first provisioning only; never verified afterwards, because the device rewrites it.
    Record,
    /// On every update.
    Slot,
    /// When the device has none, or when asked for; never verified afterwards, because the
    /// user's data lives there.
    State,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [
        Self::Table,
        Self::Boot,
        Self::Record,
        Self::Slot,
        Self::State,
    ];

    /// Whether what is written once stays as it is until an image is written again; what does
    /// not is not verified, and not in the installed digest.
    pub const fn is_installed(self) -> bool {
        !matches!(self, Self::Record | Self::State)
    }

    /// The name in manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Boot => "boot",
            Self::Record => "record",
            Self::Slot => "slot",
            Self::State => "state",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(UnknownName {
                known: "table, boot, record, slot, state",
            })
    }
}
