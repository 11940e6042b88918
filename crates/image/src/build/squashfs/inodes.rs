//! The inodes of a tree and the lists of its directories.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::metadata::{Metadata, Position};
use super::plan::{Place, Plan};
use super::sink::Stored;
use super::{BLOCK_BYTES, NO_GROUP, WHAT};
use crate::build::error::BuildError;
use crate::build::tree::{Entry, Kind, Tree, device_numbers};

/// Entries under one header in the list of a directory, at most.
const RUN_MAX: usize = 256;
/// The kernel counts two entries, of three bytes, that no list has.
const LIST_BYTES_EXTRA: usize = 3;
/// No extended attributes.
const NO_XATTRS: u32 = u32::MAX;

/// Types of inodes; an extended one is seven more.
const DIRECTORY: u16 = 1;
const FILE: u16 = 2;
const SYMLINK: u16 = 3;
const BLOCK_DEVICE: u16 = 4;
const CHAR_DEVICE: u16 = 5;
const FIFO: u16 = 6;
const EXTENDED: u16 = 7;

/// Both tables, and where in the first the root is.
pub(super) struct Inodes {
    pub(super) inodes: Metadata,
    pub(super) lists: Metadata,
    pub(super) root: Position,
}

/// An entry of a directory.
struct Child<'a> {
    name: &'a [u8],
    kind: u16,
    number: u32,
    at: Position,
}

/// A directory of which not all entries have come.
struct Open<'a> {
    path: &'a Path,
    mode: u16,
    number: u32,
    parent: u32,
    directories: u32,
    children: Vec<Child<'a>>,
}

/// Writes inodes, each after those that it leads to.
struct Writer<'a> {
    plan: &'a Plan,
    stored: &'a [Stored],
    mtime: u32,
    inodes: Metadata,
    lists: Metadata,
}

/// Makes the tables. The root is inode 1, the entries are those from 2 on, in their order.
pub(super) fn write(
    tree: &Tree,
    mtime: u32,
    plan: &Plan,
    stored: &[Stored],
) -> Result<Inodes, BuildError> {
    let mut writer = Writer {
        plan,
        stored,
        mtime,
        inodes: Metadata::new()?,
        lists: Metadata::new()?,
    };
    let mut root = Open {
        path: Path::new(""),
        mode: tree.root_mode,
        number: 1,
        // What is above the root has the number after the last.
        parent: number(tree.entries.len())?,
        directories: 0,
        children: Vec::new(),
    };
    // Those below the root that the next entry may lie in, from the outermost on.
    let mut open: Vec<Open<'_>> = Vec::new();
    for (index, entry) in tree.entries.iter().enumerate() {
        let parent = entry.path.parent();
        while let Some(last) = open.pop_if(|last| Some(last.path) != parent) {
            let into = open.last_mut().unwrap_or(&mut root);
            writer.end(last, into)?;
        }
        let into = open.last_mut().unwrap_or(&mut root);
        if Some(into.path) != parent {
            return Err(tree.differs(&entry.path, "is in no directory"));
        }
        let number = number(index)?;
        if entry.kind == Kind::Directory {
            let parent = into.number;
            open.push(Open {
                path: &entry.path,
                mode: entry.mode,
                number,
                parent,
                directories: 0,
                children: Vec::new(),
            });
        } else {
            let child = writer.leaf(entry, index, number)?;
            into.children.push(child);
        }
    }
    while let Some(last) = open.pop() {
        let into = open.last_mut().unwrap_or(&mut root);
        writer.end(last, into)?;
    }
    let root = writer.directory(&root)?;
    Ok(Inodes {
        inodes: writer.inodes,
        lists: writer.lists,
        root,
    })
}

/// The inode number of an entry.
fn number(index: usize) -> Result<u32, BuildError> {
    u32::try_from(index.saturating_add(2)).map_err(BuildError::encode(WHAT))
}

fn name(path: &Path) -> &[u8] {
    path.file_name().unwrap_or_default().as_bytes()
}

impl<'a> Writer<'a> {
    /// Ends a directory, which is an entry of `into`.
    fn end(&mut self, ended: Open<'a>, into: &mut Open<'a>) -> Result<(), BuildError> {
        let at = self.directory(&ended)?;
        into.directories = into.directories.saturating_add(1);
        into.children.push(Child {
            name: name(ended.path),
            kind: DIRECTORY,
            number: ended.number,
            at,
        });
        Ok(())
    }

    fn directory(&mut self, of: &Open<'_>) -> Result<Position, BuildError> {
        let list = list(&of.children)?;
        let at = self.lists.position()?;
        self.lists.push(&list)?;
        let len = list.len().saturating_add(LIST_BYTES_EXTRA);
        let links = of.directories.saturating_add(2);
        let mut rest = Vec::new();
        let kind = if let Ok(len) = u16::try_from(len) {
            rest.extend(at.block.to_le_bytes());
            rest.extend(links.to_le_bytes());
            rest.extend(len.to_le_bytes());
            rest.extend(at.offset.to_le_bytes());
            rest.extend(of.parent.to_le_bytes());
            DIRECTORY
        } else {
            let len = u32::try_from(len).map_err(BuildError::encode(WHAT))?;
            for field in [links, len, at.block, of.parent] {
                rest.extend(field.to_le_bytes());
            }
            // Without an index.
            rest.extend(0_u16.to_le_bytes());
            rest.extend(at.offset.to_le_bytes());
            rest.extend(NO_XATTRS.to_le_bytes());
            DIRECTORY.saturating_add(EXTENDED)
        };
        self.inode(kind, of.mode, of.number, &rest)
    }

    /// Writes what is no directory.
    fn leaf(
        &mut self,
        entry: &'a Entry,
        index: usize,
        number: u32,
    ) -> Result<Child<'a>, BuildError> {
        let mut rest = Vec::new();
        let links = 1_u32.to_le_bytes();
        let (kind, whole) = match &entry.kind {
            Kind::File { size } => {
                let extended = self.file(index, *size, &mut rest)?;
                (
                    FILE,
                    if extended {
                        FILE.saturating_add(EXTENDED)
                    } else {
                        FILE
                    },
                )
            }
            Kind::Symlink(to) => {
                let to = to.as_os_str().as_bytes();
                let len = u32::try_from(to.len()).map_err(BuildError::encode(WHAT))?;
                rest.extend(links);
                rest.extend(len.to_le_bytes());
                rest.extend(to);
                (SYMLINK, SYMLINK)
            }
            Kind::CharDevice(rdev) | Kind::BlockDevice(rdev) => {
                rest.extend(links);
                rest.extend(packed(*rdev).to_le_bytes());
                match &entry.kind {
                    Kind::CharDevice(_) => (CHAR_DEVICE, CHAR_DEVICE),
                    _ => (BLOCK_DEVICE, BLOCK_DEVICE),
                }
            }
            Kind::Fifo | Kind::Directory => {
                rest.extend(links);
                (FIFO, FIFO)
            }
        };
        Ok(Child {
            name: name(&entry.path),
            kind,
            number,
            at: self.inode(whole, entry.mode, number, &rest)?,
        })
    }

    /// What is in the inode of a file; whether that is an extended one.
    fn file(&self, index: usize, size: u64, rest: &mut Vec<u8>) -> Result<bool, BuildError> {
        let (mut blocks, mut group, mut offset) = (&[][..], NO_GROUP, 0);
        match self.plan.places.get(index) {
            Some(Place::Blocks(range)) => {
                blocks = self.stored.get(range.clone()).unwrap_or_default();
            }
            Some(Place::Share(number, at)) => {
                group = u32::try_from(*number).map_err(BuildError::encode(WHAT))?;
                offset = u32::try_from(*at).map_err(BuildError::encode(WHAT))?;
            }
            Some(Place::Nowhere) | None => {}
        }
        let start = blocks.first().map_or(0, |block| block.start);
        let lengths = std::iter::successors(Some(size), |left| {
            Some(left.saturating_sub(BLOCK_BYTES as u64))
        });
        let holes = blocks
            .iter()
            .zip(lengths)
            .filter(|(block, _)| block.len == 0);
        let sparse: u64 = holes.map(|(_, left)| left.min(BLOCK_BYTES as u64)).sum();
        let extended = match (u32::try_from(start), u32::try_from(size)) {
            (Ok(start), Ok(size)) if sparse == 0 => {
                for field in [start, group, offset, size] {
                    rest.extend(field.to_le_bytes());
                }
                false
            }
            _ => {
                for field in [start, size, sparse] {
                    rest.extend(field.to_le_bytes());
                }
                for field in [1, group, offset, NO_XATTRS] {
                    rest.extend(field.to_le_bytes());
                }
                true
            }
        };
        rest.extend(blocks.iter().flat_map(|block| block.size().to_le_bytes()));
        Ok(extended)
    }

    fn inode(
        &mut self,
        kind: u16,
        mode: u16,
        number: u32,
        rest: &[u8],
    ) -> Result<Position, BuildError> {
        let at = self.inodes.position()?;
        let mut header = Vec::new();
        // Owner and group are the first of the table of owners.
        for field in [kind, mode, 0, 0] {
            header.extend(field.to_le_bytes());
        }
        header.extend(self.mtime.to_le_bytes());
        header.extend(number.to_le_bytes());
        self.inodes.push(&header)?;
        self.inodes.push(rest)?;
        Ok(at)
    }
}

/// The list of a directory: runs of entries whose inodes begin in the same block of metadata.
fn list(mut children: &[Child<'_>]) -> Result<Vec<u8>, BuildError> {
    let mut list = Vec::new();
    while let Some(first) = children.first() {
        let distance = |child: &Child<'_>| {
            let distance = i64::from(child.number).saturating_sub(i64::from(first.number));
            i16::try_from(distance).ok()
        };
        let len = children
            .iter()
            .take(RUN_MAX)
            .take_while(|child| child.at.block == first.at.block && distance(child).is_some())
            .count();
        let (run, rest) = children.split_at(len.max(1));
        let others =
            u32::try_from(run.len().saturating_sub(1)).map_err(BuildError::encode(WHAT))?;
        for field in [others, first.at.block, first.number] {
            list.extend(field.to_le_bytes());
        }
        for child in run {
            let len = u16::try_from(child.name.len().saturating_sub(1));
            list.extend(child.at.offset.to_le_bytes());
            list.extend(distance(child).unwrap_or(0).to_le_bytes());
            list.extend(child.kind.to_le_bytes());
            list.extend(len.map_err(BuildError::encode(WHAT))?.to_le_bytes());
            list.extend(child.name);
        }
        children = rest;
    }
    Ok(list)
}

/// A device number as squashfs keeps it.
pub(super) const fn packed(rdev: u64) -> u32 {
    let (major, minor) = device_numbers(rdev);
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}
