use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};
use std::vec;

use rustix::fs::{FileType, OFlags, SeekFrom, Statx};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::directory::{Directory, Identity};
use crate::entry::Entry;
use crate::error::ResetError;
use crate::limits::{
    KEPT_ENTRIES_MAX, KEPT_OPEN_MAX, PATH_SHOWN_BYTES_MAX, READ_BYTES, TRUST_ROOTS_MAX,
};
use crate::policy::{Class, Policy};
use crate::uri;

/// What the kept set is: a digest over names, types, modes, owners, modification times, extended
/// attributes, link targets, device numbers and contents.
///
/// Extended attributes are those of files and directories; other entries cannot be opened without
/// side effects. A mount in the kept set is named and not entered.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) digest: Digest,
    pub(crate) entries: u64,
    pub(crate) trust_roots: Vec<TrustRoot>,
    pub(crate) trust_roots_total: u64,
    /// A kept file that is also named elsewhere.
    pub(crate) escaping: Option<ResetError>,
}

/// A file below `state:/trust/installed`: it survives the reset, so the report names it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrustRoot {
    /// Where it is.
    pub uri: String,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its contents; `None` above 64 KiB, which no key has.
    pub sha256: Option<Digest>,
}

/// Reads the kept set below `root`. Changes nothing, access times included where that can be asked.
pub(crate) fn read(root: &Directory, top: &[Entry], policy: &Policy) -> Result<Kept, ResetError> {
    let names: Vec<CString> = top
        .iter()
        .filter(|entry| policy.class(entry.name()) == Class::Kept)
        .filter_map(Entry::c_name)
        .collect();
    let directory = root
        .try_clone()
        .map_err(|errno| ResetError::io("dup", uri::STATE, errno))?;
    let mut reader = Reader::new(directory, names);
    while reader.step()? {}
    Ok(reader.finish())
}

/// Walks with its own stack, so that no depth of directories can exhaust ours.
struct Reader {
    frames: Vec<Frame>,
    hasher: Sha256,
    entries: u64,
    links: HashMap<(u32, u32, u64), Links>,
    trust_roots: Vec<TrustRoot>,
    trust_roots_total: u64,
    buffer: Vec<u8>,
}

/// One directory on the way down.
struct Frame {
    name: CString,
    identity: Identity,
    /// `None` while too many below are open.
    directory: Option<Directory>,
    rest: vec::IntoIter<CString>,
}

struct Links {
    uri: String,
    links: u64,
    inside: u64,
}

/// Marks in the hashed records.
mod mark {
    pub(super) const ENTRY: &[u8] = b"e";
    pub(super) const MOUNT: &[u8] = b"m";
    pub(super) const END_OF_DIRECTORY: &[u8] = b".";
}

impl Reader {
    fn new(root: Directory, names: Vec<CString>) -> Self {
        let top = Frame {
            name: CString::default(),
            identity: *root.identity(),
            directory: Some(root),
            rest: names.into_iter(),
        };
        Self {
            frames: vec![top],
            hasher: Sha256::new(),
            entries: 0,
            links: HashMap::new(),
            trust_roots: Vec::new(),
            trust_roots_total: 0,
            buffer: vec![0; READ_BYTES],
        }
    }

    /// Reads one entry, or leaves one directory; `false` when nothing is left.
    fn step(&mut self) -> Result<bool, ResetError> {
        let Some(frame) = self.frames.last_mut() else {
            return Ok(false);
        };
        match frame.rest.next() {
            Some(name) => self.entry(name)?,
            None => self.leave()?,
        }
        Ok(true)
    }

    fn entry(&mut self, name: CString) -> Result<(), ResetError> {
        self.entries = self.entries.saturating_add(1);
        if self.entries > KEPT_ENTRIES_MAX {
            return Err(ResetError::TooManyKept {
                limit: KEPT_ENTRIES_MAX,
            });
        }
        let Some(directory) = self
            .frames
            .last()
            .and_then(|frame| frame.directory.as_ref())
        else {
            return Ok(());
        };
        let stat = directory
            .stat(&name)
            .map_err(|errno| self.fail("statx", &name, errno))?;
        match FileType::from_raw_mode(stat.stx_mode.into()) {
            FileType::Directory => match directory.open(&name) {
                Ok(child) => self.enter(name, child, &stat),
                Err(Errno::XDEV) => {
                    self.hasher.update(mark::MOUNT);
                    self.sized(name.to_bytes());
                    Ok(())
                }
                Err(errno) => Err(self.fail("open", &name, errno)),
            },
            FileType::RegularFile => {
                let file = directory.open_file(&name, OFlags::empty());
                match file {
                    Ok(file) => self.file(name, &file, &stat),
                    // Another file is mounted on it.
                    Err(Errno::XDEV) => {
                        self.hasher.update(mark::MOUNT);
                        self.sized(name.to_bytes());
                        Ok(())
                    }
                    Err(errno) => Err(self.fail("open", &name, errno)),
                }
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(directory, &name, Vec::new());
                let target = target.map_err(|errno| self.fail("readlink", &name, errno))?;
                self.record(&name, &stat);
                self.sized(target.to_bytes());
                self.count_links(&name, &stat);
                Ok(())
            }
            _ => {
                self.record(&name, &stat);
                self.count_links(&name, &stat);
                Ok(())
            }
        }
    }

    fn enter(&mut self, name: CString, child: Directory, stat: &Statx) -> Result<(), ResetError> {
        self.record(&name, stat);
        self.attributes(&child)
            .map_err(|errno| self.fail("getxattr", &name, errno))?;
        let room = usize::try_from(KEPT_ENTRIES_MAX.saturating_sub(self.entries));
        let names = child.names(room.unwrap_or(usize::MAX));
        let names = names.map_err(|errno| self.fail("getdents", &name, errno))?;
        let names = names.ok_or(ResetError::TooManyKept {
            limit: KEPT_ENTRIES_MAX,
        })?;
        self.frames.push(Frame {
            name,
            identity: *child.identity(),
            directory: Some(child),
            rest: names.into_iter(),
        });
        let far = self
            .frames
            .len()
            .checked_sub(KEPT_OPEN_MAX)
            .filter(|&far| far > 0);
        if let Some(frame) = far.and_then(|far| self.frames.get_mut(far)) {
            frame.directory = None;
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<(), ResetError> {
        self.hasher.update(mark::END_OF_DIRECTORY);
        let left = self.frames.pop().and_then(|frame| frame.directory);
        let (Some(left), Some(parent)) = (left, self.frames.last_mut()) else {
            return Ok(());
        };
        if parent.directory.is_none() {
            let opened = left.open_parent();
            // Moved away while we were in it: what is above now is not what was kept.
            match opened.map(|opened| (*opened.identity() == parent.identity).then_some(opened)) {
                Ok(Some(opened)) => parent.directory = Some(opened),
                Ok(None) => return Err(self.fail("reopen", c"..", Errno::STALE)),
                Err(errno) => return Err(self.fail("reopen", c"..", errno)),
            }
        }
        Ok(())
    }

    fn file(&mut self, name: CString, file: &OwnedFd, stat: &Statx) -> Result<(), ResetError> {
        self.record(&name, stat);
        self.attributes(file)
            .map_err(|errno| self.fail("getxattr", &name, errno))?;
        self.contents(file)
            .map_err(|errno| self.fail("read", &name, errno))?;
        self.count_links(&name, stat);
        if self.in_installed_trust() {
            self.trust_roots_total = self.trust_roots_total.saturating_add(1);
            if self.trust_roots.len() < TRUST_ROOTS_MAX {
                let sha256 = self.small_digest(file, stat.stx_size);
                let sha256 = sha256.map_err(|errno| self.fail("read", &name, errno))?;
                let uri = self.uri(&name);
                self.trust_roots.push(TrustRoot {
                    uri,
                    size: stat.stx_size,
                    sha256,
                });
            }
        }
        Ok(())
    }

    /// Hashes a file's size and its blocks that are not all zero, with where they are.
    ///
    /// Holes are skipped, so a file of a tebibyte that holds nothing costs nothing; written zeros
    /// are skipped as well, so that the digest does not depend on where the file system has holes.
    fn contents(&mut self, file: &OwnedFd) -> Result<(), Errno> {
        let grain = u64::try_from(READ_BYTES).unwrap_or(u64::MAX);
        let mut inner = Sha256::new();
        let mut at = 0_u64;
        'file: loop {
            let data = match rustix::fs::seek(file, SeekFrom::Data(at)) {
                Ok(data) => data,
                Err(Errno::NXIO) => break,
                Err(_) => at,
            };
            let hole = rustix::fs::seek(file, SeekFrom::Hole(data)).unwrap_or(u64::MAX);
            at = data.saturating_sub(data.checked_rem(grain).unwrap_or(0));
            while at < hole {
                let got = read_at(file, &mut self.buffer, at)?;
                let block = self.buffer.get(..got).unwrap_or_default();
                if block.iter().any(|&byte| byte != 0) {
                    inner.update(at.to_le_bytes());
                    inner.update(length(block));
                    inner.update(block);
                }
                if got < READ_BYTES {
                    break 'file;
                }
                at = at.saturating_add(grain);
            }
        }
        self.hasher.update(inner.finalize());
        Ok(())
    }

    fn small_digest(&mut self, file: &OwnedFd, size: u64) -> Result<Option<Digest>, Errno> {
        if usize::try_from(size).map_or(true, |size| size > READ_BYTES) {
            return Ok(None);
        }
        let got = read_at(file, &mut self.buffer, 0)?;
        Ok(Some(Digest::of(self.buffer.get(..got).unwrap_or_default())))
    }

    /// Hashes what an entry is, apart from its contents. Access and change times are left out.
    fn record(&mut self, name: &CStr, stat: &Statx) {
        self.hasher.update(mark::ENTRY);
        self.sized(name.to_bytes());
        self.hasher.update(stat.stx_mode.to_le_bytes());
        self.hasher.update(stat.stx_uid.to_le_bytes());
        self.hasher.update(stat.stx_gid.to_le_bytes());
        self.hasher.update(stat.stx_mtime.tv_sec.to_le_bytes());
        self.hasher.update(stat.stx_mtime.tv_nsec.to_le_bytes());
        self.hasher.update(stat.stx_rdev_major.to_le_bytes());
        self.hasher.update(stat.stx_rdev_minor.to_le_bytes());
        // A directory's size is the file system's own affair.
        let sized = FileType::from_raw_mode(stat.stx_mode.into()) != FileType::Directory;
        self.hasher
            .update(if sized { stat.stx_size } else { 0 }.to_le_bytes());
    }

    /// Hashes the extended attributes, access control lists among them, by name.
    fn attributes(&mut self, fd: impl AsFd) -> Result<(), Errno> {
        // What Linux allows: 64 KiB of names, 64 KiB for a value (xattr(7)).
        const BYTES_MAX: usize = 64 * 1024;
        let size = match rustix::fs::flistxattr_query(&fd) {
            Ok(size) => size,
            Err(Errno::NOTSUP) => 0,
            Err(errno) => return Err(errno),
        };
        if size == 0 {
            self.hasher.update(length::<u8>(&[]));
            return Ok(());
        }
        let mut list = vec![0_u8; BYTES_MAX];
        let listed = rustix::fs::flistxattr(&fd, list.as_mut_slice())?;
        list.truncate(listed);
        let mut names: Vec<&[u8]> = list
            .split(|&byte| byte == 0)
            .filter(|name| !name.is_empty())
            .collect();
        names.sort_unstable();
        self.hasher.update(length(&names));
        let mut value = vec![0_u8; BYTES_MAX];
        for name in names {
            let got = match rustix::fs::fgetxattr(&fd, name, value.as_mut_slice()) {
                Ok(got) => got,
                // Gone since it was listed, or not for our eyes; the name has been seen.
                Err(Errno::NODATA | Errno::PERM | Errno::ACCESS) => 0,
                Err(errno) => return Err(errno),
            };
            self.sized(name);
            self.sized(value.get(..got).unwrap_or_default());
        }
        Ok(())
    }

    fn sized(&mut self, bytes: &[u8]) {
        self.hasher.update(length(bytes));
        self.hasher.update(bytes);
    }

    fn count_links(&mut self, name: &CStr, stat: &Statx) {
        if stat.stx_nlink > 1 {
            let file = (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino);
            let uri = self.uri(name);
            let links = u64::from(stat.stx_nlink);
            let seen = self.links.entry(file).or_insert(Links {
                uri,
                links,
                inside: 0,
            });
            seen.inside = seen.inside.saturating_add(1);
        }
    }

    fn in_installed_trust(&self) -> bool {
        let is = |depth: usize, name: &[u8]| {
            self.frames
                .get(depth)
                .is_some_and(|frame| frame.name.to_bytes() == name)
        };
        is(1, b"trust") && is(2, b"installed")
    }

    fn uri(&self, name: &CStr) -> String {
        let mut uri = String::from(uri::STATE);
        for frame in self.frames.iter().skip(1) {
            if uri.len() > PATH_SHOWN_BYTES_MAX {
                uri.push_str("…/");
                break;
            }
            uri::push_encoded(&mut uri, frame.name.to_bytes());
            uri.push('/');
        }
        uri::push_encoded(&mut uri, name.to_bytes());
        uri
    }

    fn fail(&self, op: &'static str, name: &CStr, errno: Errno) -> ResetError {
        ResetError::io(op, self.uri(name), errno)
    }

    fn finish(self) -> Kept {
        let mut escaping: Vec<Links> = self
            .links
            .into_values()
            .filter(|links| links.inside < links.links)
            .collect();
        escaping.sort_by(|a, b| a.uri.cmp(&b.uri));
        let escaping = escaping
            .into_iter()
            .next()
            .map(|first| ResetError::HardLink {
                uri: first.uri,
                links: first.links,
                inside: first.inside,
            });
        Kept {
            digest: self.hasher.into(),
            entries: self.entries,
            trust_roots: self.trust_roots,
            trust_roots_total: self.trust_roots_total,
            escaping,
        }
    }
}

/// Reads at `offset` until `buffer` is full or the file ends; returns the number of bytes.
pub(crate) fn read_at(file: &OwnedFd, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let mut filled = 0_usize;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        let from = offset.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
        match rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut *room, from))? {
            0 => break,
            got => filled = filled.saturating_add(got),
        }
    }
    Ok(filled)
}

fn length<T>(items: &[T]) -> [u8; 8] {
    u64::try_from(items.len()).unwrap_or(u64::MAX).to_le_bytes()
}
