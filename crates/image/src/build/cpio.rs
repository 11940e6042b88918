//! A directory as a newc cpio archive, as the Linux kernel takes it for its initrd.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek as _, Write as _};
use std::path::Path;

use cpio::newc::{Builder, ModeFileType, Reader, trailer};

use super::error::BuildError;
use super::tree::{Kind, Tree, device_numbers, digest_of};
use crate::digest::Digest;

const WHAT: &str = "a cpio archive";
const FORMAT_BITS: u32 = 0o170_000;

/// Writes a tree to `out` and proves, by reading it back, that it is the tree.
pub(super) fn write(tree: &Tree, mtime: u32, out: &mut File) -> Result<(), BuildError> {
    let mut writer = BufWriter::with_capacity(256 * 1_024, &mut *out);
    for (number, entry) in (1_u32..).zip(&tree.entries) {
        let name = entry.path.to_str().unwrap_or_default();
        let mut header = Builder::new(name)
            .ino(number)
            .uid(0)
            .gid(0)
            .nlink(1)
            .mtime(mtime)
            .mode(u32::from(entry.mode));
        let (file_type, content): (_, Content) = match &entry.kind {
            Kind::Directory => (ModeFileType::Directory, Content::Bytes(Vec::new())),
            Kind::File { size, .. } => (ModeFileType::Regular, Content::File(*size)),
            Kind::Symlink(to) => {
                let to = to.to_str().unwrap_or_default().as_bytes().to_vec();
                (ModeFileType::Symlink, Content::Bytes(to))
            }
            Kind::CharDevice(rdev) | Kind::BlockDevice(rdev) => {
                let (major, minor) = device_numbers(*rdev);
                header = header.rdev_major(major).rdev_minor(minor);
                let char_device = matches!(entry.kind, Kind::CharDevice(_));
                let kind = if char_device {
                    ModeFileType::Char
                } else {
                    ModeFileType::Block
                };
                (kind, Content::Bytes(Vec::new()))
            }
            Kind::Fifo => (ModeFileType::Fifo, Content::Bytes(Vec::new())),
        };
        header = header.set_mode_file_type(file_type);
        let path = tree.root.join(&entry.path);
        let result = match content {
            Content::Bytes(bytes) => put(header, &bytes, &mut writer),
            Content::File(size) => {
                let size = u32::try_from(size).map_err(|_| BuildError::Input {
                    segment: tree.segment,
                    path: path.clone(),
                    what: "is over 4 GiB, which a cpio archive cannot hold".to_owned(),
                })?;
                let mut file = File::open(&path).map_err(BuildError::io("open", &path))?;
                put_file(header, &mut file, size, &mut writer)
            }
        };
        result.map_err(BuildError::io("write the archive entry for", &path))?;
    }
    trailer(&mut writer).map_err(BuildError::encode(WHAT))?;
    writer.flush().map_err(BuildError::encode(WHAT))?;
    drop(writer);
    read_back(tree, out)
}

enum Content {
    Bytes(Vec<u8>),
    File(u64),
}

fn put(header: Builder, bytes: &[u8], writer: &mut impl io::Write) -> io::Result<()> {
    let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut entry = header.write(writer, size);
    entry.write_all(bytes)?;
    entry.finish().map(|_| ())
}

fn put_file(
    header: Builder,
    file: &mut File,
    size: u32,
    writer: &mut impl io::Write,
) -> io::Result<()> {
    let mut entry = header.write(writer, size);
    let copied = io::copy(&mut io::Read::take(file, u64::from(size)), &mut entry)?;
    if copied != u64::from(size) {
        return Err(io::Error::other("it became shorter while it was read"));
    }
    entry.finish().map(|_| ())
}

fn read_back(tree: &Tree, out: &mut File) -> Result<(), BuildError> {
    out.rewind().map_err(BuildError::encode(WHAT))?;
    let mut input = BufReader::with_capacity(256 * 1_024, out);
    for entry in &tree.entries {
        let path = &entry.path;
        let mut reader = Reader::new(&mut input).map_err(BuildError::encode(WHAT))?;
        let found = reader.entry();
        if found.is_trailer() || Path::new(found.name()) != path {
            return Err(tree.differs(path, "is missing"));
        }
        if found.mode() & 0o7777 != u32::from(entry.mode) {
            return Err(tree.differs(path, "has another mode"));
        }
        let kind = found.mode() & FORMAT_BITS;
        let device = (found.rdev_major(), found.rdev_minor());
        let (size, sha256) = digest_of(&mut reader).map_err(BuildError::encode(WHAT))?;
        let empty = size == 0;
        let same = match &entry.kind {
            Kind::Directory => kind == 0o040_000 && empty,
            Kind::File {
                size: want,
                sha256: digest,
            } => kind == 0o100_000 && (size, sha256) == (*want, *digest),
            Kind::Symlink(to) => {
                let to = to.to_str().unwrap_or_default();
                kind == 0o120_000 && sha256 == Digest::of(to.as_bytes())
            }
            Kind::CharDevice(rdev) => kind == 0o020_000 && device == device_numbers(*rdev),
            Kind::BlockDevice(rdev) => kind == 0o060_000 && device == device_numbers(*rdev),
            Kind::Fifo => kind == 0o010_000 && empty,
        };
        if !same {
            return Err(tree.differs(path, "has another content"));
        }
        reader.finish().map_err(BuildError::encode(WHAT))?;
    }
    let end = Reader::new(&mut input).map_err(BuildError::encode(WHAT))?;
    if end.entry().is_trailer() {
        return Ok(());
    }
    let extra = end.entry().name().to_owned();
    Err(tree.differs(Path::new(&extra), "should not be there"))
}
