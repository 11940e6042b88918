//! The block digests of an image on their way to their file, which holds them instead of us: an
//! image may have millions of blocks. The form is that of [`sidecar`](crate::sidecar).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::error::BuildError;
use crate::digest::Digest;
use crate::tree::RootBuilder;

const DIGEST_BYTES: u64 = Digest::BYTES as u64;
const CHECKSUM_BYTES: u64 = 4;
/// Entries that are read at once.
const READ_MAX: u64 = 1_024;

/// The file, which has room for all blocks of the image.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockFile<'a> {
    file: &'a File,
    path: &'a Path,
    /// Blocks in the image.
    total: u64,
}

/// Some blocks of the image, by their numbers in the file: those of one segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    pub(super) first: u64,
    pub(super) count: u64,
}

impl<'a> BlockFile<'a> {
    pub(super) const fn new(file: &'a File, path: &'a Path, total: u64) -> Self {
        Self { file, path, total }
    }

    /// Takes digest and checksum of these blocks, of which the first has this number.
    pub(super) fn put(&self, first: u64, blocks: &[(Digest, u32)]) -> Result<(), BuildError> {
        let digests: Vec<u8> = blocks
            .iter()
            .flat_map(|(digest, _)| *digest.as_bytes())
            .collect();
        let checksums: Vec<u8> = blocks
            .iter()
            .flat_map(|(_, checksum)| checksum.to_le_bytes())
            .collect();
        self.file
            .write_all_at(&digests, first.saturating_mul(DIGEST_BYTES))
            .and_then(|()| self.file.write_all_at(&checksums, self.checksum_at(first)))
            .map_err(BuildError::io("write", self.path))
    }

    /// The root of the hash tree over these blocks.
    pub(super) fn root(&self, blocks: Numbers) -> Result<Digest, BuildError> {
        let mut root = RootBuilder::new();
        let (mut at, mut left) = (blocks.first, blocks.count);
        while left > 0 {
            let count = left.min(READ_MAX);
            let bytes = self
                .read(at.saturating_mul(DIGEST_BYTES), count, DIGEST_BYTES)
                .map_err(BuildError::io("read", self.path))?;
            for digest in bytes.as_chunks().0 {
                root.push(&Digest::from_bytes(*digest));
            }
            at = at.saturating_add(count);
            left = left.saturating_sub(count);
        }
        Ok(root.finish().0)
    }

    /// The checksums of these blocks, in order.
    pub(super) const fn checksums(&self, blocks: Numbers) -> Checksums<'a> {
        Checksums {
            file: *self,
            next: blocks.first,
            left: blocks.count,
            read: Vec::new(),
            at: 0,
        }
    }

    const fn checksum_at(&self, number: u64) -> u64 {
        let digests = self.total.saturating_mul(DIGEST_BYTES);
        digests.saturating_add(number.saturating_mul(CHECKSUM_BYTES))
    }

    fn read(&self, at: u64, count: u64, each: u64) -> io::Result<Vec<u8>> {
        let len = usize::try_from(count.saturating_mul(each)).unwrap_or(0);
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }
}

/// Reads checksums one after the other.
#[derive(Debug)]
pub(super) struct Checksums<'a> {
    file: BlockFile<'a>,
    next: u64,
    /// Those that are not read yet.
    left: u64,
    read: Vec<u8>,
    /// Where in `read` the next one is.
    at: usize,
}

impl Checksums<'_> {
    /// The next one; nothing after the last.
    pub(super) fn next(&mut self) -> io::Result<Option<u32>> {
        if self.at >= self.read.len() {
            let count = self.left.min(READ_MAX);
            let at = self.file.checksum_at(self.next);
            self.read = self.file.read(at, count, CHECKSUM_BYTES)?;
            self.next = self.next.saturating_add(count);
            self.left = self.left.saturating_sub(count);
            self.at = 0;
        }
        let rest = self.read.get(self.at..).unwrap_or_default();
        self.at = self.at.saturating_add(4);
        Ok(rest.first_chunk().copied().map(u32::from_le_bytes))
    }
}
