use std::fmt;
use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::digest::Digest;
use crate::entry::EntryKind;

/// Why a reset did not happen, or stopped.
///
/// Everything but [`Midway`](ResetError::Midway) means: nothing of the state has changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResetError {
    // The operator named a root that must not be reset.
    /// There is no such directory.
    #[error("state root `{}` does not exist", root.display())]
    NoRoot {
        /// The root as given.
        root: PathBuf,
    },
    /// The root is something else than a directory; links to one are not followed.
    #[error("state root `{}` is a {kind}, not a directory", root.display())]
    RootNotDirectory {
        /// The root as given.
        root: PathBuf,
        /// What it is.
        kind: EntryKind,
    },
    /// The root is a directory that is never reset, whatever it holds.
    #[error("state root `{}` is {what}", root.display())]
    RootProtected {
        /// The root as given.
        root: PathBuf,
        /// Why it is protected.
        what: Protected,
    },
    /// Nothing in the root says that it is a state root.
    #[error(
        "`{}` does not look like a state root: none of {known} is a directory in it",
        root.display()
    )]
    RootUnknown {
        /// The root as given.
        root: PathBuf,
        /// The names looked for, separated by commas.
        known: String,
    },

    // The operator must change something in the tree first.
    /// Something kept is also named outside the kept set, so removing could reach it.
    #[error("`{uri}` has {links} hard links, of which only {inside} lie in the kept set")]
    HardLink {
        /// One kept name of the file.
        uri: String,
        /// All its names.
        links: u64,
        /// Its names in the kept set.
        inside: u64,
    },
    /// A kept top-level name is a link: what it leads to would not be kept.
    #[error("`{uri}` is a symbolic link, so what it leads to would not be kept")]
    KeptLink {
        /// The name.
        uri: String,
    },
    /// A mount lies in what would be removed.
    #[error("`{path}` is a mount point")]
    MountPoint {
        /// Where, as a URI.
        path: String,
    },
    /// An attribute forbids the removal even to root.
    #[error("`{path}` is immutable or append-only")]
    Immutable {
        /// Where, as a URI.
        path: String,
    },
    /// The reset's own name is taken by something that is no directory.
    #[error("`state:/.nx-reset` is a {kind}, not a directory")]
    ReservedTaken {
        /// What it is.
        kind: EntryKind,
    },
    /// The root holds more entries than a plan may have.
    #[error("more than {limit} top-level entries in the state root")]
    TooManyEntries {
        /// The most there may be.
        limit: usize,
    },
    /// The kept set is larger than can be proven within the memory limit.
    #[error("more than {limit} entries in the kept set")]
    TooManyKept {
        /// The most there may be.
        limit: u64,
    },
    /// The tree is no longer the one that the plan was made for.
    #[error("the state root changed since the plan was made")]
    PlanStale {
        /// Hash of the plan that was to be executed.
        planned: Digest,
        /// Hash of the plan for what is there now.
        found: Digest,
    },

    // Someone else is at it.
    /// A reset or a flashd holds the root.
    #[error("`{}` is in use by another reset or by a flashd", root.display())]
    Locked {
        /// The root as given.
        root: PathBuf,
    },
    /// A reset began here, and what would use the root has to wait for its end.
    #[error(
        "a factory reset of `{}` has begun and is not finished: `nx reset factory --yes` does that",
        root.display()
    )]
    Unfinished {
        /// The root as given.
        root: PathBuf,
    },
    /// A flash session holds its journal.
    #[error("a flash session holds a lock in `state:/flash`")]
    FlashInProgress,

    // The system.
    /// The mount table cannot be read, so mounts in the tree cannot be ruled out.
    #[error("`/proc/self/mountinfo` cannot be read")]
    NoMountTable {
        /// What the system said.
        source: io::Error,
    },
    /// The system refused a call.
    #[error("{op} `{path}` failed")]
    Io {
        /// The call.
        op: &'static str,
        /// What it was made on: a URI, or a path outside the state.
        path: String,
        /// What the system said.
        source: io::Error,
    },

    // After the intent is durable.
    /// Someone kept making entries faster than they could be removed.
    #[error("`{path}` was filled again {rounds} times while it was being removed")]
    KeepsGrowing {
        /// Where, as a URI.
        path: String,
        /// How often it was looked at.
        rounds: u32,
    },
    /// The kept set is not what it was when the reset began.
    #[error("the kept set changed during the reset: digest {after}, was {before}")]
    KeptChanged {
        /// Its digest before.
        before: Digest,
        /// Its digest after.
        after: Digest,
    },
    /// The reset began and did not finish. Running it again does.
    #[error("the reset stopped midway")]
    Midway {
        /// What stopped it.
        source: Box<ResetError>,
    },
}

impl ResetError {
    /// Whether a reset has begun here that the next run will finish.
    pub fn resume_required(&self) -> bool {
        matches!(self, Self::Midway { .. })
    }

    /// What stopped a reset that had begun; the error itself otherwise.
    pub fn cause(&self) -> &Self {
        match self {
            Self::Midway { source } => source,
            other => other,
        }
    }

    pub(crate) fn io(op: &'static str, path: impl Into<String>, errno: Errno) -> Self {
        Self::Io {
            op,
            path: path.into(),
            source: errno.into(),
        }
    }

    pub(crate) fn midway(self) -> Self {
        match self {
            Self::Midway { .. } => self,
            other => Self::Midway {
                source: Box::new(other),
            },
        }
    }
}

/// Directories that are never reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protected {
    /// The root of the file system.
    FileSystemRoot,
    /// A user's home.
    Home,
    /// A directory above the home of the user who runs the reset.
    AboveHome,
    /// The working directory.
    WorkingDirectory,
    /// A directory above the working directory.
    AboveWorkingDirectory,
}

impl fmt::Display for Protected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FileSystemRoot => "the root of the file system",
            Self::Home => "a home directory",
            Self::AboveHome => "above your home directory",
            Self::WorkingDirectory => "the working directory",
            Self::AboveWorkingDirectory => "above the working directory",
        })
    }
}
