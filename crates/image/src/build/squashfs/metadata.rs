use zstd::bulk::Compressor;

use super::{LEVEL, WHAT};
use crate::build::error::BuildError;

/// Bytes in a block of metadata before it is compressed, at most.
const METADATA_BYTES: usize = 8 * 1024;
/// In the length of a block: it is not compressed.
const PLAIN: u16 = 1 << 15;

/// Blocks of metadata, one after the other, each with its length before it.
pub(super) struct Metadata {
    compressor: Compressor<'static>,
    /// Those that are full.
    blocks: Vec<u8>,
    /// Where each of them begins.
    starts: Vec<u32>,
    open: Vec<u8>,
}

/// A place in metadata: where its block begins, and how far it is from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) block: u32,
    pub(super) offset: u16,
}

impl Metadata {
    pub(super) fn new() -> Result<Self, BuildError> {
        Ok(Self {
            compressor: Compressor::new(LEVEL).map_err(BuildError::encode(WHAT))?,
            blocks: Vec::new(),
            starts: Vec::new(),
            open: Vec::with_capacity(METADATA_BYTES),
        })
    }

    /// Where the next byte will be.
    pub(super) fn position(&self) -> Result<Position, BuildError> {
        Ok(Position {
            block: u32::try_from(self.blocks.len()).map_err(BuildError::encode(WHAT))?,
            offset: u16::try_from(self.open.len()).map_err(BuildError::encode(WHAT))?,
        })
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<(), BuildError> {
        while !bytes.is_empty() {
            let room = METADATA_BYTES.saturating_sub(self.open.len());
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.open.extend_from_slice(now);
            if self.open.len() >= METADATA_BYTES {
                self.end_block()?;
            }
            bytes = rest;
        }
        Ok(())
    }

    /// All blocks, and where each begins in them.
    pub(super) fn finish(mut self) -> Result<(Vec<u8>, Vec<u32>), BuildError> {
        if !self.open.is_empty() {
            self.end_block()?;
        }
        Ok((self.blocks, self.starts))
    }

    fn end_block(&mut self) -> Result<(), BuildError> {
        self.starts.push(self.position()?.block);
        let packed = self
            .compressor
            .compress(&self.open)
            .map_err(BuildError::encode(WHAT))?;
        let (bytes, flag) = match packed.len() < self.open.len() {
            true => (&packed, 0),
            false => (&self.open, PLAIN),
        };
        let len = u16::try_from(bytes.len()).map_err(BuildError::encode(WHAT))?;
        self.blocks.extend_from_slice(&(len | flag).to_le_bytes());
        self.blocks.extend_from_slice(bytes);
        self.open.clear();
        Ok(())
    }
}
