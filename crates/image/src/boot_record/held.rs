use alloc::vec::Vec;
use core::ops::Range;

use super::{BootRecordError, HELD_HEADER_BYTES};
use crate::limits::{MANIFEST_BYTES_MAX, SIGNATURE_BYTES};

/// The manifest of what a slot holds, with its signature, as they lie in the boot record's
/// partition. Layout, little-endian:
///
/// | bytes | field |
/// |---|---|
/// | 0..8 | magic, `NXHELD01` |
/// | 8..12 | length of the manifest, in bytes |
/// | 12..16 | length of the signature, in bytes: 64, or 0 without one |
/// | 16..20 | CRC-32 (IEEE) over bytes 0..16, the manifest and the signature |
/// | 20..24 | zero |
/// | 24.. | the manifest, then the signature |
///
/// The checksum tells what is torn, and nothing else: whether the manifest is to be trusted is
/// what the signature says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldManifest {
    /// The manifest's bytes, as signed.
    pub manifest: Vec<u8>,
    /// The signature's bytes; none where unsigned images are taken.
    pub signature: Vec<u8>,
}

impl HeldManifest {
    /// The first bytes.
    pub const MAGIC: [u8; 8] = *b"NXHELD01";

    /// How many bytes a manifest area has that starts with these
    /// [`HELD_HEADER_BYTES`]: at most [`HELD_BYTES_MAX`](super::HELD_BYTES_MAX).
    ///
    /// # Errors
    /// When they are no header. No input makes this panic.
    pub fn total_bytes(header: &[u8]) -> Result<usize, BootRecordError> {
        let (manifest, signature) = lengths(header)?;
        Ok(HELD_HEADER_BYTES
            .saturating_add(manifest)
            .saturating_add(signature))
    }

    /// Reads an area from its start; what lies behind the signature does not matter.
    ///
    /// # Errors
    /// When it is torn, or something else. No input makes this panic.
    pub fn parse(bytes: &[u8]) -> Result<Self, BootRecordError> {
        let want = Self::total_bytes(bytes)?;
        let (manifest, _) = lengths(bytes)?;
        let content = bytes.get(HELD_HEADER_BYTES..want);
        let content = content.ok_or(BootRecordError::Length {
            got: bytes.len(),
            want,
        })?;
        if number(bytes, CRC) != Some(crc(bytes, content)) {
            return Err(BootRecordError::Crc);
        }
        let (manifest, signature) = content.split_at_checked(manifest).unwrap_or_default();
        Ok(Self {
            manifest: manifest.into(),
            signature: signature.into(),
        })
    }

    /// The bytes of the area, without what is left of its room.
    ///
    /// # Errors
    /// When manifest or signature have a length that none has.
    pub fn encode(&self) -> Result<Vec<u8>, BootRecordError> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
        let mut bytes = Vec::new();
        bytes.extend(Self::MAGIC);
        bytes.extend(length(&self.manifest));
        bytes.extend(length(&self.signature));
        bytes.extend([0; 8]);
        lengths(&bytes)?;
        bytes.extend(&self.manifest);
        bytes.extend(&self.signature);
        let content = bytes.get(HELD_HEADER_BYTES..).unwrap_or_default();
        let crc = crc(&bytes, content).to_le_bytes();
        if let Some(field) = bytes.get_mut(CRC) {
            field.copy_from_slice(&crc);
        }
        Ok(bytes)
    }
}

const MAGIC: Range<usize> = 0..8;
const MANIFEST: Range<usize> = 8..12;
const SIGNATURE: Range<usize> = 12..16;
const CRC: Range<usize> = 16..20;
const RESERVED: Range<usize> = 20..24;

/// Lengths of manifest and signature, within their bounds.
fn lengths(header: &[u8]) -> Result<(usize, usize), BootRecordError> {
    let form = |at: Range<usize>| BootRecordError::Form { offset: at.start };
    if header.get(MAGIC) != Some(&HeldManifest::MAGIC) {
        return Err(form(MAGIC));
    }
    if number(header, RESERVED) != Some(0) {
        return Err(form(RESERVED));
    }
    let length = |at: Range<usize>| {
        let number = number(header, at.clone()).and_then(|number| usize::try_from(number).ok());
        number.ok_or(form(at))
    };
    let (manifest, signature) = (length(MANIFEST)?, length(SIGNATURE)?);
    if !(1..=MANIFEST_BYTES_MAX).contains(&manifest) {
        return Err(form(MANIFEST));
    }
    if signature != 0 && signature != SIGNATURE_BYTES {
        return Err(form(SIGNATURE));
    }
    Ok((manifest, signature))
}

fn number(bytes: &[u8], at: Range<usize>) -> Option<u32> {
    bytes.get(at)?.try_into().ok().map(u32::from_le_bytes)
}

fn crc(header: &[u8], content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header.get(..CRC.start).unwrap_or_default());
    hasher.update(content);
    hasher.finalize()
}
