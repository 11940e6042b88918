//! Private keys, in files that only their owner can read.

use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::KeypairBytes;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::spki::der::zeroize::Zeroizing;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _};

use super::new_file::NewFile;
use crate::key::{KeyError, PublicKey};
use crate::limits::{KEY_FILE_BYTES_MAX, SIGNATURE_BYTES};
use crate::regular;

/// An Ed25519 private key. It is wiped from memory when it is dropped, and never printed.
pub struct SigningKey {
    secret: ed25519_dalek::SigningKey,
    public: PublicKey,
}

/// Why a private key cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretKeyError {
    /// The file is neither of the two forms.
    #[error("{} is no Ed25519 private key: neither PEM (PKCS#8) nor 64 hex digits", path.display())]
    NotPrivate {
        /// The file.
        path: PathBuf,
    },
    /// The file holds the public half of a key.
    #[error("{} is a public key, and a private one signs", path.display())]
    Public {
        /// The file.
        path: PathBuf,
    },
    /// Others can read the file: the key may be known to them.
    #[error("{} can be read by others (mode {mode:03o})", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file that a new key belongs in is there already.
    #[error("{} exists", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
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

impl SigningKey {
    /// The key with this seed (RFC 8032, section 5.1.5).
    ///
    /// # Errors
    /// When its public half is a key that nobody may use.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeyError> {
        Self::from_dalek(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    fn from_dalek(secret: ed25519_dalek::SigningKey) -> Result<Self, KeyError> {
        let public = PublicKey::from_bytes(secret.verifying_key().as_bytes())?;
        Ok(Self { secret, public })
    }

    /// Reads a key: PEM with PKCS#8 (version 1 or 2), or the seed as 64 hex digits.
    ///
    /// # Errors
    /// When it is none, when others than its owner can read the file, or it cannot be read.
    pub fn read(path: &Path) -> Result<Self, SecretKeyError> {
        let failed = |op| {
            move |source| SecretKeyError::Io {
                op,
                path: path.to_owned(),
                source,
            }
        };
        let file = regular::open(path).map_err(failed("open"))?;
        let found = file.metadata().map_err(failed("look at"))?;
        let mut text = Zeroizing::new(String::new());
        let limit = u64::try_from(KEY_FILE_BYTES_MAX).unwrap_or(0);
        let none = || SecretKeyError::NotPrivate {
            path: path.to_owned(),
        };
        let read = file.take(limit).read_to_string(&mut text);
        let text = text.trim();
        // Before its mode is looked at: anyone may read it.
        if text.starts_with("-----BEGIN PUBLIC KEY-----") {
            return Err(SecretKeyError::Public {
                path: path.to_owned(),
            });
        }
        let mode = found.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SecretKeyError::Exposed {
                path: path.to_owned(),
                mode,
            });
        }
        match read {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(none()),
            Err(error) => return Err(failed("read")(error)),
            Ok(_) => {}
        }
        if let Ok(key) = ed25519_dalek::SigningKey::from_pkcs8_pem(text) {
            return Self::from_dalek(key).map_err(|_| none());
        }
        let digits = Zeroizing::new(text.to_ascii_lowercase());
        let seed = crate::hex::parse::<32>(digits.as_bytes()).map(Zeroizing::new);
        Self::from_seed(&*seed.ok_or_else(none)?).map_err(|_| none())
    }

    /// Writes the key as PEM (PKCS#8 version 1, which OpenSSL 3.0 reads) to a new file that
    /// only its owner can read.
    ///
    /// # Errors
    /// When the file exists or cannot be written; then none is left behind.
    pub fn write_new(&self, path: &Path) -> Result<(), SecretKeyError> {
        NewFile::write(path, self.to_pem(path)?.as_bytes(), 0o600)?.publish()
    }

    /// Writes the public half as PEM (SPKI) to a new file.
    ///
    /// # Errors
    /// When the file exists or cannot be written; then none is left behind.
    pub fn write_public_new(&self, path: &Path) -> Result<(), SecretKeyError> {
        NewFile::write(path, self.to_public_pem(path)?.as_bytes(), 0o644)?.publish()
    }

    /// The key as the file at `path` is to hold it.
    pub(super) fn to_pem(&self, path: &Path) -> Result<Zeroizing<String>, SecretKeyError> {
        let pair = KeypairBytes {
            secret_key: self.secret.to_bytes(),
            public_key: None,
        };
        pair.to_pkcs8_pem(LineEnding::LF)
            .map_err(|error| not_encoded(path, &error))
    }

    /// The public half as the file at `path` is to hold it.
    pub(super) fn to_public_pem(&self, path: &Path) -> Result<String, SecretKeyError> {
        let key = self.secret.verifying_key();
        key.to_public_key_pem(LineEnding::LF)
            .map_err(|error| not_encoded(path, &error))
    }

    /// The public half.
    pub const fn public_key(&self) -> PublicKey {
        self.public
    }

    /// Signs these bytes as they are: no prehash, no prefix.
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.secret.sign(message).to_bytes()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.public.fingerprint())
    }
}

fn not_encoded(path: &Path, error: &dyn std::fmt::Display) -> SecretKeyError {
    SecretKeyError::Io {
        op: "encode",
        path: path.to_owned(),
        source: io::Error::other(error.to_string()),
    }
}
