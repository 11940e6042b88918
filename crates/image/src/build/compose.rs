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

use super::blocks::{BlockFile, Numbers};
use super::check::Check;
use super::copy::{copy, digest_blocks};
use super::error::BuildError;
use super::gpt;
use super::input::Input;
use super::layout::{Place, SECTOR_BYTES, lay_out};
use super::writer::{Build, Progress};
use crate::boot_record::{self, BootRecord, SlotContents};
use crate::digest::Digest;
use crate::manifest::{Manifest, ManifestError, Role, Segment, SegmentKind, Slots, Table};
use crate::scan::{Lane, Segments, Whole, scan};
use crate::state::StateHeader;

/// A segment in the image, and what its bytes were on their way there.
struct Placed {
    place: Place,
    blocks: Numbers,
    root: Digest,
}

/// Where what is made goes, and its name in errors.
type To<'a> = (&'a mut File, &'a Path);

/// Writes the image and its block digests; returns its manifest.
pub(super) fn compose(
    build: &Build,
    inputs: &[Input],
    (image, path): To<'_>,
    (blocks, blocks_path): To<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Manifest, BuildError> {
    let mut sizes: Vec<_> = inputs
        .iter()
        .map(|input| (input.kind, input.size))
        .collect();
    if build.slots == Slots::Two {
        sizes.push((SegmentKind::BootRecord, boot_record::SEGMENT_BYTES as u64));
    }
    sizes.push((SegmentKind::State, StateHeader::BYTES as u64));
    sizes.sort_by_key(|(kind, _)| *kind);
    let layout = lay_out(&sizes, build.rooms()).map_err(BuildError::Format)?;
    image
        .set_len(layout.image_bytes)
        .map_err(BuildError::io("extend", path))?;
    let mut total = 0_u64;
    let mut numbered = Vec::new();
    for place in &layout.places {
        let count = place.size.div_ceil(u64::from(build.block_size.max(1)));
        let first = total;
        total = total.saturating_add(count);
        numbered.push((*place, Numbers { first, count }));
    }
    let file = BlockFile::new(blocks, blocks_path, total);
    let (tables, contents): (Vec<_>, Vec<_>) = numbered
        .into_iter()
        .partition(|(place, _)| place.kind.role() == Role::Table);
    let total = layout.image_bytes;
    let mut writing = |done| {
        progress(Progress::Writing { done, total });
        build.check_stop()
    };
    let mut placed = Vec::new();
    for segment in contents {
        write_content(build, inputs, segment, (image, path), file, &mut writing)?;
        placed.push(Placed::new(segment, file)?);
    }
    if build.table == Table::Gpt {
        let content: Vec<_> = placed
            .iter()
            .map(|placed| (placed.place, placed.root))
            .collect();
        let slots = (build.slots, layout.empty.as_slice());
        gpt::write((image, path), &build.board, &content, slots)?;
    }
    for (place, numbers) in tables {
        let mut bytes = vec![0; usize::try_from(place.size).unwrap_or(0)];
        image
            .read_exact_at(&mut bytes, place.offset)
            .map_err(BuildError::io("read", path))?;
        file.put(numbers.first, &digested(build, &bytes))?;
        placed.push(Placed::new((place, numbers), file)?);
    }
    placed.sort_by_key(|placed| placed.place.offset);
    // Zero until it is known; the map of the image does not depend on it.
    let unknown = Digest::from_bytes([0; Digest::BYTES]);
    let mut manifest = Manifest {
        image: build.image_info(layout.image_bytes, unknown),
        segments: placed
            .iter()
            .map(|placed| segment(placed, unknown))
            .collect(),
    };
    let check = Check::of(
        &file,
        placed.iter().map(|placed| placed.blocks),
        build.block_size,
    );
    let (whole, segments) = read_back(build, &manifest, check, (image, path), progress)?;
    manifest.image.sha256 = whole;
    for (segment, sha256) in manifest.segments.iter_mut().zip(segments) {
        segment.sha256 = sha256;
    }
    Ok(manifest)
}

impl Placed {
    fn new((place, blocks): (Place, Numbers), file: BlockFile<'_>) -> Result<Self, BuildError> {
        let root = file.root(blocks)?;
        Ok(Self {
            place,
            blocks,
            root,
        })
    }
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

/// Writes a segment that is no table.
fn write_content(
    build: &Build,
    inputs: &[Input],
    (place, numbers): (Place, Numbers),
    (image, path): (&File, &Path),
    blocks: BlockFile<'_>,
    writing: &mut dyn FnMut(u64) -> Result<(), BuildError>,
) -> Result<(), BuildError> {
    let Some(input) = inputs.iter().find(|input| input.kind == place.kind) else {
        let own = match place.kind {
            SegmentKind::BootRecord => first_record(inputs)?.segment(),
            _ => build.state_header().encode(),
        };
        image
            .write_all_at(&own, place.offset)
            .map_err(BuildError::io("write", path))?;
        return blocks.put(numbers.first, &digested(build, &own));
    };
    let each = &mut |done| writing(place.offset.saturating_add(done));
    let blocks = (blocks, numbers.first);
    copy(input, place, build.block_size, (image, path), blocks, each)?;
    input.check_unchanged()
}

/// The record of a disk that holds these inputs in slot a, and whose manifest is not known yet:
/// it has the digest of the record in it.
fn first_record(inputs: &[Input]) -> Result<BootRecord, BuildError> {
    let sectors = |kind| {
        let size = inputs.iter().find(|input| input.kind == kind);
        let sectors = size.map_or(0, |input| input.size.div_ceil(SECTOR_BYTES));
        u32::try_from(sectors).map_err(|_| {
            BuildError::Format(ManifestError::Bounds {
                member: "size",
                rule: "at most 256 GiB",
            })
        })
    };
    Ok(BootRecord::first(SlotContents {
        kernel_sectors: sectors(SegmentKind::Kernel)?,
        initrd_sectors: sectors(SegmentKind::Initrd)?,
        manifest: None,
    }))
}

fn digested(build: &Build, bytes: &[u8]) -> Vec<(Digest, u32)> {
    digest_blocks(
        bytes,
        usize::try_from(build.block_size)
            .unwrap_or(usize::MAX)
            .max(1),
    )
}

/// Digests the image and its segments, which have to hold the blocks that were written.
fn read_back(
    build: &Build,
    manifest: &Manifest,
    check: Check<'_>,
    (image, path): (&File, &Path),
    progress: &mut dyn FnMut(Progress),
) -> Result<(Digest, Vec<Digest>), BuildError> {
    let total = manifest.image.size;
    let regions = manifest.regions();
    let mut whole = Whole::default();
    let mut lane = (Segments::of(&regions), check);
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
    let (segments, check) = lane;
    let (segments, stray) = segments.finish();
    if let Some(offset) = stray {
        return Err(differs("gap", format!("is not zero at offset {offset}")));
    }
    match check
        .finish()
        .map_err(BuildError::io("read the blocks of", path))?
    {
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
