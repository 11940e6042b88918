//! From open inputs to a whole image file and the manifest that describes it.
//!
//! Every input is read once, on its way into the image, and its blocks are digested. The table
//! comes next, because its GUIDs follow from those digests, and the digest of the whole file
//! starts with the table: so the finished file is read back, and what was read back has to agree
//! with what was read in, block by block.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::check::Checksums;
use super::copy::{copy, digest_blocks};
use super::error::BuildError;
use super::gpt;
use super::input::Input;
use super::layout::{Layout, Place, lay_out};
use super::outputs::Output;
use super::writer::{Build, Progress};
use crate::digest::Digest;
use crate::manifest::{Manifest, Role, Segment, SegmentKind, Table};
use crate::scan::{Lane, Segments, Whole, scan};
use crate::sidecar::{BlockTable, SegmentBlocks};
use crate::state::StateHeader;

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

impl Placed {
    fn new(place: Place, blocks: SegmentBlocks) -> Self {
        let root = blocks.root();
        Self {
            place,
            root,
            blocks,
        }
    }
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
    let blocks = BlockTable::new(placed.into_iter().map(|placed| placed.blocks).collect());
    let (whole, segments) = read_back(build, &manifest, &blocks, (image, path), progress)?;
    manifest.image.sha256 = whole;
    for (segment, sha256) in manifest.segments.iter_mut().zip(segments) {
        segment.sha256 = sha256;
    }
    Ok(Composed { manifest, blocks })
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
                let each = &mut |done| {
                    let done = place.offset.saturating_add(done);
                    progress(Progress::Writing { done, total });
                    build.check_stop()
                };
                let blocks = copy(input, *place, build.block_size, (image, path), each)?;
                input.check_unchanged()?;
                Placed::new(*place, blocks)
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

fn digested(place: Place, block_size: u32, bytes: &[u8]) -> Placed {
    let mut blocks = SegmentBlocks::default();
    let block_size = usize::try_from(block_size).unwrap_or(usize::MAX).max(1);
    digest_blocks(bytes, block_size)
        .into_iter()
        .for_each(|block| blocks.push(block));
    Placed::new(place, blocks)
}

/// Digests the image and its segments, which have to hold the blocks that were written.
fn read_back(
    build: &Build,
    manifest: &Manifest,
    blocks: &BlockTable,
    (image, path): (&File, &Path),
    progress: &mut dyn FnMut(Progress),
) -> Result<(Digest, Vec<Digest>), BuildError> {
    let total = manifest.image.size;
    let regions = manifest.regions();
    let mut whole = Whole::default();
    let mut lane = (
        Segments::of(&regions),
        Checksums::of(blocks, build.block_size),
    );
    let mut stopped = Ok(());
    let lanes: &mut [&mut dyn Lane] = &mut [&mut whole, &mut lane];
    let scanned = scan(image, total, &regions, lanes, &mut |done| {
        progress(Progress::Digesting { done, total });
        stopped = build.check_stop();
        match stopped {
            Ok(()) => Ok(()),
            Err(_) => Err(io::Error::other("stopped")),
        }
    });
    stopped?;
    scanned.map_err(BuildError::io("read", path))?;
    let differs = |segment, what| BuildError::ReadBack {
        segment,
        path: path.display().to_string(),
        what,
    };
    let (segments, checksums) = lane;
    let (segments, stray) = segments.finish();
    if let Some(offset) = stray {
        return Err(differs("gap", format!("is not zero at offset {offset}")));
    }
    match checksums.finish() {
        None => Ok((whole.finish(), segments)),
        Some((index, block)) => {
            let segment = manifest
                .segments
                .get(index)
                .map(|found| found.kind.as_str());
            let what = format!("does not hold what was written to block {block}");
            Err(differs(segment.unwrap_or("image"), what))
        }
    }
}
