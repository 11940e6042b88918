//! What the host's machine is made from.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::host::event::Job;
use crate::limits::GIVE_UP_AFTER;
use crate::wire::Codec;

/// What the host's machine is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostConfig {
    /// Tells this host's attempt from another's: any number not used lately.
    pub nonce: u64,
    /// What the host calls itself.
    pub name: String,
    /// Codecs to offer, as the bits of [`Codec`]; zero sends every block as it is.
    pub codecs: u32,
    /// How long nothing may move before it gives up.
    pub give_up_after: Duration,
    /// Speed in baud that the link is opened at, if it can change it.
    pub baud: Option<u32>,
    /// Speeds in baud to try before the job, in this order, each from the best so far; at most
    /// 16. Nothing is tried on a link without a speed, or with a device that cannot.
    pub fast_baud: Vec<u32>,
    /// What to do.
    pub job: Job,
}

impl HostConfig {
    /// A host called `nx` that gives up after 30 s.
    pub fn new(nonce: u64, job: Job) -> Self {
        Self {
            nonce,
            name: "nx".into(),
            codecs: Codec::bits(),
            give_up_after: GIVE_UP_AFTER,
            baud: None,
            fast_baud: Vec::new(),
            job,
        }
    }
}
