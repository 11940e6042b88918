//! What a device has to remember over a power cut: two records, written in turn.
//!
//! The newest record that is whole counts. A record that was being written when the power went
//! is not whole, and the one before it still is.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nx_image::digest::Digest;

use super::error::StorageError;
use super::ops::{Create, Ops};
use crate::wire::{Reader, Writer};

const MAGIC: &[u8; 4] = b"nxj1";
const NAMES: [&str; 2] = ["record.a", "record.b"];
/// Longest record, in bytes.
const RECORD_BYTES_MAX: usize = 128;

/// Where an install is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing is being changed.
    #[default]
    Quiet,
    /// The staged image is taking the target's place, or is being written over it.
    Installing,
}

/// What a device remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Counts the records.
    generation: u64,
    /// Counts the times that a store was opened.
    pub(super) boot: u32,
    pub(super) phase: Phase,
    /// SHA-256 of the manifest of what is staged.
    pub(super) staged: Option<Digest>,
    /// SHA-256 of the manifest of what is installed.
    pub(super) installed: Option<Digest>,
}

impl Record {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let body = bytes.len().checked_sub(4)?;
        let (body, crc) = bytes.split_at_checked(body)?;
        if crc32fast::hash(body).to_le_bytes() != crc {
            return None;
        }
        let mut fields = Reader::new(body);
        if fields.bytes(MAGIC.len()).ok()? != MAGIC {
            return None;
        }
        let generation = fields.u64().ok()?;
        let boot = fields.u32().ok()?;
        let phase = match fields.u8().ok()? {
            0 => Phase::Quiet,
            1 => Phase::Installing,
            _ => return None,
        };
        let mut digest = || match fields.u8() {
            Ok(0) => Some(None),
            Ok(1) => fields.digest().ok().map(Some),
            _ => None,
        };
        let (staged, installed) = (digest()?, digest()?);
        fields.finish().ok()?;
        Some(Self {
            generation,
            boot,
            phase,
            staged,
            installed,
        })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut fields = Writer::new(&mut out);
        fields
            .bytes(MAGIC)
            .u64(self.generation)
            .u32(self.boot)
            .u8(match self.phase {
                Phase::Quiet => 0,
                Phase::Installing => 1,
            });
        for digest in [&self.staged, &self.installed] {
            fields.u8(u8::from(digest.is_some()));
            if let Some(digest) = digest {
                fields.digest(digest);
            }
        }
        let crc = crc32fast::hash(&out);
        Writer::new(&mut out).u32(crc);
        out
    }
}

/// The two records of a folder.
#[derive(Debug)]
pub(super) struct Journal {
    ops: Arc<dyn Ops>,
    dir: PathBuf,
    record: Record,
}

impl Journal {
    /// Reads the newest record that is whole, and makes sure that it is durable; with none, nothing
    /// is remembered.
    pub(super) fn open(ops: &Arc<dyn Ops>, dir: &Path) -> Result<Self, StorageError> {
        let mut newest = Record::default();
        for name in NAMES {
            let path = dir.join(name);
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(StorageError::io("open", &path)(error)),
            };
            // Who wrote it may have been stopped before it was durable, or been told that it is
            // not. The next record takes the place of the one before it, which may be all that the
            // medium has: what is read here has to be what the medium has.
            ops.sync_all(&file)
                .map_err(StorageError::io("sync", &path))?;
            ops.forget_cached(&file);
            let mut bytes = [0; RECORD_BYTES_MAX];
            let len = file
                .read_at(&mut bytes, 0)
                .map_err(StorageError::io("read", &path))?;
            let record = bytes.get(..len).and_then(Record::parse);
            if let Some(record) = record.filter(|record| record.generation > newest.generation) {
                newest = record;
            }
        }
        ops.sync_dir(dir).map_err(StorageError::io("sync", dir))?;
        Ok(Self {
            ops: Arc::clone(ops),
            dir: dir.to_owned(),
            record: newest,
        })
    }

    /// Whether nothing was ever remembered here.
    pub(super) const fn is_new(&self) -> bool {
        self.record.generation == 0
    }

    pub(super) const fn record(&self) -> &Record {
        &self.record
    }

    /// Makes a change durable before it returns.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Record)) -> Result<(), StorageError> {
        let mut record = self.record.clone();
        change(&mut record);
        record.generation = record.generation.saturating_add(1);
        let name = if record.generation.is_multiple_of(2) {
            NAMES[0]
        } else {
            NAMES[1]
        };
        let path = self.dir.join(name);
        let ops = &self.ops;
        let file = ops
            .create(&path, Create::OrOpen)
            .map_err(StorageError::io("open", &path))?;
        let bytes = record.to_bytes();
        let len = u64::try_from(bytes.len()).unwrap_or(0);
        ops.write_at(&file, &bytes, 0)
            .map_err(StorageError::io("write", &path))?;
        ops.set_len(&file, len)
            .map_err(StorageError::io("truncate", &path))?;
        ops.sync_all(&file)
            .map_err(StorageError::io("sync", &path))?;
        ops.sync_dir(&self.dir)
            .map_err(StorageError::io("sync", &self.dir))?;
        self.record = record;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::ops::System;

    fn open(dir: &Path) -> Journal {
        let ops: Arc<dyn Ops> = Arc::new(System);
        Journal::open(&ops, dir).unwrap()
    }

    #[test]
    fn the_newest_whole_record_counts() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = open(dir.path());
        for boot in 1..=5 {
            journal.change(|record| record.boot = boot).unwrap();
        }
        assert_eq!(open(dir.path()).record().boot, 5);
        // Generation 5 is odd: tear it.
        let torn = dir.path().join(NAMES[1]);
        let mut bytes = std::fs::read(&torn).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 0x40;
            std::fs::write(&torn, &bytes).unwrap();
            assert_eq!(open(dir.path()).record().boot, 4, "byte {at}");
            bytes[at] ^= 0x40;
        }
        for len in 0..bytes.len() {
            std::fs::write(&torn, &bytes[..len]).unwrap();
            assert_eq!(open(dir.path()).record().boot, 4, "{len} bytes");
        }
    }
}
