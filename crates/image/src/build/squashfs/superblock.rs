use super::BLOCK_BYTES;
use super::metadata::Position;

const MAGIC: [u8; 4] = *b"hsqs";
const ZSTD: u16 = 6;
/// Content is de-duplicated, and there are no extended attributes.
const FLAGS: u16 = 0x0040 | 0x0200;
/// Major and minor.
const VERSION: [u16; 2] = [4, 0];
/// A table that is not there.
const NONE: u64 = u64::MAX;

/// What a file system begins with. Offsets are in bytes, from its beginning.
#[derive(Debug)]
pub(super) struct Superblock {
    pub(super) inodes: u32,
    pub(super) mtime: u32,
    pub(super) groups: u32,
    pub(super) root: Position,
    /// Length of the file system.
    pub(super) bytes: u64,
    pub(super) id_table: u64,
    pub(super) inode_table: u64,
    pub(super) list_table: u64,
    pub(super) group_table: u64,
}

impl Superblock {
    /// Length in bytes.
    pub(super) const BYTES: usize = 96;

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::BYTES);
        bytes.extend(MAGIC);
        let block_bytes = BLOCK_BYTES as u32;
        for field in [self.inodes, self.mtime, block_bytes, self.groups] {
            bytes.extend(field.to_le_bytes());
        }
        // One owner.
        let block_log = block_bytes.trailing_zeros() as u16;
        let [major, minor] = VERSION;
        for field in [ZSTD, block_log, FLAGS, 1, major, minor] {
            bytes.extend(field.to_le_bytes());
        }
        for field in [
            u64::from(self.root.block) << 16 | u64::from(self.root.offset),
            self.bytes,
            self.id_table,
            NONE,
            self.inode_table,
            self.list_table,
            self.group_table,
            NONE,
        ] {
            bytes.extend(field.to_le_bytes());
        }
        bytes
    }
}
