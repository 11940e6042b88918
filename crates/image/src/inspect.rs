//! What is in an image, for people: its map, its digests, its holes and its free room.
//!
//! Nothing is hashed and nothing is proven here: [`verify`](crate::verify) does that. An image
//! that is missing, short or damaged can still be looked at.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use crate::digest::Digest;
use crate::key::{Fingerprint, PublicKey};
use crate::manifest::Manifest;
use crate::regular;
use crate::state::StateHeader;
use crate::verify::{Files, VerifyError, read_manifest};

/// What an image holds, and where.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// What the manifest claims.
    pub manifest: Manifest,
    /// SHA-256 of the manifest's bytes.
    pub manifest_digest: Digest,
    /// The key that signed it, of those that were named.
    pub signed_by: Option<Fingerprint>,
    /// Every byte of the image once, in order: segments and gaps.
    pub map: Vec<Area>,
    /// The image file, if it is there.
    pub file: Option<ImageFile>,
}

/// A run of bytes in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// Its bytes in the image.
    pub range: Range<u64>,
    /// Index of the segment in the manifest; nothing for a gap.
    pub segment: Option<usize>,
    /// The partition that starts here, if the image file has a partition table.
    pub partition: Option<Partition>,
    /// Bytes from the segment's end to its partition's end: how much it may still grow where
    /// it is. 0 where there is no partition.
    pub free_bytes: u64,
    /// Bytes in this range that the file system keeps as data; the rest are holes. Nothing
    /// where the image file is missing.
    pub data_bytes: Option<u64>,
}

/// An entry of the partition table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// From 1.
    pub number: u32,
    /// As in the table; what is not printable ASCII is replaced by `?`.
    pub name: String,
    /// Its own GUID, as GUIDs are written.
    pub guid: String,
    /// Its bytes in the image.
    pub range: Range<u64>,
}

/// The image file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageFile {
    /// Its length, in bytes.
    pub bytes: u64,
    /// What it takes on its disk, in bytes: less where it has holes.
    pub disk_bytes: u64,
    /// Header of the state partition, if it is there and well-formed.
    pub state: Option<StateHeader>,
}

/// Looks at an image through its manifest. Without `keys` the signature is not looked at.
///
/// # Errors
/// When the manifest cannot be read or is not valid, when none of the `keys` that were named
/// signed it, or when an image that is there cannot be read.
pub fn inspect(files: &Files<'_>, keys: &[PublicKey]) -> Result<Inspection, VerifyError> {
    let read = read_manifest(files, keys, keys.is_empty())?;
    let failed = |op| {
        move |source| VerifyError::Io {
            op,
            path: files.image.to_owned(),
            source,
        }
    };
    let image = match regular::open(files.image) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        other => Some(other.map_err(failed("open"))?),
    };
    let manifest = read.manifest;
    let partitions = match &image {
        Some(image) => partitions(image).map_err(failed("read"))?,
        None => Vec::new(),
    };
    let mut map = Vec::new();
    for region in manifest.regions() {
        let partition = partitions
            .iter()
            .find(|partition| partition.range.start == region.range.start);
        let data_bytes = image.as_ref().map(|image| data_bytes(image, &region.range));
        map.push(Area {
            free_bytes: partition
                .map_or(0, |found| found.range.end.saturating_sub(region.range.end)),
            partition: partition.cloned(),
            data_bytes: data_bytes.transpose().map_err(failed("read"))?,
            segment: region.segment,
            range: region.range,
        });
    }
    let file = image
        .map(|image| image_file(&image, &manifest))
        .transpose()
        .map_err(failed("read"))?;
    Ok(Inspection {
        manifest,
        manifest_digest: read.manifest_digest,
        signed_by: read.signed_by,
        map,
        file,
    })
}

fn image_file(image: &File, manifest: &Manifest) -> io::Result<ImageFile> {
    let found = image.metadata()?;
    let state = manifest
        .segments
        .iter()
        .find(|s| s.kind == crate::SegmentKind::State);
    let mut header = vec![0; StateHeader::BYTES];
    let state = match state {
        Some(state) => image
            .read_exact_at(&mut header, state.offset)
            .ok()
            .and_then(|()| StateHeader::parse(&header).ok()),
        None => None,
    };
    Ok(ImageFile {
        bytes: found.len(),
        disk_bytes: found.blocks().saturating_mul(512),
        state,
    })
}

/// Bytes of `range` that are data and not holes.
fn data_bytes(image: &File, range: &Range<u64>) -> io::Result<u64> {
    let mut sum = 0_u64;
    let mut at = range.start;
    while at < range.end {
        let data = match seek(image, SeekFrom::Data(at)) {
            Ok(data) => data.min(range.end),
            // No data from here on, to the end of the file.
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        if data >= range.end {
            break;
        }
        let hole = seek(image, SeekFrom::Hole(data))?.min(range.end);
        sum = sum.saturating_add(hole.saturating_sub(data));
        if hole <= at {
            break;
        }
        at = hole;
    }
    Ok(sum)
}

/// The partitions of an image's primary table. Only for show: nothing relies on it, so its
/// checksums are left to `verify` and to the tools of the trade.
fn partitions(image: &File) -> io::Result<Vec<Partition>> {
    let mut table = vec![0; TABLE_BYTES];
    match image.read_exact_at(&mut table, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Vec::new()),
        other => other?,
    }
    if table.get(SIGNATURE) != Some(b"EFI PART".as_slice()) {
        return Ok(Vec::new());
    }
    let entries = table.get(ENTRIES).unwrap_or_default();
    let (entries, _) = entries.as_chunks::<ENTRY_BYTES>();
    Ok((1_u32..)
        .zip(entries)
        .filter_map(|(number, entry)| partition(number, entry))
        .collect())
}

fn partition(number: u32, entry: &[u8; ENTRY_BYTES]) -> Option<Partition> {
    let kind = entry.get(..16)?;
    if kind.iter().all(|byte| *byte == 0) {
        return None;
    }
    let number_at = |at: Range<usize>| Some(u64::from_le_bytes(entry.get(at)?.try_into().ok()?));
    let (first, last) = (number_at(32..40)?, number_at(40..48)?);
    let (units, _) = entry.get(56..)?.as_chunks::<2>();
    let name = units
        .iter()
        .map(|unit| u16::from_le_bytes(*unit))
        .take_while(|unit| *unit != 0)
        .map(|unit| match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii_graphic() => char::from(byte),
            _ => '?',
        })
        .collect();
    Some(Partition {
        number,
        name,
        guid: guid_text(entry.get(16..32)?),
        range: first.saturating_mul(SECTOR_BYTES)
            ..last.saturating_add(1).saturating_mul(SECTOR_BYTES),
    })
}

/// The first three fields lie little-endian on a disk and are written big-endian.
fn guid_text(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(36);
    for at in [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15] {
        if matches!(text.len(), 8 | 13 | 18 | 23) {
            text.push('-');
        }
        let _ = write!(text, "{:02x}", bytes.get(at).unwrap_or(&0));
    }
    text
}

const SECTOR_BYTES: u64 = 512;
const ENTRY_BYTES: usize = 128;
const TABLE_BYTES: usize = 34 * 512;
const SIGNATURE: Range<usize> = 512..520;
const ENTRIES: Range<usize> = 1024..TABLE_BYTES;
