//! Why there is no image.

use std::io;
use std::path::{Path, PathBuf};

use crate::manifest::ManifestError;
use crate::signer::SignerError;

/// Why there is no image. No output was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// No segment was given.
    #[error("nothing to build: no bootloader, kernel, initrd, rootfs or pkgfs is given")]
    Empty,
    /// A release image has to be signed.
    #[error("a release image needs a signature")]
    Unsigned,
    /// The key may not vouch for this profile.
    #[error("signing key refused")]
    Key(#[source] crate::key::KeyError),
    /// An input is nothing that a segment can be made from.
    #[error("{segment}: {} {what}", path.display())]
    Input {
        /// The segment.
        segment: &'static str,
        /// The input.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// An input changed while it was read.
    #[error("{segment}: {} changed while it was read", path.display())]
    Changed {
        /// The segment.
        segment: &'static str,
        /// The input.
        path: PathBuf,
    },
    /// An output is also an input, or another output.
    #[error("{} is named twice", path.display())]
    SameFile {
        /// The file.
        path: PathBuf,
    },
    /// An output lies in a directory that a segment is made from.
    #[error("{} lies in {}, which is an input", path.display(), input.display())]
    OutputInside {
        /// The output.
        path: PathBuf,
        /// The directory.
        input: PathBuf,
    },
    /// The state partition has an impossible length.
    #[error("state partition of {got} bytes: it has to be a multiple of 1 MiB, of at most 256 GiB")]
    StateSize {
        /// The length that was asked for, in bytes.
        got: u64,
    },
    /// A slot partition has an impossible length.
    #[error("slot partitions with room for {got} % more: at most {most} % can be asked for")]
    SlotRoom {
        /// What was asked for, in per cent.
        got: u32,
        /// The most that can be asked for, in per cent.
        most: u32,
    },
    /// Somebody wanted it to stop.
    #[error("stopped")]
    Stopped,
    /// The signer made a signature that its own key does not verify.
    #[error("what the signer gave is no signature by key {key}")]
    WrongSignature {
        /// The key.
        key: crate::key::Fingerprint,
    },
    /// What was written does not decode to the tree that it was made from.
    #[error("{segment}: read back, {path} {what}")]
    ReadBack {
        /// The segment.
        segment: &'static str,
        /// The entry of the tree.
        path: String,
        /// What differs.
        what: String,
    },
    /// A number is over a limit of the format.
    #[error("the image would break the format")]
    Format(#[source] ManifestError),
    /// No signature was made.
    #[error("cannot sign")]
    Signer(#[source] SignerError),
    /// A library refused to encode a tree or a table.
    #[error("cannot encode {what}: {why}")]
    Encode {
        /// What.
        what: &'static str,
        /// Why not.
        why: String,
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

impl BuildError {
    /// For `map_err`: names what was done, and to what.
    pub(super) fn io<'a>(op: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Self + 'a {
        move |source| Self::Io {
            op,
            path: path.to_owned(),
            source,
        }
    }

    /// For `map_err`: what is made from a directory cannot be written to a file without a name.
    /// Whoever made that file says [`in_folder`](Self::in_folder).
    pub(super) fn scratch(source: io::Error) -> Self {
        Self::Io {
            op: "write a file without a name in",
            path: PathBuf::new(),
            source,
        }
    }

    /// Names the folder of a file without a name.
    pub(super) fn in_folder(mut self, folder: &Path) -> Self {
        if let Self::Io { path, .. } = &mut self
            && path.as_os_str().is_empty()
        {
            folder.clone_into(path);
        }
        self
    }

    /// For `map_err`: a library's refusal.
    pub(super) fn encode<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::Encode {
            what,
            why: error.to_string(),
        }
    }
}
