//! What the host's machine tells, asks for, and is told.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use nx_image::digest::Digest;

use crate::speed::SpeedChange;
use crate::wire::{
    BootTarget, BusyPhase, Codec, DeviceInfo, OfferFlags, SlotsInfo, VerifiedSegment,
};

/// What the host is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Send an image and have it installed.
    Send {
        /// The manifest's bytes; the caller has checked them.
        manifest: Vec<u8>,
        /// The signature's 64 bytes.
        signature: Vec<u8>,
        /// What else is wanted.
        flags: OfferFlags,
        /// Most image data in one frame, in bytes: `--chunk`.
        chunk_bytes: u32,
    },
    /// Ask what is installed, digest by digest.
    Verify,
    /// Ask who the device is.
    Info,
    /// Have it start again.
    Reboot(BootTarget),
}

/// What the host's machine needs of the image's file, or of the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The bytes of a block.
    Block {
        /// Its number.
        number: u32,
        /// Offset in the image, in bytes.
        offset: u64,
        /// Length in bytes.
        bytes: u32,
        /// Packed like this it would arrive sooner, if that makes it shorter.
        codec: Option<Codec>,
        /// The device asked for it before in this session, and what it got was wrong or is gone.
        again: bool,
    },
    /// The digests of all pages of a segment, 32 bytes each.
    Directory {
        /// Index of the segment in the manifest.
        segment: u8,
    },
    /// The rolling sums of a page of blocks ([`crate::rolling::sum`]), 4 bytes each.
    Sums {
        /// Index of the segment in the manifest.
        segment: u8,
        /// Index of the page in the segment.
        page: u16,
    },
    /// The digests of the blocks of a page, 32 bytes each.
    Page {
        /// Index of the segment in the manifest.
        segment: u8,
        /// Index of the page in the segment.
        page: u16,
    },
    /// Change the line's speed: the loop asks the link, and no source.
    Speed(SpeedChange),
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What was asked for.
    Bytes(Vec<u8>),
    /// The block that was asked for, packed as was asked: shorter than the block.
    Packed(Codec, Vec<u8>),
    /// To `Speed`.
    Speed {
        /// The link did so.
        held: bool,
    },
    /// It cannot be had: this is why.
    Failed(String),
}

/// What the host's machine tells its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A device answered and named the session.
    Connected {
        /// The session.
        session: u32,
        /// Which boot of the device this is.
        boot: u32,
        /// The device's board, or empty.
        board: String,
    },
    /// The device forgot the session (it restarted, or another host came): a new one begins.
    SessionLost,
    /// The line has another speed: a test has passed at it, or the one before was lost.
    BaudChanged {
        /// In baud.
        baud: u32,
    },
    /// The manifest is accepted.
    Accepted,
    /// A segment's blocks are all known to be needed or not.
    Planned {
        /// Index of the segment in the manifest.
        segment: u8,
        /// The device keeps its own content.
        kept: bool,
    },
    /// The device works.
    Busy {
        /// With what.
        phase: BusyPhase,
        /// Bytes worked through.
        done: u64,
        /// Bytes to work through.
        total: u64,
    },
    /// A line of the device's console.
    Console(String),
    /// Proven and installed.
    Installed {
        /// SHA-256 of the manifest.
        manifest: Digest,
        /// Digest over what does not change.
        installed: Digest,
        /// The device kept a state of its own.
        state_kept: bool,
    },
    /// What is installed.
    Verified {
        /// SHA-256 of the installed manifest.
        manifest: Digest,
        /// Digest over what does not change, from the medium.
        installed: Digest,
        /// One entry a segment.
        segments: Vec<VerifiedSegment>,
        /// Bytes between the segments are zero.
        gaps_zero: bool,
    },
    /// Who the device is, and, of a disk with two slots that is provisioned, what it is at.
    Info(DeviceInfo, Option<Box<SlotsInfo>>),
    /// The next boot is set.
    Rebooting(BootTarget),
    /// The job is over, and the device knows.
    Finished,
    /// The job has failed.
    Failed(Failure),
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The device refuses.
    Rejected {
        /// The reject code.
        code: u16,
        /// More about it.
        detail: String,
    },
    /// The device speaks other versions of the protocol.
    Version {
        /// Lowest that it speaks.
        min: u8,
        /// Highest that it speaks.
        max: u8,
    },
    /// Nothing at all came back.
    Silent {
        /// For this long, in milliseconds.
        millis: u64,
    },
    /// Bytes came back, and never a frame of a device.
    NotADevice {
        /// How many, at least.
        bytes: u64,
        /// Among them what the host itself had sent.
        echo: bool,
    },
    /// The device was there, and made no progress any more.
    Stalled {
        /// For this long, in milliseconds.
        millis: u64,
    },
    /// Sessions were lost again and again: another host uses the device.
    TakenOver,
    /// The link closed.
    Closed,
    /// The device broke the protocol.
    Protocol(String),
    /// The image's file failed.
    Source(String),
    /// The operator stopped it.
    Stopped,
}
