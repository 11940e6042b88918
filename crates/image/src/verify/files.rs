use std::io::{ErrorKind, Read as _};
use std::path::Path;

use super::error::VerifyError;
use crate::digest::Digest;
use crate::key::{Fingerprint, PublicKey};
use crate::limits::{MANIFEST_BYTES_MAX, SIGNATURE_BYTES};
use crate::manifest::Manifest;
use crate::regular;
use crate::signature::{SignedError, open_signed};

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
    let signature = match read(files.signature, SIGNATURE_BYTES) {
        Err(VerifyError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
            let signature = files.signature.to_owned();
            return Err(VerifyError::NotSigned { signature });
        }
        other => other?,
    };
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

/// Reads a small file, and one byte more than it may have.
fn read(path: &Path, max: usize) -> Result<Vec<u8>, VerifyError> {
    let failed = |op| {
        move |source| VerifyError::Io {
            op,
            path: path.to_owned(),
            source,
        }
    };
    let mut bytes = Vec::new();
    let limit = u64::try_from(max).unwrap_or(0).saturating_add(1);
    let file = regular::open(path).map_err(failed("open"))?;
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(failed("read"))?;
    Ok(bytes)
}
