//! What the host's machine is made from.

use alloc::string::String;
use core::time::Duration;

use crate::host::event::Job;
use crate::limits::GIVE_UP_AFTER;

/// What the host's machine is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostConfig {
    /// Tells this host's attempt from another's: any number not used lately.
    pub nonce: u64,
    /// What the host calls itself.
    pub name: String,
    /// How long nothing may move before it gives up.
    pub give_up_after: Duration,
    /// What to do.
    pub job: Job,
}

impl HostConfig {
    /// A host called `nx` that gives up after 30 s.
    pub fn new(nonce: u64, job: Job) -> Self {
        Self {
            nonce,
            name: "nx".into(),
            give_up_after: GIVE_UP_AFTER,
            job,
        }
    }
}
