//! The image builder: from files and directories to an image, its manifest and its signature.
//!
//! What it writes from a directory it reads back, decodes and compares with the tree before
//! anything is signed. Outputs appear complete or not at all.

mod blocks;
mod check;
mod compose;
mod copy;
mod cpio;
mod error;
mod gpt;
mod input;
mod layout;
mod outputs;
mod scrap;
mod squashfs;
mod stop;
mod tree;
mod writer;

pub use error::BuildError;
pub use layout::{
    SEGMENT_ALIGN_BYTES, SLOT_ROOM_PERCENT_DEFAULT, SLOT_ROOM_PERCENT_MAX, STATE_BYTES_DEFAULT,
};
pub use tree::{HardLinks, Xattrs};
pub use writer::{Build, Progress, Report};
