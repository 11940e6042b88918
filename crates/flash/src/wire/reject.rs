//! The numbered reasons for which a device refuses.

use core::fmt;

/// Declares the codes: number, label for machines, text for people.
macro_rules! reject_codes {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $($(#[$doc:meta])* $code:ident = $number:literal, $label:literal => $text:literal;)*
        }
    ) => {
        $(#[$meta])*
        pub enum $name {
            $($(#[$doc])* $code = $number,)*
        }

        impl $name {
            /// Every code, in the order of its number.
            pub const ALL: [Self; [$($number),*].len()] = [$(Self::$code),*];

            /// A stable label for machines.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$code => $label,)* }
            }

            const fn text(self) -> &'static str {
                match self { $(Self::$code => $text,)* }
            }
        }
    };
}

reject_codes! {
    /// Why a device refuses, as a number on the wire.
    ///
    /// Numbers are never reused. How to add one: `CONTRIBUTING.md`, "Add a reject code".
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    #[repr(u16)]
    pub enum RejectCode {
        /// No protocol version in common.
        Version = 1,
            "version" => "no protocol version in common";
        /// The session named in a frame is not the current one.
        Session = 2,
            "session" => "the session is not the current one";
        /// A frame or message of a kind that this device does not know.
        UnknownKind = 3,
            "unknown_kind" => "unknown kind of frame or message";
        /// A frame or message that breaks the protocol.
        Malformed = 4,
            "malformed" => "malformed frame or message";
        /// A command that is not allowed in this state.
        State = 5,
            "state" => "command not allowed in this state";
        /// Data addressed outside the image.
        Address = 6,
            "address" => "data addressed outside the image";
        /// A number over the device's limits.
        Limit = 7,
            "limit" => "over the device's limits";
        /// The manifest's signature does not verify with any key of the device.
        Signature = 16,
            "signature" => "the manifest is not signed by a key that the device trusts";
        /// The manifest is not in the one canonical form, or contradicts itself.
        Manifest = 17,
            "manifest" => "the manifest is not valid";
        /// The image is for another board.
        Board = 18,
            "board" => "the image is for another board";
        /// The image's profile does not fit the device's.
        Profile = 19,
            "profile" => "the image's profile does not fit the device";
        /// The image is larger than the target.
        TooLarge = 20,
            "too_large" => "the image is larger than the target";
        /// The signing key is not allowed for this profile.
        Key = 21,
            "key" => "the signing key is not allowed for this profile";
        /// Block digests that do not prove against the signed root.
        Digests = 22,
            "digests" => "block digests do not prove against the signed manifest";
        /// `DONE` names another manifest than the one that was accepted.
        OtherManifest = 23,
            "other_manifest" => "another manifest than the accepted one";
        /// The image has its state elsewhere, or less room for it, than the device has.
        StatePlace = 24,
            "state_place" => "the image has no place for the device's own state";
        /// The image is for a disk with two slots and the device's has not, or the other way
        /// round.
        Slots = 25,
            "slots" => "the image is not for a disk with as many slots as the device has";
        /// What was read back from the medium is not what was sent, again and again.
        ReadBack = 32,
            "read_back" => "the medium does not hold what was written to it";
        /// The device's storage failed.
        Storage = 33,
            "storage" => "the device's storage failed";
        /// The device's storage is full.
        StorageFull = 34,
            "storage_full" => "the device's storage is full";
        /// Nothing is installed, so there is nothing to verify.
        NothingInstalled = 35,
            "nothing_installed" => "nothing is installed";
        /// The device cannot set its next boot.
        NoReboot = 36,
            "no_reboot" => "the device cannot set its next boot";
        /// The system that runs is not the confirmed one: the other one is not to be written.
        Unconfirmed = 37,
            "unconfirmed" => "the running system is not confirmed";
        /// The state is to be wiped under the system that uses it.
        StateInUse = 38,
            "state_in_use" => "the running system uses the state";
    }
}

impl RejectCode {
    /// The code with this number.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.number() == number)
    }

    /// The number on the wire.
    pub const fn number(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for RejectCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
