//! The contents of the files in a file system that was read back.
//!
//! What is stored for a piece was decoded when it was made, and was what had been read of the
//! tree. So three things are left to prove: that each file leads to the pieces that were made from
//! it, that these are what was made, and that all of it is there.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use backhand::{Fragment, SquashfsFileReader};

use super::plan::Piece;
use super::threads::on_every_processor;
use super::write::Written;
use super::{BLOCK_BYTES, NO_GROUP, WHAT};
use crate::build::error::BuildError;
use crate::build::tree::Tree;

/// Pieces that a thread takes at once.
const BATCH: usize = 16;

/// Where the content of each file has to be. It is told from what the pieces were made from, and
/// not from what the inodes were written from.
pub(super) struct Contents<'a> {
    tree: &'a Tree,
    groups: &'a [Fragment],
    written: &'a Written,
    /// Of a file with blocks of its own, the piece that is the first.
    blocks: BTreeMap<usize, usize>,
    /// Of a small file, the piece that it is in, and where.
    shares: BTreeMap<usize, (usize, usize)>,
}

impl<'a> Contents<'a> {
    pub(super) fn of(tree: &'a Tree, groups: &'a [Fragment], written: &'a Written) -> Self {
        let mut blocks = BTreeMap::new();
        let mut shares = BTreeMap::new();
        for (number, piece) in written.plan.pieces.iter().enumerate() {
            match piece {
                Piece::Block(entry, 0) => {
                    blocks.insert(*entry, number);
                }
                Piece::Block(..) => {}
                Piece::Group(files) => {
                    let mut offset = 0_usize;
                    let files = written.plan.small.get(files.clone());
                    for entry in files.unwrap_or_default() {
                        shares.insert(*entry, (number, offset));
                        let size = usize::try_from(tree.size(*entry)).unwrap_or(usize::MAX);
                        offset = offset.saturating_add(size);
                    }
                }
            }
        }
        Self {
            tree,
            groups,
            written,
            blocks,
            shares,
        }
    }

    /// Whether a file is made of the pieces that were made from this entry, or from the first
    /// that is equal to it.
    pub(super) fn is_of(&self, index: usize, file: &SquashfsFileReader) -> bool {
        let size = self.tree.size(index);
        let first = self.written.duplicates.first_of(index).unwrap_or(index);
        if file.file_len() as u64 != size || self.tree.size(first) != size {
            return false;
        }
        let group = u32::try_from(file.frag_index()).unwrap_or(NO_GROUP);
        if size == 0 || size >= BLOCK_BYTES as u64 {
            return group == NO_GROUP && self.has_blocks(first, size, file);
        }
        file.block_sizes().is_empty() && self.has_share(first, group, file)
    }

    fn has_blocks(&self, first: usize, size: u64, file: &SquashfsFileReader) -> bool {
        let sizes = file.block_sizes();
        if sizes.len() as u64 != size.div_ceil(BLOCK_BYTES as u64) {
            return false;
        }
        let mut start = file.blocks_start();
        let pieces = self.blocks.get(&first).copied().unwrap_or(0)..;
        pieces.zip((0..).zip(sizes)).all(|(number, (block, size))| {
            let stored = self.written.stored.get(number);
            let made_from = self.written.plan.pieces.get(number);
            let same = stored.is_some_and(|stored| {
                let place = stored.len == 0 || stored.start == start;
                place && (stored.len, stored.plain) == (size.size(), size.uncompressed())
            });
            start = start.saturating_add(u64::from(size.size()));
            same && made_from == Some(&Piece::Block(first, block))
        })
    }

    fn has_share(&self, first: usize, group: u32, file: &SquashfsFileReader) -> bool {
        let found = usize::try_from(group).ok();
        let found = found.and_then(|at| self.groups.get(at));
        let Some((found, (piece, offset))) = found.zip(self.shares.get(&first)) else {
            return false;
        };
        let stored = self.written.stored.get(*piece);
        let offset = u32::try_from(*offset).ok();
        offset == Some(file.block_offset())
            && stored.is_some_and(|stored| {
                stored.start == found.start
                    && (stored.len, stored.plain) == (found.size.size(), found.size.uncompressed())
            })
    }

    /// Whether what is stored is what was made.
    pub(super) fn check(&self, image: &File) -> Result<(), BuildError> {
        let next = AtomicUsize::new(0);
        let stored = &self.written.stored;
        let batches = stored.len().div_ceil(BATCH);
        on_every_processor(batches, || {
            let mut bytes = Vec::new();
            loop {
                let batch = next.fetch_add(1, Ordering::Relaxed);
                let Some(pieces) = stored.chunks(BATCH).nth(batch) else {
                    return Ok(());
                };
                for (number, piece) in (batch.saturating_mul(BATCH)..).zip(pieces) {
                    let same = self.tree.stop.check().and_then(|()| {
                        bytes.resize(usize::try_from(piece.len).unwrap_or(0), 0);
                        image
                            .read_exact_at(&mut bytes, piece.start)
                            .map_err(BuildError::encode(WHAT))?;
                        match crc32fast::hash(&bytes) == piece.checksum {
                            true => Ok(()),
                            false => Err(self.changed(number)),
                        }
                    });
                    if let Err(error) = same {
                        next.store(batches, Ordering::Relaxed);
                        return Err((batch, error));
                    }
                }
            }
        })
        .map(drop)
    }

    fn changed(&self, piece: usize) -> BuildError {
        let plan = &self.written.plan;
        let entry = plan
            .pieces
            .get(piece)
            .and_then(|piece| plan.first_in(piece));
        let entry = entry.and_then(|entry| self.tree.entries.get(entry));
        let path = entry.map_or(Path::new("/"), |entry| &entry.path);
        self.tree.differs(path, "has another content")
    }
}
