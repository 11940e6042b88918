//! What `nx` says when something goes wrong, and how it ends.
//!
//! Each library's errors are mapped in a file of their own.

mod flash;
mod image;
mod nx_error;
mod reset;
mod transport;

pub(crate) use flash::{failed, link_lost};
pub(crate) use nx_error::NxError;
