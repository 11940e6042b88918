use core::{fmt, str::FromStr};

use crate::{digest::Digest, hex};

/// The short name of a public key: the first 16 bytes of SHA-256 over its 32 bytes.
/// Its text form is 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; Self::BYTES]);

impl Fingerprint {
    /// Length of a fingerprint, in bytes.
    pub const BYTES: usize = 16;

    /// The fingerprint with these bytes.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes of the fingerprint.
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    pub(super) fn of(public: &[u8; 32]) -> Self {
        let digest = Digest::of(public);
        Self(digest.as_bytes().first_chunk().copied().unwrap_or_default())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(&self.0, f)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintSyntaxError;

    /// Reads 32 lower-case hex digits, and nothing else.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        hex::parse(text.as_bytes())
            .map(Self)
            .ok_or(FingerprintSyntaxError)
    }
}

/// A text that is not a key fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a key fingerprint of 32 lower-case hex digits")]
pub struct FingerprintSyntaxError;
