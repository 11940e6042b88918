//! Why `flashd` cannot serve, and how it then ends.

use std::error::Error;
use std::io::ErrorKind;
use std::path::PathBuf;

use nx_flash::capture::CaptureError;
use nx_flash::storage::StorageError;
use nx_image::key::PublicKeyError;
use nx_reset::ResetError;
use nx_transport::TransportError;

/// Why `flashd` cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum FlashdError {
    /// The operator named no key, so no image could ever be taken.
    #[error("no key: --pub KEY or --anchors DIR has to name one")]
    NoKeys,
    /// The folder of anchors has none.
    #[error("no `*.pub` file in {}", path.display())]
    NoAnchors {
        /// The folder.
        path: PathBuf,
    },
    /// A key file that is none, or cannot be read.
    #[error(transparent)]
    Key(#[from] PublicKeyError),
    /// The folder of anchors cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The operator named no port.
    #[error("no port: --port PORT has to name one")]
    NoPort,
    /// Only a disk with two slots has anything to confirm.
    #[error("--confirm and --slot are for --layout ab")]
    NotAb,
    /// The storage cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A factory reset is at work on the state, or has to be finished first.
    #[error(transparent)]
    State(#[from] ResetError),
    /// The capture cannot be written.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The port cannot be opened, or is of no further use.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The system does not let us watch for signals.
    #[error("cannot watch for signals")]
    Signals(#[source] std::io::Error),
    /// The system has no thread left for the store.
    #[error("cannot start a thread for the store")]
    Thread(#[source] std::io::Error),
    /// With `--once`: a command of the host was refused.
    #[error("the session ended with a refusal")]
    Refused,
    /// With `--once`: the session ended before the host was done.
    #[error("the session broke off before the host was done")]
    BrokenOff,
}

impl FlashdError {
    /// The exit code: the classes of `docs/provisioning/exit-codes.md`.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::NoKeys | Self::NoPort | Self::NotAb => 2,
            Self::Refused => 3,
            Self::NoAnchors { .. } => 4,
            Self::BrokenOff => 5,
            Self::Signals(_) | Self::Thread(_) => 7,
            Self::Unreadable { source, .. } | Self::Key(PublicKeyError::Io { source, .. }) => {
                io_code(source.kind())
            }
            Self::Key(_) => 3,
            Self::State(error) => state_code(error),
            Self::Storage(error) => storage_code(error),
            Self::Capture(CaptureError::Io { source, .. }) => io_code(source.kind()),
            Self::Capture(_) => 7,
            Self::Transport(error) => transport_code(error),
        }
    }

    /// What happened, with all that led to it.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = self.source();
        while let Some(source) = next {
            let more = source.to_string();
            if !text.ends_with(&more) {
                text.push_str(": ");
                text.push_str(&more);
            }
            next = source.source();
        }
        text
    }
}

fn io_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::NotFound | ErrorKind::NotADirectory => 4,
        ErrorKind::AlreadyExists | ErrorKind::InvalidInput | ErrorKind::IsADirectory => 3,
        _ => 7,
    }
}

fn state_code(error: &ResetError) -> u8 {
    match error {
        ResetError::NoRoot { .. } => 4,
        ResetError::Io { .. } => 7,
        _ => 3,
    }
}

fn storage_code(error: &StorageError) -> u8 {
    match error {
        StorageError::Locked { .. } => 5,
        StorageError::UnknownSlot { .. } => 2,
        StorageError::NotATarget { .. }
        | StorageError::ForeignStaging { .. }
        | StorageError::Unconfirmed { .. }
        | StorageError::Record(_) => 3,
        StorageError::Unusable { .. } => 4,
        StorageError::Io { source, .. } => io_code(source.kind()),
        _ => 7,
    }
}

fn transport_code(error: &TransportError) -> u8 {
    use TransportError as E;
    match error {
        E::BadSpec { .. }
        | E::NoDriver { .. }
        | E::NoLayer { .. }
        | E::UnknownKey { .. }
        | E::AmbiguousKey { .. }
        | E::BadValue { .. }
        | E::Remote { .. } => 2,
        E::NotAPort { .. } | E::BadCapture { .. } => 3,
        E::NotFound { .. } | E::Permission { .. } => 4,
        E::Busy { .. }
        | E::Refused { .. }
        | E::Closed { .. }
        | E::TimedOut { .. }
        | E::Io { .. } => 5,
        E::BaudRefused { .. } | E::Unsupported { .. } | E::NeedsSplitter { .. } => 6,
        _ => 7,
    }
}
