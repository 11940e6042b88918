//! Verification: every byte of an image is under the signature, or is zero.
//!
//! Segments and gaps tile the image exactly. A failure names the segment and, where the block
//! digests lie beside the manifest, the first bad block and what the damage looks like.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::key::{Fingerprint, PublicKey};
use crate::limits::MANIFEST_BYTES_MAX;
use crate::manifest::{Manifest, ManifestError, Segment};
use crate::sidecar;
use crate::signature::{SignedError, open_signed};

const CHUNK_BYTES: u64 = 1 << 20;

/// What was proven.
#[derive(Clone, Debug)]
pub struct Verified {
    /// What the manifest says, all of it true.
    pub manifest: Manifest,
    /// SHA-256 of the manifest's bytes.
    pub manifest_digest: Digest,
    /// The key that signed; nothing when an unsigned image was allowed.
    pub signed_by: Option<Fingerprint>,
}

/// Where an image stops being what its manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Index of the first bad block in its segment, and its offset in the image, if the block
    /// digests are at hand.
    pub block: Option<(u32, u64)>,
    /// What it looks like.
    pub looks_like: &'static str,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.block {
            Some((block, offset)) => write!(f, "first in block {block}, at offset {offset}")?,
            None => write!(f, "somewhere (no block digests beside the manifest)")?,
        }
        write!(f, "; looks like {}", self.looks_like)
    }
}

/// Why an image is not good.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The signature is missing, of the wrong length, or of none of the keys.
    #[error("not signed by the key that was named")]
    Signature(#[source] SignedError),
    /// The manifest is not valid.
    #[error("the manifest is not valid")]
    Manifest(#[source] ManifestError),
    /// The image has another length.
    #[error("the image has {got} bytes, its manifest says {want}: {}", if got < want { "truncated" } else { "something trails" })]
    Length {
        /// Its length in bytes.
        got: u64,
        /// What the manifest says.
        want: u64,
    },
    /// A segment is not what was signed.
    #[error("segment {segment} is damaged: {damage}")]
    Segment {
        /// Its name.
        segment: String,
        /// Where and how.
        damage: Damage,
    },
    /// Bytes between the segments are not zero.
    #[error("bytes that belong to no segment are not zero, first at offset {offset}")]
    Gap {
        /// The first of them.
        offset: u64,
    },
    /// Every segment is good and the image's own digest is not: the manifest contradicts itself.
    #[error("the digest of the whole image differs")]
    Image,
    /// The operating system refused.
    #[error("{op} {} failed", path.display())]
    Io {
        /// What was done.
        op: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The files of an image.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// The image.
    pub image: &'a Path,
    /// Its manifest.
    pub manifest: &'a Path,
    /// The manifest's signature.
    pub signature: &'a Path,
}

/// Reads a manifest and checks its signature.
///
/// # Errors
/// When a file cannot be read, no key of `keys` signed, or the manifest is not valid.
pub fn read_manifest(
    files: &Files<'_>,
    keys: &[PublicKey],
    allow_unsigned: bool,
) -> Result<Verified, VerifyError> {
    let raw = read(files.manifest, MANIFEST_BYTES_MAX)?;
    let manifest_digest = Manifest::digest_of(&raw);
    if keys.is_empty() && allow_unsigned {
        let manifest = Manifest::parse(&raw).map_err(VerifyError::Manifest)?;
        return Ok(Verified {
            manifest,
            manifest_digest,
            signed_by: None,
        });
    }
    // One byte more than a signature has, so that what trails is noticed.
    let signature = read(files.signature, crate::limits::SIGNATURE_BYTES)?;
    match open_signed(&raw, &signature, keys) {
        Ok((manifest, by)) => Ok(Verified {
            manifest,
            manifest_digest,
            signed_by: Some(by),
        }),
        Err(SignedError::Manifest(error)) => Err(VerifyError::Manifest(error)),
        Err(error) => Err(VerifyError::Signature(error)),
    }
}

/// Proves an image against its signed manifest; `progress` gets bytes done and in all.
///
/// # Errors
/// What is not as it was signed.
pub fn verify(
    files: &Files<'_>,
    keys: &[PublicKey],
    allow_unsigned: bool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Verified, VerifyError> {
    let verified = read_manifest(files, keys, allow_unsigned)?;
    let manifest = &verified.manifest;
    let failed = |op| {
        move |source| VerifyError::Io {
            op,
            path: files.image.to_owned(),
            source,
        }
    };
    let file = File::open(files.image).map_err(failed("open"))?;
    let got = file.metadata().map_err(failed("look at"))?.len();
    let want = manifest.image.size;
    let mut whole = Digest::hasher();
    let mut at = 0;
    let mut buffer = vec![0; usize::try_from(CHUNK_BYTES).unwrap_or(0)];
    // A short or long image is still looked at, so that the first damage is named.
    let end = got.min(want);
    for segment in &manifest.segments {
        let mut each = |offset: u64, chunk: &[u8]| {
            whole.update(chunk);
            progress(offset, want);
        };
        check_gap(&file, at, segment.offset.min(end), &mut buffer, &mut each)
            .map_err(failed("read"))?
            .map_or(Ok(()), |offset| Err(VerifyError::Gap { offset }))?;
        let mut hasher = Digest::hasher();
        let (from, to) = (segment.offset.min(end), segment.end().min(end));
        read_range(&file, from, to, &mut buffer, &mut |offset, chunk| {
            hasher.update(chunk);
            each(offset, chunk);
            true
        })
        .map_err(failed("read"))?;
        if hasher.finish() != segment.sha256 {
            let damage = locate(&file, files, manifest, segment).map_err(failed("read"))?;
            return Err(VerifyError::Segment {
                segment: segment.name.clone(),
                damage,
            });
        }
        at = segment.end();
    }
    let mut each = |offset: u64, chunk: &[u8]| {
        whole.update(chunk);
        progress(offset, want);
    };
    check_gap(&file, at.min(end), end, &mut buffer, &mut each)
        .map_err(failed("read"))?
        .map_or(Ok(()), |offset| Err(VerifyError::Gap { offset }))?;
    if got != want {
        return Err(VerifyError::Length { got, want });
    }
    if whole.finish() != manifest.image.sha256 {
        return Err(VerifyError::Image);
    }
    Ok(verified)
}

/// The first byte of a range that is not zero.
fn check_gap(
    file: &File,
    from: u64,
    to: u64,
    buffer: &mut [u8],
    each: &mut dyn FnMut(u64, &[u8]),
) -> io::Result<Option<u64>> {
    let mut found = None;
    read_range(file, from, to, buffer, &mut |offset, chunk| {
        each(offset, chunk);
        if let Some(at) = chunk.iter().position(|byte| *byte != 0) {
            found = Some(offset.saturating_add(u64::try_from(at).unwrap_or(0)));
        }
        found.is_none()
    })?;
    Ok(found)
}

/// Hands over a range in chunks, until told to stop.
fn read_range(
    file: &File,
    from: u64,
    to: u64,
    buffer: &mut [u8],
    each: &mut dyn FnMut(u64, &[u8]) -> bool,
) -> io::Result<()> {
    let mut at = from;
    while at < to {
        let want = usize::try_from(to.saturating_sub(at).min(CHUNK_BYTES)).unwrap_or(0);
        let Some(chunk) = buffer.get_mut(..want) else {
            break;
        };
        file.read_exact_at(chunk, at)?;
        if !each(at, chunk) {
            break;
        }
        at = at.saturating_add(u64::try_from(want).unwrap_or(0));
    }
    Ok(())
}

/// Finds the first bad block, and says what the damage looks like.
fn locate(
    file: &File,
    files: &Files<'_>,
    manifest: &Manifest,
    segment: &Segment,
) -> io::Result<Damage> {
    let index = manifest
        .segments
        .iter()
        .position(|other| other.name == segment.name);
    let digests = sidecar::read(&sidecar::path_of(files.manifest), manifest);
    let own = digests
        .as_ref()
        .zip(index)
        .and_then(|(all, index)| all.get(index));
    let Some(own) = own else {
        let size = file.metadata()?.len();
        let cut = size < segment.end();
        let looks_like = if cut {
            "a truncated file"
        } else {
            "changed bytes"
        };
        return Ok(Damage {
            block: None,
            looks_like,
        });
    };
    let block_size = manifest.image.block_size;
    let mut buffer = vec![0; usize::try_from(block_size).unwrap_or(0)];
    for (block, want) in (0_u32..).zip(own) {
        let range = segment.block_range(block, block_size);
        let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
        let Some(bytes) = buffer.get_mut(..len) else {
            break;
        };
        let had = read_some(file, bytes, range.start)?;
        let bytes = bytes.get(..had).unwrap_or_default();
        if had == len && Digest::of(bytes) == *want {
            continue;
        }
        let looks_like = if had < len {
            "a truncated file"
        } else if bytes.iter().all(|byte| *byte == 0) {
            "zeros: a hole, or a write that never came"
        } else if bytes.iter().all(|byte| *byte == 0xff) {
            "erased flash (all 0xff)"
        } else if digests
            .iter()
            .flatten()
            .flatten()
            .any(|other| *other == Digest::of(bytes))
        {
            "another block of this image in its place"
        } else if is_one_bit_off(bytes, want) {
            "a single flipped bit"
        } else {
            "changed bytes"
        };
        return Ok(Damage {
            block: Some((block, range.start)),
            looks_like,
        });
    }
    Ok(Damage {
        block: None,
        looks_like: "changed bytes",
    })
}

/// Tries every single bit of small blocks; larger ones would take minutes.
fn is_one_bit_off(bytes: &[u8], want: &Digest) -> bool {
    const TRIED_BYTES_MAX: usize = 4 * 1_024;
    if bytes.len() > TRIED_BYTES_MAX {
        return false;
    }
    let mut copy = bytes.to_vec();
    (0..copy.len()).any(|at| {
        (0..8).any(|bit| {
            let flip = |copy: &mut Vec<u8>| {
                if let Some(byte) = copy.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            };
            flip(&mut copy);
            let matches = Digest::of(&copy) == *want;
            flip(&mut copy);
            matches
        })
    })
}

fn read_some(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut had = 0;
    while let Some(rest) = buffer.get_mut(had..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(u64::try_from(had).unwrap_or(0));
        match file.read_at(rest, at)? {
            0 => break,
            count => had = had.saturating_add(count),
        }
    }
    Ok(had)
}

/// Reads a small file, and one byte more than it may have.
fn read(path: &Path, max: usize) -> Result<Vec<u8>, VerifyError> {
    use std::io::Read as _;
    let failed = |op| {
        move |source| VerifyError::Io {
            op,
            path: path.to_owned(),
            source,
        }
    };
    let mut bytes = Vec::new();
    let limit = u64::try_from(max).unwrap_or(0).saturating_add(1);
    let file = File::open(path).map_err(failed("open"))?;
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(failed("read"))?;
    Ok(bytes)
}
