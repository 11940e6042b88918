//! The host's side of an image: its files, opened once and proven before anything is sent.
//!
//! The file is read in full against the block roots of the manifest when it is opened, on all
//! processors. A file that is written to meanwhile ends the job: its time tells, or else the
//! device, which digests every block and asks again for one that is wrong; that one is digested
//! here too.

mod error;
mod image;
mod proof;
mod signed;

pub use error::SourceError;
pub use image::ImageSource;
pub use signed::SignedManifest;
