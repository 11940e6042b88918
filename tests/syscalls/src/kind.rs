//! What is done to a program at a call.

use std::fmt;

use crate::call::Call;

/// What happens instead of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The program is killed, and the call not made.
    Kill,
    /// The call fails with an error of the medium.
    Eio,
    /// The call fails for want of room.
    Enospc,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Kill, Self::Eio, Self::Enospc];

    /// By the name that [`fmt::Display`] gives it.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Eio => "eio",
            Self::Enospc => "enospc",
        }
    }

    /// What `strace` calls it.
    pub(crate) const fn injection(self) -> &'static str {
        match self {
            Self::Kill => "signal=KILL",
            Self::Eio => "error=EIO",
            Self::Enospc => "error=ENOSPC",
        }
    }

    /// What the C library says of it; nothing of a kill.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Kill => "",
            Self::Eio => "Input/output error",
            Self::Enospc => "No space left on device",
        }
    }

    /// What `strace` writes into its log when it has done it.
    pub(crate) const fn trace(self) -> &'static str {
        match self {
            Self::Kill => "+++ killed by SIGKILL +++",
            Self::Eio | Self::Enospc => "(INJECTED)",
        }
    }

    /// Whether it can happen to this call.
    pub(crate) fn suits(self, call: &Call) -> bool {
        self != Self::Enospc || call.takes_room()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
