//! What the device's machine needs of its storage.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use nx_image::digest::Digest;

use crate::speed::SpeedChange;
use crate::wire::{BootTarget, SlotsInfo};

/// Which of the two images a device may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// The one that is being transferred.
    Staged,
    /// The one that is installed.
    Installed,
}

/// What the device's machine needs of its storage. Offsets and lengths are in bytes, and come
/// from a signed manifest only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// What is there?
    Status,
    /// Get ready for this image: keep what is staged if it is of the same manifest.
    Begin {
        /// The manifest's bytes, checked.
        manifest: Vec<u8>,
        /// Its signature.
        signature: Vec<u8>,
        /// Length of the image.
        image_bytes: u64,
        /// Forget what is staged even so.
        restart: bool,
        /// The device's own state is to outlive the install.
        keeps_state: bool,
    },
    /// The directory of the segment with this block root, if it is stored.
    LoadDirectory {
        /// The segment's block root.
        root: Digest,
    },
    /// Keep a directory.
    StoreDirectory {
        /// The segment's block root.
        root: Digest,
        /// The digests of its pages.
        bytes: Vec<u8>,
    },
    /// A page of the segment with this block root, if it is stored.
    LoadPage {
        /// The segment's block root.
        root: Digest,
        /// Index of the page.
        page: u16,
    },
    /// Keep a page.
    StorePage {
        /// The segment's block root.
        root: Digest,
        /// Index of the page.
        page: u16,
        /// The digests of its blocks.
        bytes: Vec<u8>,
    },
    /// Digest these bytes as the medium holds them.
    Digest {
        /// Of which image.
        area: Area,
        /// From here.
        offset: u64,
        /// So many.
        bytes: u32,
    },
    /// Digest the blocks in this range of the staged image as the medium holds them.
    ReadBack {
        /// From here.
        offset: u64,
        /// So many, which is many blocks.
        bytes: u32,
        /// Size of each block; the last may be shorter.
        block_bytes: u32,
    },
    /// Copy these bytes from the installed image to the staged one.
    Adopt {
        /// From and to here.
        offset: u64,
        /// So many.
        bytes: u32,
    },
    /// Can the installed image be searched for blocks at any offset?
    MaySearch,
    /// Search also for these blocks.
    Learn {
        /// Where the first belongs; the others follow it.
        offset: u64,
        /// Size of each.
        block_bytes: u32,
        /// Their rolling sums, 4 bytes each.
        sums: Vec<u8>,
    },
    /// Search on: is there more to look at?
    Search,
    /// Copy a block with this digest to the staged image from wherever the installed one has it:
    /// another offset, another segment.
    Gather {
        /// SHA-256 of the block; what is copied has been digested to it.
        digest: Digest,
        /// To here.
        offset: u64,
        /// So many.
        bytes: u32,
    },
    /// Write to the staged image.
    Write {
        /// Here.
        offset: u64,
        /// This.
        bytes: Vec<u8>,
    },
    /// Make what was written survive a power cut.
    Sync,
    /// Make the staged bytes zero where they are not, and say so when they are.
    ZeroGap {
        /// From here.
        offset: u64,
        /// So many.
        bytes: u64,
    },
    /// Are these bytes of the installed image zero?
    IsZero {
        /// From here.
        offset: u64,
        /// So many.
        bytes: u64,
    },
    /// Take the device's own state over into the staged image.
    Carry {
        /// From and to here.
        offset: u64,
        /// So many.
        bytes: u64,
    },
    /// Forget what is staged: the offered image is installed already.
    Discard,
    /// Put the staged image in the place of the installed one, atomically.
    Install,
    /// The installed image's bytes.
    Read {
        /// From here.
        offset: u64,
        /// So many.
        bytes: u32,
    },
    /// Set the next boot.
    SetBoot(BootTarget),
    /// Change the line's speed: the loop asks the link, and no store.
    Speed(SpeedChange),
}

/// What a device holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// The installed image's manifest, as it was signed.
    pub installed: Option<Vec<u8>>,
    /// Where nothing counts as installed because an install over it was interrupted: the
    /// manifest of what was, if its state is still there.
    pub interrupted: Option<Vec<u8>>,
    /// SHA-256 of the manifest of what is staged.
    pub staged: Option<Digest>,
    /// Bytes that the target can hold.
    pub capacity: u64,
    /// How images are installed.
    pub layout: String,
    /// Of a disk with two slots.
    pub slots: Option<Box<SlotStatus>>,
}

/// What a disk with two slots is at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotStatus {
    /// What hosts are told; nothing while the disk is not provisioned.
    pub told: Option<SlotsInfo>,
    /// Room in the partitions that an update may write, in bytes, by the names of the segments.
    pub rooms: Vec<(String, u64)>,
    /// Why no update may be written now.
    pub unconfirmed: Option<String>,
    /// The running system uses the state partition.
    pub state_in_use: bool,
}

/// Why storage failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No room.
    #[error("no room left: {0}")]
    Full(String),
    /// The medium or the operating system refused.
    #[error("{0}")]
    Failed(String),
    /// This device does not have the thing.
    #[error("{0}")]
    Unsupported(String),
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// To `Status`.
    Status(StoreStatus),
    /// To `Begin`: whether something of this image is staged already.
    Began {
        /// It is.
        resumed: bool,
    },
    /// To `LoadDirectory`, `LoadPage`, `Read`; nothing when it is not there.
    Bytes(Option<Vec<u8>>),
    /// To `Digest`; nothing when the medium does not hold so many bytes.
    Digest(Option<Digest>),
    /// To `ReadBack`: of each block in turn, fewer when the medium does not hold so many bytes.
    Digests(Vec<Digest>),
    /// To `IsZero`, `MaySearch`, `Search`, and to `Gather`: whether it was found.
    Flag(bool),
    /// To `Speed`.
    Speed {
        /// The link did so.
        held: bool,
    },
    /// To everything else.
    Done,
    /// To anything.
    Failed(StoreError),
}
