//! Signed manifests: `OS.sig` for `OS.json` is 64 raw bytes, Ed25519 over the manifest's raw bytes.
//!
//! No prehash and no prefix, as everywhere in the OS, so OpenSSL can check it too. What
//! keeps other signed documents out is the manifest's first member, its format name.

#[cfg(feature = "std")]
use std::path::{Path, PathBuf};

use crate::{
    key::{Fingerprint, KeyError, PublicKey},
    limits::{MANIFEST_BYTES_MAX, SIGNATURE_BYTES},
    manifest::{Manifest, ManifestError, Profile},
};

/// Where the signature of this manifest is, unless the operator names another place.
#[cfg(feature = "std")]
pub fn path_of(manifest: &Path) -> PathBuf {
    manifest.with_extension("sig")
}

/// Reads a manifest that one of `keys` has signed.
///
/// Checks the signature over the raw bytes first, then parses, then refuses a key that may
/// not vouch for the manifest's profile. Returns the key's fingerprint beside the manifest.
///
/// # Errors
/// Which of the steps failed; nothing of an unsigned manifest is looked at.
pub fn open_signed(
    manifest: &[u8],
    signature: &[u8],
    keys: &[PublicKey],
) -> Result<(Manifest, Fingerprint), SignedError> {
    if keys.is_empty() {
        return Err(SignedError::NoKeys);
    }
    if manifest.len() > MANIFEST_BYTES_MAX {
        let (got, max) = (manifest.len(), MANIFEST_BYTES_MAX);
        return Err(SignedError::Manifest(ManifestError::TooLong { got, max }));
    }
    let signature: &[u8; SIGNATURE_BYTES] =
        signature
            .try_into()
            .map_err(|_| SignedError::SignatureLength {
                got: signature.len(),
            })?;
    let key = keys
        .iter()
        .find(|key| key.verify(manifest, signature).is_ok())
        .ok_or(SignedError::NotSigned { keys: keys.len() })?;
    let manifest = Manifest::parse(manifest)?;
    let profile = manifest.image.profile;
    key.trust(profile)
        .map_err(|source| SignedError::KeyRefused { profile, source })?;
    Ok((manifest, key.fingerprint()))
}

/// Why a manifest is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignedError {
    /// The operator named no key, so nothing can be proven.
    #[error("no public key to check the signature with")]
    NoKeys,
    /// The operator's key may not vouch for this image.
    #[error("key refused for a {profile} image")]
    KeyRefused {
        /// The profile in the manifest.
        profile: Profile,
        /// Why.
        source: KeyError,
    },
    /// Not a signature at all.
    #[error("signature of {got} bytes, not {SIGNATURE_BYTES}")]
    SignatureLength {
        /// Its length, in bytes.
        got: usize,
    },
    /// None of the keys made this signature over these bytes.
    #[error("signature does not match the manifest and {}", match keys {
        1 => "the key".into(),
        keys => alloc::format!("any of the {keys} keys"),
    })]
    NotSigned {
        /// How many keys were tried.
        keys: usize,
    },
    /// Signed, but not a manifest of an OS image.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}
