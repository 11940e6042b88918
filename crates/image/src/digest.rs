//! SHA-256 digests.

use core::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256};

use crate::hex;

/// A SHA-256 digest. Its text form is 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; Self::BYTES]);

impl Digest {
    /// Length of a digest, in bytes.
    pub const BYTES: usize = 32;

    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Starts the digest of bytes that come in pieces.
    pub fn hasher() -> Hasher {
        Hasher(Sha256::new())
    }

    /// The digest with these bytes.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes of the digest.
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(&self.0, f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = DigestSyntaxError;

    /// Reads 64 lower-case hex digits, and nothing else.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        hex::parse(text.as_bytes())
            .map(Self)
            .ok_or(DigestSyntaxError)
    }
}

/// A text that is not a SHA-256 digest in lower-case hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 digest of 64 lower-case hex digits")]
pub struct DigestSyntaxError;

/// A digest being computed. Splitting the input differently gives the same digest.
#[derive(Clone)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Appends `bytes` to what is hashed.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything given to [`update`](Self::update).
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Digest::hasher()
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    /// FIPS 180-4 example, one block.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn is_sha256_and_round_trips_as_text() {
        let digest = Digest::of(b"abc");
        assert_eq!(digest.to_string(), ABC);
        assert_eq!(ABC.parse(), Ok(digest));
    }

    #[test]
    fn pieces_do_not_matter() {
        let mut hasher = Digest::hasher();
        hasher.update(b"a");
        hasher.update(b"");
        hasher.update(b"bc");
        assert_eq!(hasher.finish(), Digest::of(b"abc"));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            &ABC[1..],
            &ABC.to_uppercase(),
            &alloc::format!("{ABC} "),
            "é",
        ] {
            assert_eq!(text.parse::<Digest>(), Err(DigestSyntaxError), "{text}");
        }
    }
}
