//! The host's side of an image: its files, opened once and proven before anything is sent.
//!
//! Nothing is believed twice. The file is read in full against the block roots of the manifest
//! when it is opened, and each block is digested again when it is sent, so that a file that
//! changes meanwhile ends the job instead of reaching the device.

mod error;
mod image;
mod signed;

pub use error::SourceError;
pub use image::ImageSource;
pub use signed::SignedManifest;
