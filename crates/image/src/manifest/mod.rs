//! The signed description of an image: what is in it, where, and with which digests.
//!
//! One manifest has exactly one byte form (`docs/provisioning/image-format.md`,
//! "Manifest"); [`Manifest::parse`] refuses every other.

mod check;
mod error;
mod image;
mod json;
mod region;
mod segment;

pub use error::ManifestError;
pub use image::{ImageInfo, Manifest, Profile, Slots, Table, UnknownName};
pub use json::FORMAT;
pub use region::Region;
pub use segment::{Role, Segment, SegmentKind};

#[cfg(test)]
mod tests;
