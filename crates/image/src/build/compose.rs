//! From open inputs to a whole image file and the manifest that describes it.
//!
//! Every input is read once, on its way into the image; its blocks are digested on a second
//! thread. The table comes next, because its GUIDs follow from those digests, and the digest of
//! the whole file starts with the table: so the finished file is read back, and what was read
//! back has to agree with what was read in.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread;

use super::error::BuildError;
use super::gpt;
use super::input::Input;
use super::layout::{Layout, Place, lay_out};
use super::outputs::Output;
use super::writer::{Build, Progress};
use crate::digest::Digest;
use crate::manifest::{Manifest, Role, Segment, SegmentKind, Table};
use crate::scan::{
    BlockHasher, Buffers, CHUNK_BYTES, Chunk, Holes, Scanned, is_zero, lane, lost, scan,
};
use crate::sidecar::{BlockTable, BlocksBuilder, SegmentBlocks};
use crate::state::StateHeader;

/// Runs of zeros of this length, in bytes, are not written: they stay holes.
const HOLE_BYTES: usize = 64 * 1024;

/// A finished image.
#[derive(Debug)]
pub(super) struct Composed {
    pub(super) manifest: Manifest,
    pub(super) blocks: BlockTable,
}

/// A segment in the image, and what its bytes were on their way there.
struct Placed {
    place: Place,
    root: Digest,
    blocks: SegmentBlocks,
}

/// Writes the image. `path` names it in errors.
pub(super) fn compose(
    build: &Build,
    inputs: &[Input],
    output: &mut Output,
    path: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Composed, BuildError> {
    let mut sizes: Vec<_> = inputs
        .iter()
        .map(|input| (input.kind, input.size))
        .collect();
    sizes.push((SegmentKind::State, StateHeader::BYTES as u64));
    let layout = lay_out(&sizes, build.table, build.state_bytes).map_err(BuildError::Format)?;
    let image = output.file();
    image
        .set_len(layout.image_bytes)
        .map_err(BuildError::io("extend", path))?;
    let mut placed = write_contents(build, inputs, &layout, image, path, progress)?;
    if build.table == Table::Gpt {
        let content: Vec<_> = placed
            .iter()
            .map(|placed| (placed.place, placed.root))
            .collect();
        gpt::write(image, &build.board, &content)?;
        for place in layout.of_role(Role::Table) {
            let mut bytes = vec![0; usize::try_from(place.size).unwrap_or(0)];
            image
                .read_exact_at(&mut bytes, place.offset)
                .map_err(BuildError::io("read", path))?;
            placed.push(digested(*place, build.block_size, &bytes));
        }
        placed.sort_by_key(|placed| placed.place.offset);
    }
    // Zero until it is known; the map of the image does not depend on it.
    let unknown = Digest::from_bytes([0; Digest::BYTES]);
    let mut manifest = Manifest {
        image: build.image_info(layout.image_bytes, unknown),
        segments: placed
            .iter()
            .map(|placed| segment(placed, unknown))
            .collect(),
    };
    let found = read_back(build, &manifest, image, path, progress)?;
    manifest.image.sha256 = found.whole;
    for (index, segment) in manifest.segments.iter_mut().enumerate() {
        segment.sha256 = *found.segments.get(index).unwrap_or(&unknown);
        if found.roots.get(index) != Some(&segment.block_root) {
            return Err(BuildError::ReadBack {
                segment: segment.kind.as_str(),
                path: path.display().to_string(),
                what: "does not hold what was written".to_owned(),
            });
        }
    }
    let blocks = placed.into_iter().map(|placed| placed.blocks).collect();
    Ok(Composed {
        manifest,
        blocks: BlockTable::new(blocks),
    })
}

fn segment(placed: &Placed, sha256: Digest) -> Segment {
    let place = &placed.place;
    Segment {
        name: place.kind.as_str().to_owned(),
        kind: place.kind,
        role: place.kind.role(),
        offset: place.offset,
        size: place.size,
        sha256,
        block_root: placed.root,
    }
}

fn write_contents(
    build: &Build,
    inputs: &[Input],
    layout: &Layout,
    image: &File,
    path: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Placed>, BuildError> {
    let total = layout.image_bytes;
    let mut placed = Vec::new();
    for place in layout
        .places
        .iter()
        .filter(|place| place.kind.role() != Role::Table)
    {
        let input = inputs.iter().find(|input| input.kind == place.kind);
        placed.push(match input {
            Some(input) => {
                let copied = copy(input, *place, build.block_size, image, path, &mut |done| {
                    progress(Progress::Writing { done, total });
                    build.check_stop()
                })?;
                input.check_unchanged()?;
                copied
            }
            None => {
                let header = build.state_header().encode();
                image
                    .write_all_at(&header, place.offset)
                    .map_err(BuildError::io("write", path))?;
                digested(*place, build.block_size, &header)
            }
        });
    }
    Ok(placed)
}

/// Copies an input into its place, and digests its blocks meanwhile.
fn copy(
    input: &Input,
    place: Place,
    block_size: u32,
    image: &File,
    path: &Path,
    each: &mut dyn FnMut(u64) -> Result<(), BuildError>,
) -> Result<Placed, BuildError> {
    thread::scope(|scope| {
        let (to_blocks, chunks) = lane();
        let blocks = scope.spawn(move || blocks(&chunks, block_size));
        let copied = (|| {
            let mut buffers = Buffers::default();
            let mut holes = Holes::of(&input.file);
            let mut offset = 0_u64;
            while offset < place.size {
                let left = place.size.saturating_sub(offset).min(CHUNK_BYTES as u64);
                let failed = BuildError::io("read", &input.path);
                let full = left == CHUNK_BYTES as u64;
                let bytes = match full.then(|| holes.zeros_at(offset)).flatten() {
                    Some(zeros) => zeros,
                    None => {
                        let mut bytes = buffers.take(usize::try_from(left).unwrap_or(CHUNK_BYTES));
                        let buffer = Arc::get_mut(&mut bytes).ok_or_else(|| failed(lost()))?;
                        input.read_exact_at(buffer, offset)?;
                        buffers.keep(Arc::clone(&bytes));
                        bytes
                    }
                };
                let chunk = Chunk {
                    offset,
                    bytes: Arc::clone(&bytes),
                };
                to_blocks.send(chunk).map_err(|_| failed(lost()))?;
                write_data(image, &bytes, place.offset.saturating_add(offset))
                    .map_err(BuildError::io("write", path))?;
                offset = offset.saturating_add(left);
                each(place.offset.saturating_add(offset))?;
            }
            Ok(())
        })();
        drop(to_blocks);
        let digested = blocks.join().map_err(|_| lost());
        copied?;
        let (root, blocks) = digested.map_err(BuildError::io("digest", &input.path))?;
        Ok(Placed {
            place,
            root,
            blocks,
        })
    })
}

/// Writes what is not zero.
fn write_data(image: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut at = offset;
    for piece in bytes.chunks(HOLE_BYTES) {
        if !is_zero(piece) {
            image.write_all_at(piece, at)?;
        }
        at = at.saturating_add(piece.len() as u64);
    }
    Ok(())
}

fn blocks(chunks: &Receiver<Chunk>, block_size: u32) -> (Digest, SegmentBlocks) {
    let mut hasher = BlockHasher::new(block_size);
    let mut blocks = BlocksBuilder::new(block_size);
    for chunk in chunks {
        hasher.update(&chunk.bytes, &mut |digest| blocks.push_digest(digest));
        blocks.update_checksums(&chunk.bytes);
    }
    let root = hasher.finish(&mut |digest| blocks.push_digest(digest));
    (root, blocks.finish())
}

fn digested(place: Place, block_size: u32, bytes: &[u8]) -> Placed {
    let mut hasher = BlockHasher::new(block_size);
    let mut blocks = BlocksBuilder::new(block_size);
    hasher.update(bytes, &mut |digest| blocks.push_digest(digest));
    blocks.update_checksums(bytes);
    let root = hasher.finish(&mut |digest| blocks.push_digest(digest));
    Placed {
        place,
        root,
        blocks: blocks.finish(),
    }
}

fn read_back(
    build: &Build,
    manifest: &Manifest,
    image: &File,
    path: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Scanned, BuildError> {
    let total = manifest.image.size;
    let mut stopped = Ok(());
    let scanned = scan(
        image,
        &manifest.regions(),
        build.block_size,
        total,
        &mut |done| {
            progress(Progress::Digesting { done, total });
            stopped = build.check_stop();
            match stopped {
                Ok(()) => Ok(()),
                Err(_) => Err(io::Error::other("stopped")),
            }
        },
    );
    stopped?;
    let scanned = scanned.map_err(BuildError::io("read", path))?;
    match scanned.stray {
        None => Ok(scanned),
        Some(offset) => Err(BuildError::ReadBack {
            segment: "gap",
            path: path.display().to_string(),
            what: format!("is not zero at offset {offset}"),
        }),
    }
}
