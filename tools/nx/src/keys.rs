//! The keys that `--pub` names.

use std::path::PathBuf;

use nx_image::PublicKey;

use crate::error::NxError;

/// Reads every key; none if none is named.
///
/// # Errors
/// A file that cannot be read or is no public key that may be used.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<PublicKey>, NxError> {
    let keys = paths.iter().map(|path| Ok(PublicKey::read(path)?));
    keys.collect()
}
