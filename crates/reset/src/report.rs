use crate::digest::Digest;
use crate::kept::TrustRoot;

/// What a reset tells while it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The intent is durable: from here it only goes forward.
    Started {
        /// Whether an earlier run began it.
        resumed: bool,
    },
    /// A target left the state's name space, whole.
    Moved {
        /// What it was called.
        uri: &'a str,
    },
    /// Names deleted so far in this run; told every few thousand.
    Deleted {
        /// How many, directories included.
        entries: u64,
    },
    /// Nothing is left, and the kept set is what it was.
    Proven {
        /// Digest of the kept set.
        kept: Digest,
    },
}

/// What a finished reset did. It says "removed", never "sanitized": the medium was not overwritten.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// URIs of the top-level entries that are gone, in byte order, those of earlier runs included.
    pub removed: Vec<String>,
    /// Names deleted in this run, directories included.
    pub deleted_entries: u64,
    /// Whether an earlier run began this reset.
    pub resumed: bool,
    /// Hash of the plan that was executed; of the recorded one when resumed.
    pub plan_hash: Digest,
    /// Digest of the kept set: equal before and after this run.
    pub kept_digest: Digest,
    /// Entries in the kept set.
    pub kept_entries: u64,
    /// Whether the kept set is another than when an interrupted reset began: the device ran
    /// meanwhile, or something is wrong. Never true when not resumed.
    pub kept_changed_since_start: bool,
    /// Files below `state:/trust/installed`, which survive: the first 256.
    pub trust_roots: Vec<TrustRoot>,
    /// How many such files there are.
    pub trust_roots_total: u64,
}
