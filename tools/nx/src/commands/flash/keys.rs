//! The keys that `--pub` names.

use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use nx_image::limits::KEY_FILE_BYTES_MAX;
use nx_image::{PublicKey, regular};

use crate::error::NxError;
use crate::reason::Reason;

/// Reads every key; none if none is named.
///
/// # Errors
/// A file that cannot be read or is no public key that may be used.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<PublicKey>, NxError> {
    paths.iter().map(|path| one(path)).collect()
}

/// Reads a key.
///
/// # Errors
/// As [`read`].
pub(crate) fn one(path: &Path) -> Result<PublicKey, NxError> {
    let shown = path.display();
    // One byte more than a key may have, so that the parser sees that there is more.
    let limit = u64::try_from(KEY_FILE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let unreadable = |error: io::Error| {
        let reason = match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Reason::SourceNotFound,
            ErrorKind::InvalidInput => Reason::SourceNotAFile,
            _ => Reason::SourceUnreadable,
        };
        NxError::new(reason, format!("cannot read `{shown}`: {error}"))
    };
    regular::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    PublicKey::parse(&bytes).map_err(|error| {
        NxError::new(Reason::KeyInvalid, format!("`{shown}`: {error}"))
            .hint("a public key: PEM, or 64 hex digits")
    })
}
