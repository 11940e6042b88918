//! The numbered reasons for which a device refuses.

use core::fmt;

/// Why a device refuses, as a number on the wire.
///
/// Numbers are never reused. To add one: add it here with its text and its class, to the
/// table in `docs/provisioning/protocol.md`, "Reject codes", and to the table of exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum RejectCode {
    /// No protocol version in common.
    Version = 1,
    /// The session named in a frame is not the current one.
    Session = 2,
    /// A frame or message of a kind that this device does not know.
    UnknownKind = 3,
    /// A frame or message that breaks the protocol.
    Malformed = 4,
    /// A command that is not allowed in this state.
    State = 5,
    /// Data addressed outside the image.
    Address = 6,
    /// A number over the device's limits.
    Limit = 7,
    /// The manifest's signature does not verify with any key of the device.
    Signature = 16,
    /// The manifest is not in the one canonical form, or contradicts itself.
    Manifest = 17,
    /// The image is for another board.
    Board = 18,
    /// The image's profile does not fit the device's.
    Profile = 19,
    /// The image is larger than the target.
    TooLarge = 20,
    /// The signing key is not allowed for this profile.
    Key = 21,
    /// Block digests that do not prove against the signed root.
    Digests = 22,
    /// `DONE` names another manifest than the one that was accepted.
    OtherManifest = 23,
    /// The image has its state elsewhere, or less room for it, than the device has.
    StatePlace = 24,
    /// What was read back from the medium is not what was sent, again and again.
    ReadBack = 32,
    /// The device's storage failed.
    Storage = 33,
    /// The device's storage is full.
    StorageFull = 34,
    /// Nothing is installed, so there is nothing to verify.
    NothingInstalled = 35,
    /// The device cannot set its next boot.
    NoReboot = 36,
}

impl RejectCode {
    /// Every code, in the order of its number.
    pub const ALL: [Self; 21] = [
        Self::Version,
        Self::Session,
        Self::UnknownKind,
        Self::Malformed,
        Self::State,
        Self::Address,
        Self::Limit,
        Self::Signature,
        Self::Manifest,
        Self::Board,
        Self::Profile,
        Self::TooLarge,
        Self::Key,
        Self::Digests,
        Self::OtherManifest,
        Self::StatePlace,
        Self::ReadBack,
        Self::Storage,
        Self::StorageFull,
        Self::NothingInstalled,
        Self::NoReboot,
    ];

    /// The code with this number.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.number() == number)
    }

    /// The number on the wire.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// A stable label for machines.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Session => "session",
            Self::UnknownKind => "unknown_kind",
            Self::Malformed => "malformed",
            Self::State => "state",
            Self::Address => "address",
            Self::Limit => "limit",
            Self::Signature => "signature",
            Self::Manifest => "manifest",
            Self::Board => "board",
            Self::Profile => "profile",
            Self::TooLarge => "too_large",
            Self::Key => "key",
            Self::Digests => "digests",
            Self::OtherManifest => "other_manifest",
            Self::StatePlace => "state_place",
            Self::ReadBack => "read_back",
            Self::Storage => "storage",
            Self::StorageFull => "storage_full",
            Self::NothingInstalled => "nothing_installed",
            Self::NoReboot => "no_reboot",
        }
    }
}

impl fmt::Display for RejectCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "no protocol version in common",
            Self::Session => "the session is not the current one",
            Self::UnknownKind => "unknown kind of frame or message",
            Self::Malformed => "malformed frame or message",
            Self::State => "command not allowed in this state",
            Self::Address => "data addressed outside the image",
            Self::Limit => "over the device's limits",
            Self::Signature => "the manifest is not signed by a key that the device trusts",
            Self::Manifest => "the manifest is not valid",
            Self::Board => "the image is for another board",
            Self::Profile => "the image's profile does not fit the device",
            Self::TooLarge => "the image is larger than the target",
            Self::Key => "the signing key is not allowed for this profile",
            Self::Digests => "block digests do not prove against the signed manifest",
            Self::OtherManifest => "another manifest than the accepted one",
            Self::StatePlace => "the image has no place for the device's own state",
            Self::ReadBack => "the medium does not hold what was written to it",
            Self::Storage => "the device's storage failed",
            Self::StorageFull => "the device's storage is full",
            Self::NothingInstalled => "nothing is installed",
            Self::NoReboot => "the device cannot set its next boot",
        })
    }
}
