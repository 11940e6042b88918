//! Where block digests are kept. They prove themselves against the signed manifest when they are
//! read, so they may be lost, and are not believed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use nx_image::digest::Digest;

use super::digests::DigestFiles;
use super::error::StorageError;

/// A place for block digests, by the block root of their segment: its directory, or a page.
pub trait Pages: fmt::Debug + Send {
    /// What is kept there, if anything.
    fn load(&self, root: &Digest, page: Option<u16>) -> Option<Vec<u8>>;

    /// Keeps this there.
    ///
    /// # Errors
    /// When there is no room, or the medium fails.
    fn store(&mut self, root: &Digest, page: Option<u16>, bytes: &[u8])
    -> Result<(), StorageError>;

    /// Forgets what belongs to none of these roots.
    fn keep_only(&mut self, roots: &BTreeSet<Digest>);
}

impl Pages for DigestFiles {
    fn load(&self, root: &Digest, page: Option<u16>) -> Option<Vec<u8>> {
        Self::load(self, root, page)
    }

    fn store(
        &mut self,
        root: &Digest,
        page: Option<u16>,
        bytes: &[u8],
    ) -> Result<(), StorageError> {
        Self::store(self, root, page, bytes)
    }

    fn keep_only(&mut self, roots: &BTreeSet<Digest>) {
        Self::keep_only(self, roots);
    }
}

/// Pages in memory, for devices in a test.
#[derive(Clone, Debug, Default)]
pub struct MemoryPages(BTreeMap<(Digest, Option<u16>), Vec<u8>>);

impl Pages for MemoryPages {
    fn load(&self, root: &Digest, page: Option<u16>) -> Option<Vec<u8>> {
        self.0.get(&(*root, page)).cloned()
    }

    fn store(
        &mut self,
        root: &Digest,
        page: Option<u16>,
        bytes: &[u8],
    ) -> Result<(), StorageError> {
        self.0.insert((*root, page), bytes.to_vec());
        Ok(())
    }

    fn keep_only(&mut self, roots: &BTreeSet<Digest>) {
        self.0.retain(|(root, _), _| roots.contains(root));
    }
}
