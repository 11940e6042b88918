//! What the device's machine is made from.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use nx_image::key::PublicKey;
use nx_image::manifest::Profile;

use crate::limits::{GIVE_UP_AFTER, WINDOW_BYTES};
use crate::wire::Codec;

/// How strictly a device takes what a manifest says of itself. The signature by a key of the
/// device is required in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Another board, a profile that does not fit and a key that may not vouch for the profile
    /// are refused.
    Strict,
    /// Another board and a profile that does not fit are reported and taken.
    Permissive,
    /// All three are reported and taken.
    AuditOnly,
}

/// What the device's machine is made from.
#[derive(Clone, Debug)]
pub struct DeviceConfig {
    /// Keys that may sign images; with none, none is taken.
    pub keys: Vec<PublicKey>,
    /// The board that this is, if it has an opinion.
    pub board: Option<String>,
    /// A release device refuses dev images.
    pub profile: Profile,
    /// How strictly.
    pub policy: Policy,
    /// Which boot this is: a number that was never used before.
    pub boot: u32,
    /// Name and version of what runs the machine.
    pub agent: String,
    /// Codecs to take blocks in, as the bits of [`Codec`]; zero has them sent as they are.
    pub codecs: u32,
    /// Bytes of blocks that may be open at once.
    pub window_bytes: u32,
    /// How long a session may be silent before it ends.
    pub give_up_after: Duration,
    /// Speed in baud that the link is opened at, if it can change it.
    pub baud: Option<u32>,
}

impl DeviceConfig {
    /// A strict device of no particular board that takes images for development.
    pub fn new(keys: Vec<PublicKey>, boot: u32) -> Self {
        Self {
            keys,
            board: None,
            profile: Profile::Dev,
            policy: Policy::Strict,
            boot,
            agent: concat!("flashd ", env!("CARGO_PKG_VERSION")).into(),
            codecs: Codec::bits(),
            window_bytes: WINDOW_BYTES,
            give_up_after: GIVE_UP_AFTER,
            baud: None,
        }
    }
}
