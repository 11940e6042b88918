//! What the device's machine tells.

use alloc::string::String;

use nx_image::digest::Digest;

use crate::wire::{AbortReason, BootTarget, RejectCode, SlotsInfo};

/// What the device's machine tells. Text of the host's is printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A host opened a session.
    Hello {
        /// What it calls itself.
        host: String,
        /// The protocol version of the session.
        version: u8,
        /// The session.
        session: u32,
    },
    /// A signed manifest is accepted.
    Accepted {
        /// SHA-256 of the manifest.
        manifest: Digest,
        /// Version of the image.
        image_version: String,
        /// An interrupted transfer of this image goes on.
        resumed: bool,
    },
    /// The policy lets something pass that a strict one refuses.
    Tolerated(RejectCode),
    /// Every block of a segment is proven.
    SegmentWritten {
        /// The segment's name.
        name: String,
        /// Its length in bytes.
        bytes: u64,
    },
    /// Every block was read back from the medium and matches.
    VerifyOk,
    /// The line has another speed.
    BaudChanged {
        /// In baud.
        baud: u32,
    },
    /// Installed.
    Installed {
        /// SHA-256 of the manifest.
        manifest: Digest,
    },
    /// What a disk with two slots is at, first and after each change; nothing while it is not
    /// provisioned.
    Slots(Option<SlotsInfo>),
    /// A command was refused.
    Rejected {
        /// Why.
        code: RejectCode,
        /// More about it.
        detail: String,
    },
    /// The next boot is set and the host knows: start again.
    Reboot(BootTarget),
    /// The host ended the session.
    Ended(AbortReason),
    /// A new host took the session's place.
    Superseded,
    /// Nothing was heard for too long.
    TimedOut,
    /// The link closed.
    Closed,
}
