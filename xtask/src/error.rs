//! What can go wrong, sorted by who must act.

use std::{error::Error, fmt::Write as _, io, path::PathBuf, process::ExitStatus};

/// The result of a chore.
pub type Result<T, E = XtaskError> = std::result::Result<T, E>;

/// Why a chore stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum XtaskError {
    /// The caller asked for something that does not exist. Nothing was run.
    #[error("{message}; `cargo xtask help` lists the tasks")]
    Usage {
        /// What was wrong with the arguments.
        message: String,
    },
    /// Something must be installed, and we may not or cannot do it.
    #[error("missing: {what}\n  try: {remedy}")]
    Missing {
        /// The tools or packages, and what they are for.
        what: String,
        /// A command that brings them.
        remedy: String,
    },
    /// The author of the change has to mend it.
    #[error("{count} finding(s), listed above")]
    Findings {
        /// How many rules were broken.
        count: usize,
    },
    /// A command ran and said no. Its own words are above.
    #[error("`{command}` failed: {status}")]
    Failed {
        /// The command as typed.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// A step of the CI failed.
    #[error("step `{step}` failed\n  again: cargo xtask ci {step}")]
    Step {
        /// Its name.
        step: &'static str,
        /// Why.
        source: Box<XtaskError>,
    },
    /// A command printed or made something that we do not understand.
    #[error("{what} is not what we expect: {detail}")]
    Unexpected {
        /// The command or file.
        what: String,
        /// What is odd about it.
        detail: String,
    },
    /// A command could not be started.
    #[error("cannot start `{command}`")]
    Start {
        /// The command as typed.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// The operating system refused.
    #[error("cannot {op} `{}`", path.display())]
    Io {
        /// What we tried, as a verb.
        op: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl XtaskError {
    /// For `map_err`: an [`XtaskError::Io`] for this call and path.
    pub fn io(op: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { op, path, source }
    }

    /// The message and those of its causes, one a line.
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "\n  because: {error}");
            cause = error.source();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_once_each() {
        let error = XtaskError::Step {
            step: "test",
            source: Box::new(XtaskError::io("read", "a.md")(io::Error::other("worn out"))),
        };
        assert_eq!(
            error.with_causes(),
            "step `test` failed\n  again: cargo xtask ci test\n  because: cannot read `a.md`\
             \n  because: worn out"
        );
    }
}
