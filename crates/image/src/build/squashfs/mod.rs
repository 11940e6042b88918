//! A directory as a squashfs file system: zstd, owner 0:0, one time for everything.
//!
//! The library writes blocks one after the other; they are read and compressed ahead of it, on
//! every processor. What it wrote is read back and compared with the directory, its
//! structure through the library and its contents by a decoder of our own.

mod ahead;
mod contents;
mod forecast;
mod read_back;
mod source;
mod workers;
mod write;

pub(super) use write::write;

/// Names the encoder in errors.
const WHAT: &str = "a squashfs file system";

#[cfg(test)]
mod tests;
