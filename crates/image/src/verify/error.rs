use std::io;
use std::path::PathBuf;

use super::damage::Damage;
use crate::manifest::ManifestError;
use crate::signature::SignedError;

/// Why an image is not good.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// There is no signature.
    #[error("not signed: there is no {}", signature.display())]
    NotSigned {
        /// Where it would be.
        signature: PathBuf,
    },
    /// The signature is of the wrong length, or of none of the keys.
    #[error("not signed by the key that was named")]
    Signature(#[source] SignedError),
    /// The manifest is not valid.
    #[error("the manifest is not valid")]
    Manifest(#[source] ManifestError),
    /// The image has another length.
    #[error(
        "the image has {got} bytes, its manifest says {want}: {}",
        if got < want { "truncated" } else { "something trails" }
    )]
    Length {
        /// Its length in bytes.
        got: u64,
        /// What the manifest says.
        want: u64,
    },
    /// A segment is not what was signed.
    #[error("segment {segment} is damaged: {damage}")]
    Segment {
        /// Its name.
        segment: String,
        /// Where and how.
        damage: Damage,
    },
    /// Bytes between the segments are not zero.
    #[error("bytes that belong to no segment are not zero, first at offset {offset}")]
    Gap {
        /// The first of them.
        offset: u64,
    },
    /// A segment is what its digest says and not what its block root says: the manifest
    /// contradicts itself.
    #[error(
        "the manifest contradicts itself: the block root of segment {segment} is not its bytes'"
    )]
    BlockRoot {
        /// Its name.
        segment: String,
    },
    /// Every segment is good and the image's own digest is not: the manifest contradicts itself.
    #[error(
        "the manifest contradicts itself: every segment is good, the digest of the image is not"
    )]
    Image,
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
