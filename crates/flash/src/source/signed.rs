//! A manifest and its signature, from their files.

use std::io::{ErrorKind, Read as _};
use std::path::Path;

use nx_image::limits::{MANIFEST_BYTES_MAX, SIGNATURE_BYTES};
use nx_image::{Digest, Fingerprint, Manifest, ManifestError, PublicKey, open_signed, signature};

use super::error::{SourceError, open};

/// A manifest as it was signed, and its signature.
#[derive(Clone, Debug)]
pub struct SignedManifest {
    /// What it says.
    pub manifest: Manifest,
    /// Its bytes, as signed.
    pub bytes: Vec<u8>,
    /// The signature's 64 bytes.
    pub signature: Vec<u8>,
    /// The key that vouches for it, where keys were given to check it with.
    pub signer: Option<Fingerprint>,
}

impl SignedManifest {
    /// Reads both files. With `keys`, one of them must vouch for the manifest; without, that is
    /// left to the device.
    ///
    /// # Errors
    /// Files that cannot be read, are no manifest or no signature, or are not vouched for.
    pub fn open(
        manifest: &Path,
        signature: Option<&Path>,
        keys: &[PublicKey],
    ) -> Result<Self, SourceError> {
        let bytes = read_bounded(manifest, MANIFEST_BYTES_MAX)?;
        let signature_path = signature.map_or_else(|| signature::path_of(manifest), Path::to_owned);
        let signature = match read_bounded(&signature_path, SIGNATURE_BYTES) {
            Err(SourceError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                return Err(SourceError::NotSigned {
                    manifest: manifest.to_owned(),
                    signature: signature_path,
                });
            }
            other => other?,
        };
        if signature.len() != SIGNATURE_BYTES {
            return Err(SourceError::Signature {
                path: signature_path,
                got: signature.len(),
            });
        }
        if keys.is_empty() {
            let parsed = parse(manifest, &bytes)?;
            return Ok(Self {
                manifest: parsed,
                bytes,
                signature,
                signer: None,
            });
        }
        match open_signed(&bytes, &signature, keys) {
            Ok((parsed, signer)) => Ok(Self {
                manifest: parsed,
                bytes,
                signature,
                signer: Some(signer),
            }),
            Err(source) => Err(SourceError::NotVouchedFor {
                manifest: manifest.to_owned(),
                signature: signature_path,
                source,
            }),
        }
    }

    /// Reads a manifest alone, for a comparison; returns it with its digest.
    ///
    /// # Errors
    /// A file that cannot be read or is no manifest.
    pub fn unsigned(manifest: &Path) -> Result<(Manifest, Digest), SourceError> {
        let bytes = read_bounded(manifest, MANIFEST_BYTES_MAX)?;
        Ok((parse(manifest, &bytes)?, Manifest::digest_of(&bytes)))
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Manifest, SourceError> {
    let failed = |source: ManifestError| SourceError::Manifest {
        path: path.to_owned(),
        source,
    };
    Manifest::parse(bytes).map_err(failed)
}

/// At most one byte more than `max`, so that what is too long is seen to be.
fn read_bounded(path: &Path, max: usize) -> Result<Vec<u8>, SourceError> {
    let file = open(path)?;
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(SourceError::io("read", path))?;
    Ok(bytes)
}
