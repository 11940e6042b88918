//! Block digests on disk. They prove themselves against the signed manifest when they are
//! read, so nothing here is synced or believed.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nx_image::digest::Digest;

use super::error::StorageError;
use super::ops::{Create, Ops};
use crate::limits::DIRECTORY_BYTES_MAX;

/// The folder of digests.
#[derive(Debug)]
pub(super) struct DigestFiles {
    ops: Arc<dyn Ops>,
    dir: PathBuf,
}

impl DigestFiles {
    pub(super) fn open(ops: &Arc<dyn Ops>, journal: &Path) -> Result<Self, StorageError> {
        let dir = journal.join("digests");
        ops.make_dir(&dir)
            .map_err(StorageError::io("create", &dir))?;
        Ok(Self {
            ops: Arc::clone(ops),
            dir,
        })
    }

    fn path(&self, root: &Digest, page: Option<u16>) -> PathBuf {
        match page {
            Some(page) => self.dir.join(format!("{root}.{page:04x}")),
            None => self.dir.join(format!("{root}.directory")),
        }
    }

    pub(super) fn load(&self, root: &Digest, page: Option<u16>) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(DIRECTORY_BYTES_MAX).unwrap_or(0);
        let file = fs::File::open(self.path(root, page)).ok()?;
        file.take(limit).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    pub(super) fn store(
        &self,
        root: &Digest,
        page: Option<u16>,
        bytes: &[u8],
    ) -> Result<(), StorageError> {
        let path = self.path(root, page);
        let write = || {
            let file = self.ops.create(&path, Create::OrOpen)?;
            self.ops.set_len(&file, 0)?;
            self.ops.write_at(&file, bytes, 0)
        };
        write().map_err(StorageError::io("write", &path))
    }

    /// Removes what belongs to none of these roots.
    pub(super) fn keep_only(&self, roots: &BTreeSet<Digest>) {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return;
        };
        let names: BTreeSet<String> = roots.iter().map(Digest::to_string).collect();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let root = name.to_str().and_then(|name| name.split('.').next());
            if root.is_none_or(|root| !names.contains(root)) {
                // A left-over costs only its room.
                let _ = self.ops.remove(&entry.path());
            }
        }
    }
}
