use std::fmt;

use crate::digest::Digest;
use crate::entry::{Entry, EntryKind};
use crate::policy::{Class, Policy};
use crate::uri;

/// Sorts the top-level entries of a state root into what a reset removes and what it keeps.
///
/// Pure: the same entries, in any order and however often repeated, give the same plan.
pub fn plan(tree: &[Entry], policy: &Policy) -> Plan {
    let mut entries: Vec<&Entry> = tree.iter().collect();
    entries.sort();
    entries.dedup_by(|a, b| a.name() == b.name());

    let untouched = policy.untouched().iter().map(|&uri| PlanLine {
        action: Action::Preserve,
        uri: uri.to_owned(),
        target: None,
        unknown: false,
    });
    let listed = entries.into_iter().filter_map(|entry| {
        let (action, unknown) = match policy.class(entry.name()) {
            Class::Kept => (Action::Preserve, false),
            Class::Named => (Action::Remove, false),
            Class::Unknown => (Action::Remove, true),
            Class::Reserved => return None,
        };
        let uri = uri::of_name(entry.name());
        Some(PlanLine {
            action,
            uri,
            target: Some(entry.clone()),
            unknown,
        })
    });
    Plan {
        policy: *policy,
        lines: untouched.chain(listed).collect(),
    }
}

/// What a reset will do to each top-level entry, in the byte order of their names.
///
/// `Display` gives the canonical lines, each ended by a newline:
/// `REMOVE|PRESERVE`, the URI, what it is, and `unknown` where nothing but the default removes it,
/// separated by tabs. No sizes and no times: the same tree gives the same text on any day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    policy: Policy,
    lines: Vec<PlanLine>,
}

impl Plan {
    /// Every line, `pkg://` first, then `state:/` by name.
    pub fn lines(&self) -> &[PlanLine] {
        &self.lines
    }

    /// The lines that remove something.
    pub fn removals(&self) -> impl Iterator<Item = &PlanLine> {
        self.lines
            .iter()
            .filter(|line| line.action == Action::Remove)
    }

    /// SHA-256 over the canonical lines.
    pub fn hash(&self) -> Digest {
        Digest::of(self.to_string().as_bytes())
    }

    /// The policy that this plan was made by.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// One line of a [`Plan`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanLine {
    action: Action,
    uri: String,
    target: Option<Entry>,
    unknown: bool,
}

impl PlanLine {
    /// What is done.
    pub fn action(&self) -> Action {
        self.action
    }

    /// What it is done to; printable, percent-encoded where the name is not.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// What the entry is; `None` for what is never opened at all.
    pub fn kind(&self) -> Option<EntryKind> {
        self.target.as_ref().map(Entry::kind)
    }

    /// Whether it is removed only because nothing says that it stays.
    pub fn is_unknown(&self) -> bool {
        self.unknown
    }

    pub(crate) fn target(&self) -> Option<&Entry> {
        self.target.as_ref()
    }
}

impl fmt::Display for PlanLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind().map_or("never-opened", EntryKind::word);
        write!(f, "{}\t{}\t{kind}", self.action.word(), self.uri)?;
        if self.unknown {
            f.write_str("\tunknown")
        } else {
            Ok(())
        }
    }
}

/// What a reset does to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is removed, with everything in it.
    Remove,
    /// It stays, byte for byte.
    Preserve,
}

impl Action {
    /// The word for it in a plan's canonical lines.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Remove => "REMOVE",
            Self::Preserve => "PRESERVE",
        }
    }
}

#[cfg(test)]
mod tests;
