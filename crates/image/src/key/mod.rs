//! Ed25519 keys.
//!
//! A public key is read from PEM (SPKI, RFC 8410) or from 64 hex digits. A key that is found
//! inside an artefact is a hint at most; trust comes from the keys that the caller names.

mod error;
mod fingerprint;
mod known;
#[cfg(feature = "std")]
mod new_file;
#[cfg(feature = "std")]
mod pair;
mod public;
#[cfg(feature = "std")]
mod public_file;
#[cfg(feature = "std")]
mod secret;

pub use error::KeyError;
pub use fingerprint::{Fingerprint, FingerprintSyntaxError};
pub use public::{NotSigned, PublicKey};
#[cfg(feature = "std")]
pub use public_file::PublicKeyError;
#[cfg(feature = "std")]
pub use secret::{SecretKeyError, SigningKey};

#[cfg(test)]
mod tests;
