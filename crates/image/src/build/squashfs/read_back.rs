use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Seek as _};
use std::path::{Path, PathBuf};

use backhand::{FilesystemReader, InnerNode};

use super::WHAT;
use super::contents::Contents;
use super::inodes::packed;
use super::write::Written;
use crate::build::error::BuildError;
use crate::build::tree::{Kind, Tree};

/// Proves that a file system is this tree: the same paths, each of the same kind, mode, owner,
/// time, target, device number and content.
pub(super) fn read_back(
    tree: &Tree,
    mtime: u32,
    out: &File,
    written: &Written,
) -> Result<(), BuildError> {
    let mut file = out.try_clone().map_err(BuildError::encode(WHAT))?;
    file.rewind().map_err(BuildError::encode(WHAT))?;
    let reader =
        FilesystemReader::from_reader(BufReader::new(file)).map_err(BuildError::encode(WHAT))?;
    let root = Path::new("/");
    if reader.mod_time != mtime {
        return Err(tree.differs(root, "is of another time"));
    }
    let mut found: BTreeMap<PathBuf, _> = reader
        .files()
        .map(|node| {
            let path = node.fullpath.strip_prefix(root).unwrap_or(&node.fullpath);
            (path.to_owned(), node)
        })
        .collect();
    let header = found.remove(Path::new("")).map(|node| node.header);
    let header = header.ok_or_else(|| tree.differs(root, "is missing"))?;
    check_header(tree, root, header, (tree.root_mode, mtime))?;
    let groups = reader.fragments.as_deref().unwrap_or_default();
    let contents = Contents::of(tree, groups, written);
    for (index, entry) in tree.entries.iter().enumerate() {
        let path = &entry.path;
        let node = found
            .remove(path)
            .ok_or_else(|| tree.differs(path, "is missing"))?;
        check_header(tree, path, node.header, (entry.mode, mtime))?;
        let same = match (&node.inner, &entry.kind) {
            (InnerNode::Dir(_), Kind::Directory) | (InnerNode::NamedPipe, Kind::Fifo) => true,
            (InnerNode::File(file), Kind::File { .. }) => contents.is_of(index, file),
            (InnerNode::Symlink(link), Kind::Symlink(to)) => link.link == *to,
            (InnerNode::CharacterDevice(device), Kind::CharDevice(rdev)) => {
                device.device_number == packed(*rdev)
            }
            (InnerNode::BlockDevice(device), Kind::BlockDevice(rdev)) => {
                device.device_number == packed(*rdev)
            }
            _ => false,
        };
        if !same {
            return Err(tree.differs(path, "has another content"));
        }
    }
    if let Some(extra) = found.keys().next() {
        return Err(tree.differs(extra, "should not be there"));
    }
    contents.check(out)
}

fn check_header(
    tree: &Tree,
    path: &Path,
    found: backhand::NodeHeader,
    (mode, mtime): (u16, u32),
) -> Result<(), BuildError> {
    if found.permissions & 0o7777 != mode {
        return Err(tree.differs(path, "has another mode"));
    }
    if (found.uid, found.gid) != (0, 0) {
        return Err(tree.differs(path, "has another owner"));
    }
    if found.mtime != mtime {
        return Err(tree.differs(path, "has another time"));
    }
    Ok(())
}
