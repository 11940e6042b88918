//! Both halves of a new key, in two files.

use std::fs;
use std::path::Path;

use super::new_file::NewFile;
use super::secret::{SecretKeyError, SigningKey};

impl SigningKey {
    /// Writes both halves, as PEM, to new files: the private one for its owner only.
    ///
    /// Each file appears whole. A process that is killed leaves none, both, or the private one
    /// alone; the last is for [`finish_pair`](Self::finish_pair).
    ///
    /// # Errors
    /// When one of the files exists or cannot be written; then none is left behind.
    pub fn write_pair_new(&self, private: &Path, public: &Path) -> Result<(), SecretKeyError> {
        let new_private = NewFile::write(private, self.to_pem(private)?.as_bytes(), 0o600)?;
        let new_public = NewFile::write(public, self.to_public_pem(public)?.as_bytes(), 0o644)?;
        new_private.publish()?;
        let published = new_public.publish();
        if published.is_err() {
            // A private key whose public half is nowhere is of no use to anyone.
            let _ = fs::remove_file(private);
        }
        published
    }

    /// Finishes a pair of which a killed [`write_pair_new`](Self::write_pair_new) left the private
    /// half alone; returns the key. Does nothing where that is not what happened.
    ///
    /// # Errors
    /// When the public half cannot be given its name.
    pub fn finish_pair(private: &Path, public: &Path) -> Result<Option<Self>, SecretKeyError> {
        let Ok(key) = Self::read(private) else {
            return Ok(None);
        };
        let Some(left) = NewFile::left(public, key.to_public_pem(public)?.as_bytes()) else {
            return Ok(None);
        };
        left.publish()?;
        Ok(Some(key))
    }
}
