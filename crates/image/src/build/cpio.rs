//! A directory as a newc cpio archive, as the Linux kernel takes it for its initrd.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek as _, Write as _};
use std::path::Path;

use cpio::newc::{Builder, ModeFileType, Reader, trailer};

use super::error::BuildError;
use super::stop::Stop;
use super::tree::{Entry, Kind, Tree, device_numbers, open};

const WHAT: &str = "a cpio archive";
const FORMAT_BITS: u32 = 0o170_000;
/// Bytes that are copied or compared at once; then it may be stopped.
const PIECE_BYTES: usize = 1024 * 1024;

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
            Kind::File { size } => (ModeFileType::Regular, Content::File(*size)),
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
                let file = open(&path).map_err(BuildError::io("open", &path))?;
                put_file(header, file, size, &mut writer, &tree.stop)
            }
        };
        tree.stop.check()?;
        result.map_err(BuildError::io("write the archive entry for", &path))?;
    }
    trailer(&mut writer).map_err(BuildError::scratch)?;
    writer.flush().map_err(BuildError::scratch)?;
    drop(writer);
    read_back(tree, mtime, out)
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
    file: File,
    size: u32,
    writer: &mut impl io::Write,
    stop: &Stop,
) -> io::Result<()> {
    let mut entry = header.write(writer, size);
    let mut left = u64::from(size);
    while left > 0 {
        if stop.is_wanted() {
            return Err(io::Error::other("stopped"));
        }
        let piece = left.min(PIECE_BYTES as u64);
        let copied = io::copy(&mut io::Read::take(&file, piece), &mut entry)?;
        if copied != piece {
            return Err(io::Error::other("it became shorter while it was read"));
        }
        left = left.saturating_sub(piece);
    }
    entry.finish().map(|_| ())
}

fn read_back(tree: &Tree, mtime: u32, out: &mut File) -> Result<(), BuildError> {
    out.rewind().map_err(BuildError::encode(WHAT))?;
    let mut input = BufReader::with_capacity(256 * 1_024, out);
    for entry in &tree.entries {
        let path = &entry.path;
        let mut reader = Reader::new(&mut input).map_err(BuildError::encode(WHAT))?;
        check_header(tree, entry, mtime, reader.entry())?;
        let same = match &entry.kind {
            Kind::File { size } => {
                u64::from(reader.entry().file_size()) == *size
                    && holds_file(tree, entry, &mut reader)?
            }
            Kind::Symlink(to) => {
                let to = to.to_str().unwrap_or_default().as_bytes();
                holds(&mut reader, &mut &*to, &tree.stop).map_err(BuildError::encode(WHAT))?
            }
            _ => reader.entry().file_size() == 0,
        };
        tree.stop.check()?;
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

/// All that an archive says of an entry besides its content.
fn check_header(
    tree: &Tree,
    entry: &Entry,
    mtime: u32,
    found: &cpio::newc::Entry,
) -> Result<(), BuildError> {
    let path = &entry.path;
    if found.is_trailer() || Path::new(found.name()) != path {
        return Err(tree.differs(path, "is missing"));
    }
    if found.mode() & 0o7777 != u32::from(entry.mode) {
        return Err(tree.differs(path, "has another mode"));
    }
    if (found.uid(), found.gid(), found.nlink()) != (0, 0, 1) {
        return Err(tree.differs(path, "has another owner, or another number of names"));
    }
    if found.mtime() != mtime {
        return Err(tree.differs(path, "has another time"));
    }
    let device = (found.rdev_major(), found.rdev_minor());
    let (kind, want) = match &entry.kind {
        Kind::Directory => (0o040_000, (0, 0)),
        Kind::File { .. } => (0o100_000, (0, 0)),
        Kind::Symlink(_) => (0o120_000, (0, 0)),
        Kind::CharDevice(rdev) => (0o020_000, device_numbers(*rdev)),
        Kind::BlockDevice(rdev) => (0o060_000, device_numbers(*rdev)),
        Kind::Fifo => (0o010_000, (0, 0)),
    };
    if (found.mode() & FORMAT_BITS, device) != (kind, want) {
        return Err(tree.differs(path, "is of another kind"));
    }
    Ok(())
}

fn holds_file(tree: &Tree, entry: &Entry, reader: &mut dyn io::Read) -> Result<bool, BuildError> {
    let full = tree.root.join(&entry.path);
    let mut source = open(&full).map_err(BuildError::io("open", &full))?;
    holds(reader, &mut source, &tree.stop).map_err(BuildError::io("read back", &full))
}

/// Whether two readers give the same bytes.
fn holds(reader: &mut dyn io::Read, source: &mut dyn io::Read, stop: &Stop) -> io::Result<bool> {
    let (mut got, mut want) = (Vec::new(), Vec::new());
    loop {
        if stop.is_wanted() {
            return Err(io::Error::other("stopped"));
        }
        for (bytes, from) in [(&mut got, reader as &mut dyn io::Read), (&mut want, source)] {
            bytes.clear();
            io::Read::read_to_end(&mut io::Read::take(from, PIECE_BYTES as u64), bytes)?;
        }
        match (got == want, got.is_empty()) {
            (false, _) => return Ok(false),
            (true, true) => return Ok(true),
            (true, false) => {}
        }
    }
}

#[cfg(test)]
mod tests;
