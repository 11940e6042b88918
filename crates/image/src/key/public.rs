use alloc::vec::Vec;
use core::{fmt, str};

use ed25519_dalek::{Signature, VerifyingKey, pkcs8::DecodePublicKey as _};

use super::{Fingerprint, KeyError, known};
use crate::{
    hex,
    limits::{KEY_FILE_BYTES_MAX, SIGNATURE_BYTES},
    manifest::Profile,
};

/// An Ed25519 public key. None is ever weak (of small order) or oddly encoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Length of a public key, in bytes.
    pub const BYTES: usize = 32;

    /// Reads PEM (SPKI, RFC 8410) or 64 hex digits of either case; white space around and,
    /// in the hex form, between the digits does not matter.
    ///
    /// # Errors
    /// Anything else, and keys that nobody may use ([`from_bytes`](Self::from_bytes)).
    pub fn parse(file: &[u8]) -> Result<Self, KeyError> {
        if file.len() > KEY_FILE_BYTES_MAX {
            return Err(KeyError::TooLong {
                got: file.len(),
                max: KEY_FILE_BYTES_MAX,
            });
        }
        let text = str::from_utf8(file)
            .map_err(|_| KeyError::NotPublic)?
            .trim();
        if text.contains("PRIVATE KEY-----") {
            return Err(KeyError::PrivateAsPublic);
        }
        if text.starts_with("-----BEGIN ") {
            let key = VerifyingKey::from_public_key_pem(text).map_err(|_| KeyError::NotPublic)?;
            return Self::from_bytes(key.as_bytes());
        }
        let digits: Vec<u8> = text
            .bytes()
            .filter(|c| !c.is_ascii_whitespace())
            .map(|c| c.to_ascii_lowercase())
            .collect();
        Self::from_bytes(&hex::parse(&digits).ok_or(KeyError::NotPublic)?)
    }

    /// The key with these bytes (RFC 8032 §5.1.5).
    ///
    /// # Errors
    /// Bytes that are no point of the curve or not the one encoding of it, and weak keys.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotOnCurve)?;
        if key.is_weak() {
            return Err(KeyError::Weak {
                fingerprint: Fingerprint::of(bytes),
            });
        }
        // The decoder also takes y + p for y: two encodings, so two fingerprints, of one key.
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err(KeyError::NotOnCurve);
        }
        Ok(Self(key))
    }

    /// The bytes of the key.
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        self.0.as_bytes()
    }

    /// The short name of the key.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.as_bytes())
    }

    /// Whether `signature` is this key's signature over exactly the bytes of `message`.
    ///
    /// Strict (`verify_strict`): no malleable scalar, no point of small order.
    ///
    /// # Errors
    /// When it is not.
    pub fn verify(
        &self,
        message: &[u8],
        signature: &[u8; SIGNATURE_BYTES],
    ) -> Result<(), NotSigned> {
        let signature = Signature::from_bytes(signature);
        self.0
            .verify_strict(message, &signature)
            .map_err(|_| NotSigned)
    }

    /// Whether the key may vouch for images of `profile`.
    ///
    /// # Errors
    /// A key whose private half is published, unless the profile is [`Profile::Dev`].
    pub fn trust(&self, profile: Profile) -> Result<(), KeyError> {
        if profile == Profile::Dev {
            return Ok(());
        }
        match known::origin(self.as_bytes()) {
            None => Ok(()),
            Some(origin) => Err(KeyError::TestKey {
                fingerprint: self.fingerprint(),
                origin,
            }),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

/// The signature is not this key's over these bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signature does not match")]
pub struct NotSigned;
