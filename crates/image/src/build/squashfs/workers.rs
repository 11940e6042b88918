//! Reads, compresses and proves the pieces of a file system on every processor.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::compress_bound;

use super::plan::{Piece, Plan};
use super::sink::{Sink, Stored};
use super::threads::on_every_processor;
use super::{BLOCK_BYTES, LEVEL, WHAT};
use crate::build::error::BuildError;
use crate::build::tree::Tree;
use crate::scan::is_zero;

/// Stores the pieces of a plan in `out`, from `position` on; gives where they are, and where the
/// last one ends.
///
/// What is stored has been decoded again, and compared with what was read.
pub(super) fn pack(
    tree: &Tree,
    plan: &Plan,
    out: &File,
    position: u64,
) -> Result<(Vec<Stored>, u64), BuildError> {
    let sink = Sink::new(out, position);
    let next = AtomicUsize::new(0);
    on_every_processor(plan.pieces.len(), || {
        let mut packer = Packer::new(tree, plan).map_err(|error| (0, error))?;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(piece) = plan.pieces.get(number) else {
                return Ok(());
            };
            let put = packer.pack(piece).and_then(|(bytes, plain)| {
                sink.put(number, bytes, plain).map_err(BuildError::scratch)
            });
            if let Err(error) = put {
                // Nobody takes another one.
                next.store(plan.pieces.len(), Ordering::Relaxed);
                sink.close();
                return Err((number, error));
            }
        }
    })?;
    Ok(sink.finish())
}

/// Packs pieces on one thread.
struct Packer<'a> {
    tree: &'a Tree,
    plan: &'a Plan,
    compressor: Compressor<'static>,
    decompressor: Decompressor<'static>,
    raw: Vec<u8>,
    packed: Vec<u8>,
    again: Vec<u8>,
    /// The file that was read last, of which the next block often is.
    open: Option<(usize, File)>,
}

impl<'a> Packer<'a> {
    fn new(tree: &'a Tree, plan: &'a Plan) -> Result<Self, BuildError> {
        Ok(Self {
            tree,
            plan,
            compressor: Compressor::new(LEVEL).map_err(BuildError::encode(WHAT))?,
            decompressor: Decompressor::new().map_err(BuildError::encode(WHAT))?,
            raw: vec![0; BLOCK_BYTES],
            packed: Vec::with_capacity(compress_bound(BLOCK_BYTES)),
            again: Vec::with_capacity(BLOCK_BYTES),
            open: None,
        })
    }

    /// What is stored for a piece, and whether it is not compressed.
    fn pack(&mut self, piece: &Piece) -> Result<(&[u8], bool), BuildError> {
        self.tree.stop.check()?;
        let filled = match piece {
            Piece::Block(entry, number) => self.read_block(*entry, *number)?,
            Piece::Group(files) => {
                let files = self.plan.small.get(files.clone()).unwrap_or_default();
                self.read_group(files)?
            }
        };
        let raw = self.raw.get(..filled).unwrap_or_default();
        if matches!(piece, Piece::Block(..)) && is_zero(raw) {
            return Ok((&[], false));
        }
        self.compressor
            .compress_to_buffer(raw, &mut self.packed)
            .map_err(BuildError::encode(WHAT))?;
        if self.packed.len() >= raw.len() {
            return Ok((raw, true));
        }
        self.decompressor
            .decompress_to_buffer(&self.packed, &mut self.again)
            .map_err(BuildError::encode(WHAT))?;
        match self.again == raw {
            true => Ok((&self.packed, false)),
            false => {
                let entry = self.plan.first_in(piece);
                let path = entry.and_then(|entry| self.tree.entries.get(entry));
                let path = path
                    .map(|entry| entry.path.as_path())
                    .unwrap_or(Path::new("/"));
                Err(self.tree.differs(path, "does not decode to what it was"))
            }
        }
    }

    fn read_block(&mut self, entry: usize, number: u64) -> Result<usize, BuildError> {
        let offset = number.saturating_mul(BLOCK_BYTES as u64);
        let left = self.tree.size(entry).saturating_sub(offset);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK_BYTES);
        let file = match self.open.take() {
            Some((open, file)) if open == entry => file,
            _ => self.tree.open_unchanged(entry)?,
        };
        self.read(entry, &file, offset, 0..len)?;
        self.open = Some((entry, file));
        Ok(len)
    }

    fn read_group(&mut self, files: &[usize]) -> Result<usize, BuildError> {
        let mut filled = 0_usize;
        for entry in files {
            let len = usize::try_from(self.tree.size(*entry)).unwrap_or(usize::MAX);
            let end = filled.saturating_add(len);
            let file = self.tree.open_unchanged(*entry)?;
            self.read(*entry, &file, 0, filled..end)?;
            filled = end;
        }
        Ok(filled)
    }

    fn read(
        &mut self,
        entry: usize,
        file: &File,
        offset: u64,
        to: Range<usize>,
    ) -> Result<(), BuildError> {
        let buffer = self.raw.get_mut(to).unwrap_or_default();
        match file.read_exact_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(self.tree.changed(entry));
            }
            other => {
                other.map_err(|error| BuildError::io("read", &self.tree.full(entry))(error))?
            }
        }
        self.tree.check_unchanged(entry, file)
    }
}
