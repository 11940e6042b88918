//! Public keys, in files that anyone may read.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::key::{KeyError, PublicKey};
use crate::limits::KEY_FILE_BYTES_MAX;
use crate::regular;

/// Why a file gives no public key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublicKeyError {
    /// The file holds no public key that anybody may use.
    #[error("{} is no usable public key", path.display())]
    NotUsable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
    /// The operating system refused, or it is no regular file (kind `InvalidInput`).
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl PublicKey {
    /// Reads a key from a regular file, in any of the forms that [`parse`](Self::parse) takes.
    ///
    /// # Errors
    /// A file that cannot be read, or that holds no public key that may be used.
    pub fn read(path: &Path) -> Result<Self, PublicKeyError> {
        // One byte more than a key may have, so that the parser sees that there is more.
        let limit = u64::try_from(KEY_FILE_BYTES_MAX).unwrap_or(u64::MAX);
        let mut bytes = Vec::new();
        regular::open(path)
            .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
            .map_err(|source| PublicKeyError::Io {
                path: path.to_owned(),
                source,
            })?;
        Self::parse(&bytes).map_err(|source| PublicKeyError::NotUsable {
            path: path.to_owned(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_long_is_not_cut_to_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long.pub");
        // RFC 8032 §7.1, test 1, and more white space than any key file has.
        let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        std::fs::write(&path, format!("{key}{}", "\n".repeat(KEY_FILE_BYTES_MAX))).unwrap();
        let error = PublicKey::read(&path).unwrap_err();
        let too_long = matches!(
            &error,
            PublicKeyError::NotUsable {
                source: KeyError::TooLong { .. },
                ..
            }
        );
        assert!(too_long, "{error:?}");
    }

    #[test]
    fn what_cannot_be_read_is_told_from_what_is_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let missing = PublicKey::read(&folder.path().join("missing.pub")).unwrap_err();
        assert!(matches!(missing, PublicKeyError::Io { .. }), "{missing:?}");
        let folder = PublicKey::read(folder.path()).unwrap_err();
        let PublicKeyError::Io { source, .. } = &folder else {
            panic!("{folder:?}");
        };
        assert_eq!(source.kind(), io::ErrorKind::InvalidInput);
    }
}
