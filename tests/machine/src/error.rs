//! What can go wrong, sorted by who must act.

use std::{io, path::PathBuf, time::Duration};

/// The result of work with a machine.
pub type Result<T, E = MachineError> = std::result::Result<T, E>;

/// Why a scenario stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// The caller has to fetch or install something first.
    #[error("{what} is missing: run `cargo xtask qemu`, which brings it")]
    Missing {
        /// The file.
        what: String,
    },
    /// The system under test did other than it promises.
    #[error("{what}: {detail}")]
    Broken {
        /// The claim that does not hold.
        what: String,
        /// What was seen instead.
        detail: String,
    },
    /// What was waited for did not come.
    #[error("no {what} within {} s; the last that came was {last:?}", limit.as_secs())]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
        /// The end of what came instead.
        last: String,
    },
    /// A program that we use said no.
    #[error("{command} ended with {code}: {said}")]
    Program {
        /// The command.
        command: String,
        /// Its exit code; 128 for a signal.
        code: i32,
        /// What it said.
        said: String,
    },
    /// The operating system refused.
    #[error("cannot {op} `{}`", path.display())]
    Io {
        /// What we tried, as a verb.
        op: &'static str,
        /// The file, socket or program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl MachineError {
    /// For `map_err`: a [`MachineError::Io`] for this call and path.
    pub(crate) fn io(op: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { op, path, source }
    }

    /// A claim that does not hold.
    pub fn broken(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Broken {
            what: what.into(),
            detail: detail.into(),
        }
    }
}
