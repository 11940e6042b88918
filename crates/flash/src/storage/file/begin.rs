//! A transfer begins: what is staged already is kept if it is of the same image.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use nx_image::digest::Digest;
use nx_image::manifest::Manifest;

use super::FileStore;
use crate::storage::error::StorageError;
use crate::storage::replace::replace;
use crate::storage::target::Layout;

impl FileStore {
    pub(super) fn begin(
        &mut self,
        manifest: &[u8],
        signature: &[u8],
        image_bytes: u64,
        restart: bool,
    ) -> Result<bool, StorageError> {
        // An install that failed half way is finished or taken back before anything else.
        self.recover()?;
        let digest = Manifest::digest_of(manifest);
        let staged = self.manifest("staged", Some(digest));
        let known = self.journal.record().staged == Some(digest) && staged.is_some();
        self.staged = None;
        self.looked_at = None;
        self.staged_bytes = image_bytes;
        if known && !restart {
            self.staged = self.target.open_staging(image_bytes)?;
        }
        if self.staged.is_none() {
            self.target.discard_staging()?;
        }
        if !known {
            self.journal.change(|record| record.staged = None)?;
            self.keep("staged.json", manifest)?;
            self.keep("staged.sig", signature)?;
            self.sync_dir(&self.dir)?;
            self.journal.change(|record| record.staged = Some(digest))?;
        }
        self.forget_digests(manifest);
        // In place, whatever the target holds may be of use.
        let in_place = self.target.layout == Layout::InPlace && !restart;
        Ok(self.staged.is_some() || (in_place && self.target.open_installed().is_some()))
    }

    /// Forgets what is staged.
    pub(super) fn discard(&mut self) -> Result<(), StorageError> {
        self.staged = None;
        self.target.discard_staging()?;
        self.journal.change(|record| record.staged = None)?;
        for name in ["staged.json", "staged.sig"] {
            let path = self.dir.join(name);
            match self.ops.remove(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(StorageError::io("remove", &path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn keep(&self, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        replace(&*self.ops, &self.dir.join(name), bytes, |_| Ok(()))
    }

    fn forget_digests(&self, manifest: &[u8]) {
        let installed = self.manifest("installed", self.journal.record().installed);
        let roots: BTreeSet<Digest> = [Some(manifest.to_vec()), installed]
            .into_iter()
            .flatten()
            .filter_map(|raw| Manifest::parse(&raw).ok())
            .flat_map(|manifest| manifest.segments.into_iter().map(|s| s.block_root))
            .collect();
        self.digests.keep_only(&roots);
    }
}
