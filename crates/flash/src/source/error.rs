//! Why an image cannot be sent from its files.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nx_image::limits::SIGNATURE_BYTES;
use nx_image::{ManifestError, SignedError, regular};

/// Why an image cannot be sent from its files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    // The operator: these files do not belong together, or are something else.
    /// A directory, a device, a pipe.
    #[error("`{}` is no regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Not a manifest.
    #[error("`{}` is no manifest that can be used", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// There is no signature.
    #[error("`{}` is not signed: there is no `{}`", manifest.display(), signature.display())]
    NotSigned {
        /// The manifest's file.
        manifest: PathBuf,
        /// Where its signature would be.
        signature: PathBuf,
    },
    /// Not a signature.
    #[error(
        "`{}` is no signature: {got} bytes, not {SIGNATURE_BYTES}",
        path.display()
    )]
    Signature {
        /// The file.
        path: PathBuf,
        /// Its length in bytes; one more than allowed stands for any longer one.
        got: usize,
    },
    /// The keys that the operator named do not vouch for the manifest.
    #[error("`{}` is not vouched for by `{}`", manifest.display(), signature.display())]
    NotVouchedFor {
        /// The manifest's file.
        manifest: PathBuf,
        /// The signature's file.
        signature: PathBuf,
        /// Why not.
        source: SignedError,
    },
    /// The image's file has another length than the manifest says.
    #[error("`{}` has {got} bytes, but its manifest says {want}", path.display())]
    Size {
        /// The image's file.
        path: PathBuf,
        /// By the manifest, in bytes.
        want: u64,
        /// On the medium, in bytes.
        got: u64,
    },
    /// A segment has another content than the manifest says.
    #[error("segment `{segment}` of `{}` is not what its manifest says", path.display())]
    Segment {
        /// The image's file.
        path: PathBuf,
        /// The segment's name.
        segment: String,
    },
    /// Bytes that belong to no segment are not zero.
    #[error(
        "`{}` has bytes that no segment covers, at {offset}, and they are not zero",
        path.display()
    )]
    Gap {
        /// The image's file.
        path: PathBuf,
        /// The first such byte, as an offset in bytes.
        offset: u64,
    },
    /// The image's file is not what it was when it was proven.
    #[error("`{}` changed while it was being sent", path.display())]
    Changed {
        /// The image's file.
        path: PathBuf,
    },
    /// The caller wants the end.
    #[error("stopped while `{}` was being read", path.display())]
    Stopped {
        /// The image's file.
        path: PathBuf,
    },

    // The operating system.
    /// The operating system refused; `op` is what was tried.
    #[error("cannot {op} `{}`", path.display())]
    Io {
        /// What was tried.
        op: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Opens one of an image's files.
pub(super) fn open(path: &Path) -> Result<File, SourceError> {
    regular::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => SourceError::NotAFile {
            path: path.to_owned(),
        },
        _ => SourceError::io("open", path)(error),
    })
}

impl SourceError {
    /// For `map_err`: names what was tried, and on what.
    pub(super) fn io<'a>(op: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Self + 'a {
        move |source| Self::Io {
            op,
            path: path.to_owned(),
            source,
        }
    }
}
