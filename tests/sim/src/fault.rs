//! One operation that fails.

use std::io;

use rustix::io::Errno;

/// An operation that is to fail, by its number from zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) strike: Strike,
    pub(crate) has_struck: bool,
    /// All that come after it fail too: the process is dead.
    lasts: bool,
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strike {
    /// With this error; nothing is done.
    Refused(Errno),
    /// With this error, after it was done, or half of it if it is a write.
    Late(Errno),
}

impl Fault {
    pub(crate) const fn new(at: usize, strike: Strike) -> Self {
        Self {
            at,
            strike,
            has_struck: false,
            lasts: false,
        }
    }

    /// The process is killed before operation `at`.
    pub(crate) const fn kill(at: usize) -> Self {
        Self {
            at,
            strike: Strike::Refused(Errno::INTR),
            has_struck: false,
            lasts: true,
        }
    }

    /// How operation `number` fails.
    pub(crate) fn strike(&mut self, number: usize) -> Option<Strike> {
        let strikes = number == self.at || self.lasts && number > self.at;
        self.has_struck |= strikes;
        strikes.then_some(self.strike)
    }
}

impl Strike {
    /// Every way that is tried.
    pub(crate) const ALL: [Self; 4] = [
        Self::Refused(Errno::IO),
        Self::Refused(Errno::NOSPC),
        Self::Late(Errno::IO),
        Self::Late(Errno::NOSPC),
    ];

    /// Whether nothing is done.
    pub(crate) const fn is_early(self) -> bool {
        matches!(self, Self::Refused(_))
    }

    /// How much of a write is done.
    pub(crate) const fn part(self, len: usize) -> usize {
        match self {
            Self::Refused(_) => 0,
            Self::Late(_) => len / 2,
        }
    }

    pub(crate) const fn errno(self) -> Errno {
        match self {
            Self::Refused(errno) | Self::Late(errno) => errno,
        }
    }

    pub(crate) fn error(self) -> io::Error {
        self.errno().into()
    }
}
