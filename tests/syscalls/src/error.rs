//! What stops the harness itself: nothing of it is a finding about the programs.

use std::io;
use std::path::PathBuf;

/// The result of what the harness does for itself.
pub type Result<T, E = Trouble> = std::result::Result<T, E>;

/// Why the harness cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// The command line.
    #[error("{0}")]
    Usage(String),
    /// The operating system refused the harness.
    #[error("cannot {op} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        op: &'static str,
        /// The file, folder or program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A run without an injection is not what it has to be.
    #[error("{flow}, left alone: {why}")]
    Plain {
        /// The flow.
        flow: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Trouble {
    /// For `map_err`.
    pub(crate) fn io(op: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { op, path, source }
    }

    /// A run without an injection that failed.
    pub(crate) fn plain(flow: &str, why: impl Into<String>) -> Self {
        Self::Plain {
            flow: flow.to_owned(),
            why: why.into(),
        }
    }
}
