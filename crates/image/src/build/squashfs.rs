//! A directory as a squashfs file system: zstd, owner 0:0, one time for everything.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use backhand::compression::Compressor;
use backhand::{FilesystemCompressor, FilesystemReader, FilesystemWriter, InnerNode, NodeHeader};

use super::error::BuildError;
use super::tree::{Kind, Tree, device_numbers, digest_of};

const WHAT: &str = "a squashfs file system";
/// Longest target of a symbolic link that the library writes; at a longer one it panics.
const LINK_BYTES_MAX: usize = 255;

/// Writes a tree to `out` and proves, by reading it back, that it is the tree.
pub(super) fn write(tree: &Tree, mtime: u32, out: &mut File) -> Result<(), BuildError> {
    let mut writer = FilesystemWriter::default();
    let zstd = FilesystemCompressor::new(Compressor::Zstd, None);
    writer.set_compressor(zstd.map_err(BuildError::encode(WHAT))?);
    writer.set_time(mtime);
    writer.set_only_root_id();
    // `false` switches de-duplication off: it compares hashes of 64 bits and nothing more.
    writer.set_no_duplicate_files(false);
    writer.set_root_mode(tree.root_mode);
    for entry in &tree.entries {
        let header = NodeHeader::new(entry.mode, 0, 0, mtime);
        let path = Path::new("/").join(&entry.path);
        let pushed = match &entry.kind {
            Kind::Directory => writer.push_dir(&path, header),
            Kind::File { .. } => {
                writer.push_file_from_path(tree.root.join(&entry.path), &path, header)
            }
            Kind::Symlink(to) if to.as_os_str().len() > LINK_BYTES_MAX => {
                return Err(BuildError::Input {
                    segment: tree.segment,
                    path: tree.root.join(&entry.path),
                    what: format!("leads to a name of over {LINK_BYTES_MAX} bytes"),
                });
            }
            Kind::Symlink(to) => writer.push_symlink(to, &path, header),
            Kind::CharDevice(rdev) => writer.push_char_device(packed(*rdev), &path, header),
            Kind::BlockDevice(rdev) => writer.push_block_device(packed(*rdev), &path, header),
            Kind::Fifo => writer.push_fifo(&path, header),
        };
        pushed.map_err(BuildError::encode(WHAT))?;
    }
    writer.write(&mut *out).map_err(BuildError::encode(WHAT))?;
    out.flush().map_err(BuildError::encode(WHAT))?;
    read_back(tree, mtime, out)
}

/// A device number as squashfs keeps it.
const fn packed(rdev: u64) -> u32 {
    let (major, minor) = device_numbers(rdev);
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

fn read_back(tree: &Tree, mtime: u32, out: &File) -> Result<(), BuildError> {
    let mut file = out.try_clone().map_err(BuildError::encode(WHAT))?;
    file.rewind().map_err(BuildError::encode(WHAT))?;
    let reader =
        FilesystemReader::from_reader(BufReader::new(file)).map_err(BuildError::encode(WHAT))?;
    let mut found: BTreeMap<PathBuf, _> = reader
        .files()
        .map(|node| {
            (
                node.fullpath
                    .strip_prefix("/")
                    .unwrap_or(&node.fullpath)
                    .to_owned(),
                node,
            )
        })
        .collect();
    let root = found.remove(Path::new(""));
    if root.is_none_or(|root| root.header.permissions & 0o7777 != tree.root_mode) {
        return Err(tree.differs(Path::new("/"), "has another mode"));
    }
    for entry in &tree.entries {
        let path = &entry.path;
        let node = found
            .remove(path)
            .ok_or_else(|| tree.differs(path, "is missing"))?;
        if node.header.permissions & 0o7777 != entry.mode {
            return Err(tree.differs(path, "has another mode"));
        }
        if (node.header.uid, node.header.gid, node.header.mtime) != (0, 0, mtime) {
            return Err(tree.differs(path, "has another owner or time"));
        }
        let same = match (&node.inner, &entry.kind) {
            (InnerNode::Dir(_), Kind::Directory) | (InnerNode::NamedPipe, Kind::Fifo) => true,
            (InnerNode::File(file), Kind::File { size, sha256 }) => {
                let handle = reader.file(file);
                let mut content = handle.reader_checked().map_err(BuildError::encode(WHAT))?;
                let got = digest_of(&mut content).map_err(BuildError::encode(WHAT))?;
                got == (*size, *sha256)
            }
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
    match found.keys().next() {
        Some(extra) => Err(tree.differs(extra, "should not be there")),
        None => Ok(()),
    }
}
