use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::burst::candidates;
use crate::digest::Digest;
use crate::manifest::{Manifest, Segment};
use crate::scan::is_zero;
use crate::sidecar::{BlockTable, SegmentBlocks, path_of};

/// Where a segment stops being what the manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// Index of the first bad block in its segment, and its offset in the image, if the block
    /// digests are at hand, or the segment has only one.
    pub block: Option<(u32, u64)>,
    /// How many blocks of the segment are bad, if the block digests are at hand.
    pub bad_blocks: Option<u32>,
    /// What the first bad block looks like, or the segment where the block is not known.
    pub looks: Looks,
}

/// What damage looks like. Offsets are in the image.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Looks {
    /// The file ends before, or in the middle.
    Truncated,
    /// Nothing but zeros: a hole, or a write that never came.
    Zeros,
    /// Nothing but 0xff: erased flash.
    Erased,
    /// The bytes of another block of this image.
    OtherBlock {
        /// Name of its segment.
        segment: String,
        /// Its index there.
        block: u32,
    },
    /// One bit is not what it was. Proven: with it turned, the digest is right.
    BitFlip {
        /// The byte.
        offset: u64,
        /// The bit, from the lowest, 0.
        bit: u8,
    },
    /// A few bytes are not what they were. Proven: with them put back, the digest is right.
    Bytes {
        /// The first of them.
        offset: u64,
        /// What was there.
        want: Vec<u8>,
        /// What is.
        got: Vec<u8>,
    },
    /// Something else.
    Changed,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.block {
            Some((block, offset)) => write!(f, "first in block {block}, at offset {offset}")?,
            None => write!(f, "somewhere (no block digests beside the manifest)")?,
        }
        if let Some(bad) = self.bad_blocks {
            write!(f, " ({bad} bad in all)")?;
        }
        write!(f, "; looks like {}", self.looks)
    }
}

impl fmt::Display for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("a truncated file"),
            Self::Zeros => f.write_str("zeros: a hole, or a write that never came"),
            Self::Erased => f.write_str("erased flash (all 0xff)"),
            Self::OtherBlock { segment, block } => {
                write!(f, "block {block} of segment {segment} in its place")
            }
            Self::BitFlip { offset, bit } => {
                write!(f, "a single flipped bit: bit {bit} of the byte at {offset}")
            }
            Self::Bytes { offset, want, got } => {
                write!(
                    f,
                    "a few changed bytes at {offset}: {got:02x?} where {want:02x?} was"
                )
            }
            Self::Changed => f.write_str("changed bytes"),
        }
    }
}

/// Finds the first bad block of a segment that is bad, and says what the damage looks like.
pub(super) fn locate(
    image: &File,
    manifest_path: &Path,
    manifest: &Manifest,
    index: usize,
) -> io::Result<Damage> {
    let table = BlockTable::read(&path_of(manifest_path), manifest);
    let Some(segment) = manifest.segments.get(index) else {
        return Ok(unlocated(Looks::Changed));
    };
    let own = table.as_ref().and_then(|table| table.segments().get(index));
    match (&table, own) {
        (Some(table), Some(own)) => with_table(image, manifest, segment, table, own),
        _ => without_table(image, manifest, segment),
    }
}

fn with_table(
    image: &File,
    manifest: &Manifest,
    segment: &Segment,
    table: &BlockTable,
    own: &SegmentBlocks,
) -> io::Result<Damage> {
    let block_size = manifest.image.block_size;
    let mut first = None;
    let mut bad = 0_u32;
    let mut zeros = Zeros::default();
    for (block, (want, checksum)) in (0_u32..).zip(own.digests().iter().zip(own.checksums())) {
        let range = segment.block_range(block, block_size);
        let offset = segment.offset.saturating_add(range.start);
        let bytes = read_some(image, segment.block_len(block, block_size), offset)?;
        let got = zeros.digest(&bytes);
        if got == *want {
            continue;
        }
        bad = bad.saturating_add(1);
        if first.is_none() {
            let whole = bytes.len() as u64 == range.end.saturating_sub(range.start);
            let looks = match whole {
                false => Looks::Truncated,
                true => plain(&bytes)
                    .or_else(|| other_block(table, manifest, &got))
                    .or_else(|| burst(&bytes, offset, want, *checksum))
                    .unwrap_or(Looks::Changed),
            };
            first = Some(((block, offset), looks));
        }
    }
    Ok(match first {
        Some((block, looks)) => Damage {
            block: Some(block),
            bad_blocks: Some(bad),
            looks,
        },
        // Its blocks are good now: somebody is writing to the file.
        None => unlocated(Looks::Changed),
    })
}

/// Digests blocks; those of zeros, of which holes have many, only once.
#[derive(Debug, Default)]
struct Zeros(Option<(usize, Digest)>);

impl Zeros {
    fn digest(&mut self, bytes: &[u8]) -> Digest {
        if !is_zero(bytes) {
            return Digest::of(bytes);
        }
        match self.0 {
            Some((len, digest)) if len == bytes.len() => digest,
            _ => self.0.insert((bytes.len(), Digest::of(bytes))).1,
        }
    }
}

/// Roots and digests alone do not tell which block of several is bad.
fn without_table(image: &File, manifest: &Manifest, segment: &Segment) -> io::Result<Damage> {
    let mut seen = Seen::default();
    let mut short = false;
    let block_size = manifest.image.block_size;
    let count = segment.block_count(block_size);
    for block in 0..count {
        let start = segment.block_range(block, block_size).start;
        let len = segment.block_len(block, block_size);
        let bytes = read_some(image, len, segment.offset.saturating_add(start))?;
        short = bytes.len() < usize::try_from(len).unwrap_or(usize::MAX);
        seen.add(&bytes);
        if short {
            break;
        }
    }
    let looks = if short {
        Looks::Truncated
    } else {
        seen.looks().unwrap_or(Looks::Changed)
    };
    let mut damage = unlocated(looks);
    damage.block = (count == 1).then_some((0, segment.offset));
    Ok(damage)
}

fn unlocated(looks: Looks) -> Damage {
    Damage {
        block: None,
        bad_blocks: None,
        looks,
    }
}

/// Whether some bytes are all the same of the two values that damage leaves.
#[derive(Debug, Default)]
struct Seen {
    other_than_zeros: bool,
    other_than_ones: bool,
}

impl Seen {
    fn add(&mut self, bytes: &[u8]) {
        self.other_than_zeros |= !is_zero(bytes);
        self.other_than_ones |= bytes.iter().any(|byte| *byte != 0xff);
    }

    fn looks(&self) -> Option<Looks> {
        match (self.other_than_zeros, self.other_than_ones) {
            (false, _) => Some(Looks::Zeros),
            (_, false) => Some(Looks::Erased),
            _ => None,
        }
    }
}

fn plain(bytes: &[u8]) -> Option<Looks> {
    let mut seen = Seen::default();
    seen.add(bytes);
    seen.looks()
}

fn other_block(table: &BlockTable, manifest: &Manifest, got: &Digest) -> Option<Looks> {
    let mut named = manifest.segments.iter().zip(table.segments());
    named.find_map(|(segment, blocks)| {
        let block = blocks.digests().iter().position(|digest| digest == got)?;
        Some(Looks::OtherBlock {
            segment: segment.name.clone(),
            block: u32::try_from(block).ok()?,
        })
    })
}

/// A short run of changed bytes: the checksum proposes, the digest decides.
fn burst(bytes: &[u8], offset: u64, want: &Digest, checksum: u32) -> Option<Looks> {
    /// A checksum that somebody chose could propose every byte of the block.
    const TRIED_MAX: usize = 4_096;
    let proposed = candidates(bytes.len(), checksum, crc32fast::hash(bytes));
    let mut copy = bytes.to_vec();
    for (at, pattern) in proposed.into_iter().take(TRIED_MAX) {
        let last = pattern.iter().rposition(|byte| *byte != 0)?;
        let turn = |copy: &mut [u8]| {
            let bytes = copy.iter_mut().skip(at);
            bytes
                .zip(pattern)
                .for_each(|(byte, change)| *byte ^= change);
        };
        turn(&mut copy);
        if Digest::of(&copy) != *want {
            turn(&mut copy);
            continue;
        }
        let offset = offset.saturating_add(at as u64);
        let run = at..at.saturating_add(last).saturating_add(1);
        let one = pattern.iter().map(|byte| byte.count_ones()).sum::<u32>() == 1;
        return Some(match one {
            true => Looks::BitFlip {
                offset,
                bit: u8::try_from(pattern.first()?.trailing_zeros()).ok()?,
            },
            false => Looks::Bytes {
                offset,
                want: copy.get(run.clone())?.to_vec(),
                got: bytes.get(run)?.to_vec(),
            },
        });
    }
    None
}

/// As much of `len` bytes at `offset` as there is.
fn read_some(image: &File, len: u32, offset: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    let mut had = 0_usize;
    while let Some(rest) = bytes.get_mut(had..).filter(|rest| !rest.is_empty()) {
        match image.read_at(rest, offset.saturating_add(had as u64)) {
            Ok(0) => break,
            Ok(count) => had = had.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(had);
    Ok(bytes)
}
