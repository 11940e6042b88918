//! Verification: every byte of an image is under the signature, or is zero.
//!
//! Segments and gaps tile the image exactly. A failure names the segment and, where the block
//! digests lie beside the manifest, the first bad block and what the damage looks like.

mod burst;
mod damage;
mod error;
mod files;
mod prove;

pub use damage::{Damage, Looks};
pub use error::VerifyError;
pub use files::{Files, Verified, read_manifest};
pub use prove::{Depth, verify};
