//! The block digests of an image, in a file beside its manifest: `OS.blocks` for `OS.json`.
//!
//! It is not signed and need not be: it proves itself against the block roots in the manifest,
//! and is of use only where it does. With it a verification names the first bad block.
//! `docs/decisions/0004-block-digests-sidecar.md`.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::manifest::Manifest;
use crate::tree::RootBuilder;

/// Where the block digests of the image with this manifest are.
pub fn path_of(manifest: &Path) -> PathBuf {
    manifest.with_extension("blocks")
}

/// The file's content: the digests of all blocks of all segments, in order, 32 bytes each.
pub fn to_bytes(digests: &[Digest]) -> Vec<u8> {
    digests
        .iter()
        .flat_map(|digest| digest.as_bytes().iter().copied())
        .collect()
}

/// Reads the block digests of every segment, if the file is there and proves itself.
pub fn read(path: &Path, manifest: &Manifest) -> Option<Vec<Vec<Digest>>> {
    let block_size = manifest.image.block_size;
    let blocks = |segment: &crate::manifest::Segment| u64::from(segment.block_count(block_size));
    let total = manifest
        .segments
        .iter()
        .map(blocks)
        .fold(0_u64, u64::saturating_add);
    let expected = total.checked_mul(u64::try_from(Digest::BYTES).ok()?)?;
    let mut file = File::open(path).ok()?;
    if file.metadata().ok()?.len() != expected {
        return None;
    }
    let mut proven = Vec::with_capacity(manifest.segments.len());
    for segment in &manifest.segments {
        let mut digests = Vec::with_capacity(usize::try_from(blocks(segment)).ok()?);
        let mut root = RootBuilder::new();
        for _ in 0..segment.block_count(block_size) {
            let mut bytes = [0; Digest::BYTES];
            file.read_exact(&mut bytes).ok()?;
            let digest = Digest::from_bytes(bytes);
            root.push(&digest);
            digests.push(digest);
        }
        if root.finish().0 != segment.block_root {
            return None;
        }
        proven.push(digests);
    }
    Some(proven)
}
