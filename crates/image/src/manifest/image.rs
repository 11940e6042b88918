use alloc::{string::String, vec::Vec};
use core::{fmt, str::FromStr};

use super::{ManifestError, Segment, check, json};
use crate::digest::Digest;

/// What an image is and what it holds.
///
/// The fields are open so that a builder can fill them; [`Manifest::check`] says whether
/// they make a manifest. What [`Manifest::parse`] returns has passed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The image as a whole.
    pub image: ImageInfo,
    /// Its segments, by ascending offset.
    pub segments: Vec<Segment>,
}

impl Manifest {
    /// Reads a manifest in its one byte form and checks it.
    ///
    /// # Errors
    /// Any other byte form, and any value out of its bounds. No input makes this panic.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        json::parse(bytes)
    }

    /// The byte form. Parsing it gives `self` back if [`check`](Self::check) passes.
    pub fn encode(&self) -> Vec<u8> {
        json::encode(self)
    }

    /// Whether the values are within the format's bounds and agree with each other.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), ManifestError> {
        check::manifest(self)
    }

    /// Digest of what a device keeps unchanged: SHA-256 over the concatenated digests of the
    /// segments whose role [is installed](super::Role::is_installed), in order.
    pub fn installed_digest(&self) -> Digest {
        let mut hasher = Digest::hasher();
        for segment in self.segments.iter().filter(|s| s.role.is_installed()) {
            hasher.update(segment.sha256.as_bytes());
        }
        hasher.finish()
    }

    /// The digest by which a manifest is named: SHA-256 over its bytes as signed.
    pub fn digest_of(bytes: &[u8]) -> Digest {
        Digest::of(bytes)
    }

    /// The segment of this name and its index.
    pub fn segment(&self, name: &str) -> Option<(usize, &Segment)> {
        self.segments
            .iter()
            .enumerate()
            .find(|(_, segment)| segment.name == name)
    }
}

/// The image as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageInfo {
    /// Length of the image file, in bytes.
    pub size: u64,
    /// SHA-256 over the whole image file.
    pub sha256: Digest,
    /// The board that it is for: `[A-Za-z0-9._-]{1,64}`.
    pub board: String,
    /// What kind of device may take it.
    pub profile: Profile,
    /// For people to read: `[A-Za-z0-9._-]{1,64}`. Nothing compares versions by it.
    pub image_version: String,
    /// Counts up when older images must no longer be accepted. Carried, not yet enforced.
    pub rollback_index: u64,
    /// Block size, in bytes: a power of two between 4 KiB and 1 MiB.
    pub block_size: u32,
    /// Whether the image is a disk with a partition table.
    pub table: Table,
    /// How many sets of slot partitions the disk has.
    pub slots: Slots,
}

impl ImageInfo {
    /// Whether the values are within the format's bounds, as far as that can be said without
    /// the segments.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), ManifestError> {
        check::image(self)
    }
}

/// What kind of device an image is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Profile {
    /// Developers' devices.
    Dev,
    /// Everyone else's.
    Release,
}

impl Profile {
    /// The name in manifests and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Profile {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "dev" => Ok(Self::Dev),
            "release" => Ok(Self::Release),
            _ => Err(UnknownName {
                known: "dev, release",
            }),
        }
    }
}

/// How the segments of an image are found on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// A GUID partition table around them.
    Gpt,
    /// Nothing: the segments follow one another.
    None,
}

impl Table {
    /// The name in manifests and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gpt => "gpt",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Table {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "gpt" => Ok(Self::Gpt),
            "none" => Ok(Self::None),
            _ => Err(UnknownName { known: "gpt, none" }),
        }
    }
}

/// How many sets of slot partitions a disk has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slots {
    /// One: an update overwrites what runs.
    #[default]
    One,
    /// Two: an update writes the one that does not run, and a boot record says which one boots
    /// (see [`boot_record`](crate::boot_record)).
    Two,
}

impl Slots {
    /// As a number.
    pub const fn count(self) -> u32 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    /// The slots that are so many.
    pub const fn of(count: u32) -> Option<Self> {
        match count {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            _ => None,
        }
    }
}

impl fmt::Display for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.count(), f)
    }
}

impl FromStr for Slots {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "1" => Ok(Self::One),
            "2" => Ok(Self::Two),
            _ => Err(UnknownName { known: "1, 2" }),
        }
    }
}

/// A name that is not in a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown name (known: {known})")]
pub struct UnknownName {
    /// The names that are.
    pub known: &'static str,
}
