//! A directory as a squashfs file system: zstd, owner 0:0, one time for everything.
//!
//! Its content is read, compressed, and decoded again on every processor; the rest follows from
//! where it was stored. What was written is read back: its structure by a library that shares
//! nothing with the writer, its content by checksums of what was decoded.

mod contents;
mod duplicates;
mod inodes;
mod metadata;
mod plan;
mod read_back;
mod sink;
mod superblock;
mod threads;
mod workers;
mod write;

pub(super) use write::write;

/// Names the encoder in errors.
const WHAT: &str = "a squashfs file system";
/// Bytes in a block of a file.
const BLOCK_BYTES: usize = 128 * 1024;
/// How hard zstd tries.
const LEVEL: i32 = 3;
/// Longest target of a symbolic link, in bytes, that the library reads back.
const LINK_BYTES_MAX: usize = 255;
/// A file without a share in a group of small files has this for the group's number.
const NO_GROUP: u32 = u32::MAX;

#[cfg(test)]
mod tests;
