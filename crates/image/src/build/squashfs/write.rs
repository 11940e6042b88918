use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use backhand::compression::Compressor;
use backhand::kind::Kind as Format;
use backhand::{DEFAULT_BLOCK_SIZE, FilesystemCompressor, FilesystemWriter, NodeHeader};

use super::WHAT;
use super::ahead::{Ahead, while_ahead};
use super::read_back::read_back;
use super::source::Source;
use crate::build::error::BuildError;
use crate::build::tree::{Kind, Tree, device_numbers};

/// Longest target of a symbolic link that the library writes; at a longer one it panics.
const LINK_BYTES_MAX: usize = 255;

/// Writes a tree to `out` and proves, by reading it back, that it is the tree.
pub(in crate::build) fn write(tree: &Tree, mtime: u32, out: &mut File) -> Result<(), BuildError> {
    let written = encode(tree, mtime, out);
    // What stopped it is not what a library makes of it.
    tree.stop.check()?;
    written?;
    read_back(tree, mtime, out)
}

pub(super) fn encode(tree: &Tree, mtime: u32, out: &mut File) -> Result<(), BuildError> {
    let block_size = usize::try_from(DEFAULT_BLOCK_SIZE).unwrap_or(usize::MAX);
    while_ahead(tree, block_size, || encode_now(tree, mtime, out))
}

/// With what is at hand on this thread, or nothing.
pub(super) fn encode_now(tree: &Tree, mtime: u32, out: &mut File) -> Result<(), BuildError> {
    let mut writer = FilesystemWriter::default();
    writer.set_kind(Format::new_v4(&Ahead));
    writer.set_block_size(DEFAULT_BLOCK_SIZE);
    let zstd = FilesystemCompressor::new(Compressor::Zstd, None);
    writer.set_compressor(zstd.map_err(BuildError::encode(WHAT))?);
    writer.set_time(mtime);
    writer.set_only_root_id();
    // `false` switches de-duplication off: it compares hashes of 64 bits and nothing more.
    writer.set_no_duplicate_files(false);
    writer.set_root_mode(tree.root_mode);
    for (index, entry) in tree.entries.iter().enumerate() {
        let header = NodeHeader::new(entry.mode, 0, 0, mtime);
        let path = Path::new("/").join(&entry.path);
        let full = || tree.root.join(&entry.path);
        let pushed = match &entry.kind {
            Kind::Directory => writer.push_dir(&path, header),
            Kind::File { size } => {
                let source = Source::new(index, full(), *size, tree.stop.clone());
                writer.push_file(source, &path, header)
            }
            Kind::Symlink(to) if to.as_os_str().len() > LINK_BYTES_MAX => {
                return Err(BuildError::Input {
                    segment: tree.segment,
                    path: full(),
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
    let mut buffered = BufWriter::with_capacity(256 * 1024, &mut *out);
    writer
        .write(&mut buffered)
        .map_err(BuildError::encode(WHAT))?;
    buffered.flush().map_err(BuildError::encode(WHAT))
}

/// A device number as squashfs keeps it.
pub(super) const fn packed(rdev: u64) -> u32 {
    let (major, minor) = device_numbers(rdev);
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}
