use std::io;

use nx_image::build::BuildError;
use nx_image::key::{PublicKeyError, SecretKeyError};
use nx_image::verify::VerifyError;

use super::NxError;
use crate::reason::Reason;

/// What helps where there is no signature.
pub(super) const SIGN: &str =
    "`nx image build --sign KEY`, which writes it, or `--sig FILE` if it is elsewhere";

/// What helps where a file would get too long.
pub(super) const LONGER_FILES: &str =
    "room for longer files: `ulimit -f unlimited`, or another file system";

impl From<VerifyError> for NxError {
    fn from(error: VerifyError) -> Self {
        use VerifyError as E;
        match &error {
            E::NotSigned { .. } => Self::of(Reason::SourceNotFound, &error).hint(SIGN),
            E::Signature(_) => Self::of(Reason::SourceSignature, &error)
                .hint("the key that signed this manifest as --pub, or the manifest of that key"),
            E::Manifest(_) => Self::of(Reason::SourceManifest, &error)
                .hint("the manifest that `nx image build` wrote beside the image"),
            E::Length { got, want } => Self::of(Reason::SourceMismatch, &error)
                .fact("damage", "length")
                .fact("bytes", *got)
                .fact("bytes_signed", *want),
            E::Segment { segment, damage } => {
                let (block, offset) = damage.block.unzip();
                Self::of(Reason::SourceMismatch, &error)
                    .fact("damage", "segment")
                    .fact("segment", segment.as_str())
                    .fact("block", block)
                    .fact("offset", offset)
                    .fact("bad_blocks", damage.bad_blocks)
                    .fact("looks_like", damage.looks.to_string())
            }
            E::Gap { offset } => Self::of(Reason::SourceMismatch, &error)
                .fact("damage", "gap")
                .fact("offset", *offset),
            E::Image => Self::of(Reason::SourceMismatch, &error).fact("damage", "image"),
            E::BlockRoot { .. } => {
                Self::of(Reason::SourceMismatch, &error).fact("damage", "block_root")
            }
            E::Io { source, .. } => Self::of(unreadable(source), &error),
            _ => Self::of(Reason::InternalUnexpected, &error),
        }
    }
}

impl From<PublicKeyError> for NxError {
    fn from(error: PublicKeyError) -> Self {
        use PublicKeyError as E;
        match &error {
            E::NotUsable { .. } => {
                Self::of(Reason::KeyInvalid, &error).hint("a public key: PEM, or 64 hex digits")
            }
            E::Io { source, .. } => Self::of(unreadable(source), &error),
            _ => Self::of(Reason::InternalUnexpected, &error),
        }
    }
}

impl From<SecretKeyError> for NxError {
    fn from(error: SecretKeyError) -> Self {
        use SecretKeyError as E;
        match &error {
            E::NotPrivate { .. } => Self::of(Reason::KeyInvalid, &error)
                .hint("a private key: PEM (PKCS#8), or 64 hex digits"),
            E::Public { .. } => Self::of(Reason::KeyInvalid, &error)
                .hint("the other half, which `nx image keygen --out` wrote"),
            E::Exposed { path, .. } => Self::of(Reason::KeyExposed, &error).hint(format!(
                "`chmod 600 {}`, or a new key if others may have read it",
                path.display()
            )),
            E::Exists { .. } => {
                Self::of(Reason::KeyExists, &error).hint("another name; keys are never replaced")
            }
            E::Io { source, .. } => Self::of(unreadable(source), &error),
            _ => Self::of(Reason::InternalUnexpected, &error),
        }
    }
}

impl From<BuildError> for NxError {
    fn from(error: BuildError) -> Self {
        use BuildError as E;
        match &error {
            E::Empty => Self::of(Reason::BuildNothing, &error).hint("--rootfs DIR, for example"),
            E::Unsigned => Self::of(Reason::BuildUnsigned, &error).hint("--sign KEY"),
            E::SameFile { .. } | E::OutputInside { .. } => {
                Self::of(Reason::BuildOutput, &error).hint("other names for the outputs")
            }
            E::StateSize { .. } => {
                Self::of(Reason::BuildFormat, &error).hint("whole MiB, such as --state-size 64MiB")
            }
            E::SlotRoom { .. } => Self::of(Reason::BuildFormat, &error).hint("--slot-room 50"),
            E::Key(_) => Self::of(Reason::KeyRefused, &error)
                .hint("a key of your own: `nx image keygen --out os.key --pub os.pub`"),
            E::Format(_) => Self::of(Reason::BuildFormat, &error),
            E::Input { .. } => Self::of(Reason::BuildInput, &error),
            E::Changed { .. } => Self::of(Reason::BuildChanged, &error).hint("the same again"),
            E::ReadBack { .. } | E::Encode { .. } => Self::of(Reason::BuildEncode, &error),
            E::Signer(_) | E::WrongSignature { .. } => Self::of(Reason::BuildSigner, &error),
            E::Stopped => Self::of(Reason::RunInterrupted, &error),
            E::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    Self::of(Reason::SourceNotFound, &error)
                }
                io::ErrorKind::InvalidInput => {
                    Self::of(Reason::SourceNotAFile, &error).hint("the name of a file")
                }
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Self::of(Reason::BuildIo, &error).hint("making room there")
                }
                io::ErrorKind::FileTooLarge => Self::of(Reason::BuildIo, &error).hint(LONGER_FILES),
                _ => Self::of(Reason::BuildIo, &error),
            },
            _ => Self::of(Reason::InternalUnexpected, &error),
        }
    }
}

fn unreadable(source: &io::Error) -> Reason {
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Reason::SourceNotFound,
        io::ErrorKind::InvalidInput => Reason::SourceNotAFile,
        _ => Reason::SourceUnreadable,
    }
}
