use std::path::Path;

use crate::digest::Digest;
use crate::entry::Entry;
use crate::error::ResetError;
use crate::intent::Standing;
use crate::kept::{self, Kept, TrustRoot};
use crate::plan::{Plan, plan};
use crate::policy::Policy;
use crate::root::{Lock, Root};

/// Looks at the state root `root`, and refuses one that must not or cannot be reset.
///
/// Writes nothing. Holds a shared lock while it looks.
///
/// # Errors
/// Any refusal of `docs/provisioning/factory-reset.md`, "Refusals"; `Locked` while a reset runs.
/// Where a reset has begun, only what protects the root itself is refused.
pub fn survey(root: &Path) -> Result<Survey, ResetError> {
    Ok(look(&Root::open(root, Lock::Looking)?, &Policy::FACTORY)?.survey)
}

/// What there is in a state root.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Survey {
    /// The top-level entries, in byte order; what [`plan`] takes.
    pub entries: Vec<Entry>,
    /// A reset that began here and did not finish.
    pub pending: Option<Pending>,
    /// Whether an earlier reset left its own empty directory, which the next one removes.
    pub litter: bool,
    /// Digest of the kept set.
    pub kept_digest: Digest,
    /// Entries in the kept set.
    pub kept_entries: u64,
    /// Files below `state:/trust/installed`, which survive: the first 256.
    pub trust_roots: Vec<TrustRoot>,
    /// How many such files there are.
    pub trust_roots_total: u64,
}

impl Survey {
    /// The factory reset's plan for this tree.
    pub fn plan(&self) -> Plan {
        plan(&self.entries, &Policy::FACTORY)
    }
}

/// A reset that began and did not finish.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pending {
    /// Hash of its plan; `None` if its record is damaged.
    pub plan_hash: Option<Digest>,
}

/// A survey with what the executor needs of it.
pub(crate) struct Look {
    pub(crate) survey: Survey,
    pub(crate) standing: Standing,
}

pub(crate) fn look(root: &Root, policy: &Policy) -> Result<Look, ResetError> {
    let standing = Standing::of(root.directory())?;
    let entries = root.scan()?;
    let begun = match &standing {
        Standing::Begun(intent) => Some(Pending {
            plan_hash: intent.as_ref().map(|intent| intent.plan_hash),
        }),
        Standing::Clean | Standing::Litter => {
            root.check_known(&entries, policy)?;
            root.check_removable(&entries, policy)?;
            None
        }
    };
    let Kept {
        digest,
        entries: kept_entries,
        trust_roots,
        trust_roots_total,
        escaping,
    } = kept::read(root.directory(), &entries, policy)?;
    if let Some(error) = escaping.filter(|_| begun.is_none()) {
        return Err(error);
    }
    let survey = Survey {
        entries,
        pending: begun,
        litter: matches!(standing, Standing::Litter),
        kept_digest: digest,
        kept_entries,
        trust_roots,
        trust_roots_total,
    };
    Ok(Look { survey, standing })
}
