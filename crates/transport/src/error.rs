//! Everything that can go wrong on a link.

use std::io;

/// Everything that can go wrong on a link, sorted by who must act.
///
/// No message holds bytes that a peer sent; ports and values are as the operator wrote them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    // The operator: the port's text is wrong. Nothing was opened.
    /// The text is no port.
    #[error("`{port}` is no port: {reason}")]
    BadSpec {
        /// The text.
        port: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No linked driver knows the scheme.
    #[error("no driver for `{scheme}:`{} (known: {known})", suggestion(nearest.as_deref()))]
    NoDriver {
        /// The scheme asked for.
        scheme: String,
        /// The nearest known one, when one is near.
        nearest: Option<String>,
        /// The known ones, sorted, with commas.
        known: String,
    },
    /// No linked layer has the name.
    #[error("no layer `{layer}+`{} (known: {known})", suggestion(nearest.as_deref()))]
    NoLayer {
        /// The layer asked for.
        layer: String,
        /// The nearest known one, when one is near.
        nearest: Option<String>,
        /// The known ones, sorted, with commas.
        known: String,
    },
    /// Neither the driver nor a layer of the port knows the key.
    #[error("`{port}` has no key `{key}`{} (known: {known})", suggestion(nearest.as_deref()))]
    UnknownKey {
        /// The port.
        port: String,
        /// The key.
        key: String,
        /// The nearest known one, when one is near.
        nearest: Option<String>,
        /// The known keys, sorted, with commas.
        known: String,
    },
    /// More than one part of the port knows the key.
    #[error("key `{key}` of `{port}` could mean {owners}: write one of those")]
    AmbiguousKey {
        /// The port.
        port: String,
        /// The key.
        key: String,
        /// The full names it could be, with commas.
        owners: String,
    },
    /// A key's value is missing or out of range.
    #[error("`{port}`: {key}={value} is not {want}")]
    BadValue {
        /// The port.
        port: String,
        /// The key.
        key: String,
        /// Its value, as written.
        value: String,
        /// What it must be.
        want: String,
    },
    /// A layer that acts on frames was asked for where nobody said what a frame is.
    #[error("`{port}` acts on frames, and this program does not say what a frame is")]
    NeedsSplitter {
        /// The port.
        port: String,
    },
    /// Nothing of that name is there.
    #[error("`{port}` does not exist")]
    NotFound {
        /// The port.
        port: String,
    },
    /// What is there is something else.
    #[error("`{port}` is {what}")]
    NotAPort {
        /// The port.
        port: String,
        /// What it is instead, with its article.
        what: String,
    },
    /// The operating system does not let this user in.
    #[error("no permission for `{port}`{}", belongs(group.as_deref()))]
    Permission {
        /// The port.
        port: String,
        /// The group whose members may, when the file's mode says so.
        group: Option<String>,
    },
    /// Somebody else has the port.
    #[error("`{port}` is in use{}", held(by))]
    Busy {
        /// The port.
        port: String,
        /// Who has it, with commas; empty when that cannot be seen.
        by: String,
    },
    /// The address is on another machine and nobody allowed that.
    #[error(
        "`{port}` is not on this machine; `?remote=yes` allows it (nothing on the way is encrypted)"
    )]
    Remote {
        /// The port.
        port: String,
    },
    /// The hardware settled on another speed.
    #[error("`{port}` cannot do {want} baud: the hardware settles on {got}")]
    BaudRefused {
        /// The port.
        port: String,
        /// Baud asked for.
        want: u32,
        /// Baud that it settled on.
        got: u32,
    },
    /// A capture file is damaged or no capture.
    #[error("capture `{path}` is damaged at byte {offset_bytes}: {reason}")]
    BadCapture {
        /// The file.
        path: String,
        /// Where, in bytes from its start.
        offset_bytes: u64,
        /// What is wrong there.
        reason: String,
    },
    /// This platform or this link cannot do that.
    #[error("`{port}`: {what} is not supported here")]
    Unsupported {
        /// The port.
        port: String,
        /// What was wanted.
        what: String,
    },

    // The peer and the link.
    /// Nobody listens there.
    #[error("nobody answers at `{port}`")]
    Refused {
        /// The port.
        port: String,
    },
    /// The peer or the cable went away, and all it sent has been read. Reopen and resume.
    #[error("`{port}` closed by the other side")]
    Closed {
        /// The port.
        port: String,
    },
    /// The time for `op` is up.
    #[error("{op} on `{port}` took too long")]
    TimedOut {
        /// What was tried.
        op: &'static str,
        /// The port.
        port: String,
    },

    // The operating system.
    /// The operating system refused; `op` is the call we made.
    #[error("{op} on `{port}` failed")]
    Io {
        /// The call.
        op: &'static str,
        /// The port or file.
        port: String,
        /// What the system said.
        source: io::Error,
    },

    // Us.
    /// Two linked drivers or layers claim one name, or one claims what is no name.
    #[error("`{name}` is claimed by two drivers or layers, or is no name for one")]
    BadName {
        /// The name.
        name: String,
    },
    /// On virtual time, the party whose turn it is did not come back.
    #[error("`{party}` waited {waited_s} s of real time for `{holder}`, whose turn it is")]
    Stalled {
        /// Who waited.
        party: String,
        /// Whose turn it is.
        holder: String,
        /// How long, in seconds of real time.
        waited_s: u64,
    },
}

impl TransportError {
    /// Whether opening the port again, or waiting, may help without anybody changing anything.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Closed { .. } | Self::Refused { .. } | Self::TimedOut { .. }
        )
    }

    /// Whether the peer is gone and everything that it sent has been read.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }

    pub(crate) fn io(op: &'static str, port: &str, source: impl Into<io::Error>) -> Self {
        Self::Io {
            op,
            port: port.to_owned(),
            source: source.into(),
        }
    }

    pub(crate) fn closed(port: &str) -> Self {
        Self::Closed {
            port: port.to_owned(),
        }
    }
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(", did you mean `{name}`?"))
}

fn belongs(group: Option<&str>) -> String {
    group.map_or_else(String::new, |name| {
        format!(": it is for members of group `{name}`")
    })
}

fn held(by: &str) -> String {
    if by.is_empty() {
        String::new()
    } else {
        format!(" by {by}")
    }
}
