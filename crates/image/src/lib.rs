//! Deterministic OS images: layout, manifest, signature, verification.
//!
//! This crate refuses to call anything good that is not proven: bytes that no signed digest
//! covers, keys found inside an artefact, manifests in more than one byte form, directories
//! that do not read back as they were written. It knows nothing of links or of devices.
//!
//! Without features it is `#![no_std]` with `alloc` and holds what both ends of a link need:
//! [`manifest`], [`boot_record`], [`digest`], [`tree`], [`key`], [`signature`], [`state`] and
//! [`limits`].
//!
//! * `std`: files. Verification of an image on disk, inspection, key files.
//! * `build`: the image builder.
//! * `test-image`: small signed images for the tests of other crates.
//!
//! The format is specified in `docs/provisioning/image-format.md`.
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod boot_record;
pub mod digest;
pub mod key;
pub mod limits;
pub mod manifest;
pub mod signature;
pub mod state;
pub mod tree;

#[cfg(feature = "build")]
pub mod build;
#[cfg(feature = "std")]
pub mod inspect;
#[cfg(feature = "std")]
pub mod regular;
#[cfg(feature = "std")]
pub mod sidecar;
#[cfg(feature = "std")]
pub mod signer;
#[cfg(feature = "std")]
pub mod verify;

#[cfg(feature = "test-image")]
pub mod test_image;

mod hex;
#[cfg(feature = "std")]
mod scan;

pub use digest::{Digest, Hasher};
pub use key::{Fingerprint, KeyError, PublicKey};
pub use manifest::{
    ImageInfo, Manifest, ManifestError, Profile, Role, Segment, SegmentKind, Slots, Table,
};
pub use signature::{SignedError, open_signed};
