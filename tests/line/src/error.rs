//! What can go wrong with a line itself.

use std::io;

/// Why there is no line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// The caller asked for a line that cannot be.
    #[error("{what} is {got}, and can be {want}")]
    Conditions {
        /// Which of the conditions.
        what: &'static str,
        /// What was asked for.
        got: String,
        /// What it can be.
        want: String,
    },
    /// The operating system refused; `op` is the call that was made.
    #[error("{op} failed")]
    Io {
        /// The call.
        op: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl LineError {
    /// For `map_err`.
    pub(crate) fn io<E: Into<io::Error>>(op: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::Io {
            op,
            source: error.into(),
        }
    }
}
