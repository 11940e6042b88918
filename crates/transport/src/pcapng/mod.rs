//! Reads and writes captures in the pcapng format (draft-ietf-opsawg-pcapng).
//!
//! Only what captures of links need: section headers, interface descriptions and enhanced packet
//! blocks with their direction and comments. Whatever else a file holds is skipped.

mod block;
mod reader;
mod writer;

pub use block::{Block, Direction, Interface, Packet};
pub use reader::Reader;
pub use writer::Writer;

/// `LINKTYPE_USER0`: the bytes of a link.
pub const LINK_BYTES: u16 = 147;

/// Longest block that is read or written, in bytes. A whole frame fits many times over.
pub const BLOCK_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// Most interfaces of one section.
pub const INTERFACES_MAX: u32 = 256;

#[cfg(test)]
mod tests;
