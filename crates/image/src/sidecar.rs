//! The block digests of an image, in a file beside its manifest: `OS.blocks` for `OS.json`.
//!
//! It is not signed and need not be: it proves itself against the block roots in the manifest,
//! and is of use only where it does. With it a verification names the first bad block, and what
//! happened to it. `docs/decisions/0004-block-digests-sidecar.md`.
//!
//! First the digests of all blocks of all segments, in order, 32 bytes each; then, in the same
//! order, the CRC-32 (IEEE) of each block, 4 bytes little-endian. The checksums are proven by
//! nothing: they are a hint to where a block differs, and the digest has to confirm it.

use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::manifest::Manifest;
use crate::regular;
use crate::tree::RootBuilder;

/// Bytes in the file for each block.
const BLOCK_ENTRY_BYTES: u64 = 32 + 4;

/// Where the block digests of the image with this manifest are.
pub fn path_of(manifest: &Path) -> PathBuf {
    manifest.with_extension("blocks")
}

/// The blocks of one segment.
#[derive(Clone, Debug, Default)]
pub struct SegmentBlocks {
    digests: Vec<Digest>,
    checksums: Vec<u32>,
}

impl SegmentBlocks {
    /// Digests of the blocks, in order.
    pub fn digests(&self) -> &[Digest] {
        &self.digests
    }

    /// CRC-32 of the blocks, in order: as many as there are digests.
    pub fn checksums(&self) -> &[u32] {
        &self.checksums
    }
}

/// The blocks of an image.
#[derive(Clone, Debug)]
pub struct BlockTable {
    segments: Vec<SegmentBlocks>,
}

impl BlockTable {
    /// The blocks of each segment, in the manifest's order.
    pub fn segments(&self) -> &[SegmentBlocks] {
        &self.segments
    }

    /// Reads the file, if it is there and its digests give the block roots of `manifest`.
    pub fn read(path: &Path, manifest: &Manifest) -> Option<Self> {
        let block_size = manifest.image.block_size;
        let counts = || manifest.segments.iter().map(|s| s.block_count(block_size));
        let total = counts().map(u64::from).fold(0, u64::saturating_add);
        let file = regular::open(path).ok()?;
        // Before anything is held for it: a manifest alone makes nobody allocate.
        let found = file.metadata().ok()?;
        if !found.is_file() || found.len() != total.checked_mul(BLOCK_ENTRY_BYTES)? {
            return None;
        }
        let mut file = BufReader::new(file);
        let mut segments = Vec::with_capacity(manifest.segments.len());
        for segment in &manifest.segments {
            let mut blocks = SegmentBlocks::default();
            let mut root = RootBuilder::new();
            for _ in 0..segment.block_count(block_size) {
                let mut bytes = [0; Digest::BYTES];
                file.read_exact(&mut bytes).ok()?;
                let digest = Digest::from_bytes(bytes);
                root.push(&digest);
                blocks.digests.push(digest);
            }
            if root.finish().0 != segment.block_root {
                return None;
            }
            segments.push(blocks);
        }
        for (blocks, count) in segments.iter_mut().zip(counts()) {
            for _ in 0..count {
                let mut bytes = [0; 4];
                file.read_exact(&mut bytes).ok()?;
                blocks.checksums.push(u32::from_le_bytes(bytes));
            }
        }
        Some(Self { segments })
    }
}
