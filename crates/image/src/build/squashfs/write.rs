use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::duplicates::Duplicates;
use super::inodes;
use super::metadata::Metadata;
use super::plan::Plan;
use super::read_back::read_back;
use super::sink::Stored;
use super::superblock::Superblock;
use super::workers::pack;
use super::{LINK_BYTES_MAX, WHAT};
use crate::build::error::BuildError;
use crate::build::tree::{Kind, Tree};

/// The file system ends at a multiple of this, in bytes, so that a loop device sees all of it.
const PAD_BYTES: u64 = 4_096;

/// What was written, and from what.
pub(super) struct Written {
    pub(super) duplicates: Duplicates,
    pub(super) plan: Plan,
    pub(super) stored: Vec<Stored>,
}

/// Writes a tree to `out` and proves, by reading it back, that it is the tree.
pub(in crate::build) fn write(tree: &Tree, mtime: u32, out: &mut File) -> Result<(), BuildError> {
    let written = encode(tree, mtime, out)?;
    read_back(tree, mtime, out, &written)
}

pub(super) fn encode(tree: &Tree, mtime: u32, out: &File) -> Result<Written, BuildError> {
    for (index, entry) in tree.entries.iter().enumerate() {
        if matches!(&entry.kind, Kind::Symlink(to) if to.as_os_str().len() > LINK_BYTES_MAX) {
            return Err(BuildError::Input {
                segment: tree.segment,
                path: tree.full(index),
                what: format!("leads to a name of over {LINK_BYTES_MAX} bytes"),
            });
        }
    }
    let duplicates = Duplicates::find(tree)?;
    let plan = Plan::of(tree, &duplicates);
    let written = encode_plan(tree, mtime, out, duplicates, plan)?;
    // Nobody opened these.
    for (index, entry) in tree.entries.iter().enumerate() {
        if entry.kind == (Kind::File { size: 0 }) {
            tree.check_unopened(index)?;
        }
    }
    Ok(written)
}

pub(super) fn encode_plan(
    tree: &Tree,
    mtime: u32,
    out: &File,
    duplicates: Duplicates,
    plan: Plan,
) -> Result<Written, BuildError> {
    let (stored, position) = pack(tree, &plan, out, Superblock::BYTES as u64)?;
    let tables = inodes::write(tree, mtime, &plan, &stored)?;
    let mut out = Tail { out, position };
    let inode_table = out.position;
    out.push(&tables.inodes.finish()?.0)?;
    let list_table = out.position;
    out.push(&tables.lists.finish()?.0)?;
    let group_table = out.push_indexed(plan.groups.iter().flat_map(|piece| {
        let group = stored.get(*piece).copied().unwrap_or_default();
        let mut entry = [0; 16];
        let fields = group.start.to_le_bytes().into_iter();
        let fields = fields.chain(group.size().to_le_bytes());
        entry
            .iter_mut()
            .zip(fields)
            .for_each(|(to, byte)| *to = byte);
        entry
    }))?;
    // One owner, who is also the group: 0.
    let id_table = out.push_indexed(0_u32.to_le_bytes())?;
    let superblock = Superblock {
        inodes: u32::try_from(tree.entries.len().saturating_add(1))
            .map_err(BuildError::encode(WHAT))?,
        mtime,
        groups: u32::try_from(plan.groups.len()).map_err(BuildError::encode(WHAT))?,
        root: tables.root,
        bytes: out.position,
        id_table,
        inode_table,
        list_table,
        group_table,
    };
    out.out
        .write_all_at(&superblock.encode(), 0)
        .and_then(|()| out.out.set_len(out.position.next_multiple_of(PAD_BYTES)))
        .map_err(BuildError::scratch)?;
    Ok(Written {
        duplicates,
        plan,
        stored,
    })
}

/// What comes after the content of files.
struct Tail<'a> {
    out: &'a File,
    position: u64,
}

impl Tail<'_> {
    fn push(&mut self, bytes: &[u8]) -> Result<(), BuildError> {
        self.out
            .write_all_at(bytes, self.position)
            .map_err(BuildError::scratch)?;
        self.position = self.position.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// Writes blocks of metadata and then where they are; gives where that is written.
    fn push_indexed(&mut self, content: impl IntoIterator<Item = u8>) -> Result<u64, BuildError> {
        let mut metadata = Metadata::new()?;
        metadata.push(&content.into_iter().collect::<Vec<_>>())?;
        let (blocks, starts) = metadata.finish()?;
        let first = self.position;
        self.push(&blocks)?;
        let index = self.position;
        let starts = starts
            .iter()
            .flat_map(|start| first.saturating_add(u64::from(*start)).to_le_bytes());
        self.push(&starts.collect::<Vec<_>>())?;
        Ok(index)
    }
}
