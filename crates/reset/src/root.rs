use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, StatxAttributes};
use rustix::io::Errno;

use crate::directory::{Directory, stat};
use crate::entry::{Entry, EntryKind};
use crate::error::ResetError;
use crate::guard;
use crate::limits::TOP_ENTRIES_MAX;
use crate::mounts;
use crate::policy::{Class, Policy};
use crate::uri;

/// An open and locked state root that may be reset.
#[derive(Debug)]
pub(crate) struct Root {
    directory: Directory,
    path: PathBuf,
}

/// How a root is locked, on its own descriptor; the lock goes with it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lock {
    /// With others who look, or who use what is in it.
    Looking,
    /// Against all others.
    Resetting,
}

impl Root {
    /// Opens the state root at `path`; takes the lock; refuses a directory that is never reset.
    pub(crate) fn open(path: &Path, lock: Lock) -> Result<Self, ResetError> {
        let directory = directory_at(path)?;
        let protected = guard::protected(directory.identity())
            .map_err(|errno| ResetError::io("open parents of", ".", errno))?;
        if let Some(what) = protected {
            return Err(ResetError::RootProtected {
                root: path.to_owned(),
                what,
            });
        }
        self::lock(&directory, path, lock)?;
        Ok(Self {
            directory,
            path: path.to_owned(),
        })
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The top-level entries, in byte order.
    pub(crate) fn scan(&self) -> Result<Vec<Entry>, ResetError> {
        let names = self.directory.names(TOP_ENTRIES_MAX);
        let names = names.map_err(|errno| ResetError::io("getdents", uri::STATE, errno))?;
        let names = names.ok_or(ResetError::TooManyEntries {
            limit: TOP_ENTRIES_MAX,
        })?;
        let mut entries = Vec::with_capacity(names.len());
        for name in names {
            match self.directory.stat(&name) {
                Ok(stat) => {
                    let kind = EntryKind::of(FileType::from_raw_mode(stat.stx_mode.into()));
                    let name = OsStr::from_bytes(name.to_bytes());
                    entries.push(Entry::new(name, kind));
                }
                // Gone since it was listed.
                Err(Errno::NOENT) => {}
                Err(errno) => {
                    return Err(ResetError::io(
                        "statx",
                        uri::of_name(name.to_bytes()),
                        errno,
                    ));
                }
            }
        }
        Ok(entries)
    }

    /// Refuses a root in which nothing says that it is one.
    pub(crate) fn check_known(&self, entries: &[Entry], policy: &Policy) -> Result<(), ResetError> {
        let known = entries
            .iter()
            .any(|entry| entry.kind() == EntryKind::Directory && policy.knows(entry.name()));
        if known {
            return Ok(());
        }
        let known = [policy.named(), policy.kept()].concat().join(", ");
        Err(ResetError::RootUnknown {
            root: self.path.clone(),
            known,
        })
    }

    /// Refuses what could not be removed, or not without reaching beyond, before anything changes.
    pub(crate) fn check_removable(
        &self,
        entries: &[Entry],
        policy: &Policy,
    ) -> Result<(), ResetError> {
        for entry in entries {
            let uri = || uri::of_name(entry.name());
            let kept = policy.class(entry.name()) == Class::Kept;
            if kept && entry.kind() == EntryKind::Symlink {
                return Err(ResetError::KeptLink { uri: uri() });
            }
            let Some(name) = entry.c_name().filter(|_| !kept) else {
                continue;
            };
            let stat = self.directory.stat(&name);
            if stat.is_ok_and(|stat| is_immutable(&stat)) {
                return Err(ResetError::Immutable { path: uri() });
            }
        }
        self.check_mounts(policy)?;
        self.check_flash()
    }

    /// Refuses a mount below anything that is removed. A mount below the kept set is not entered.
    fn check_mounts(&self, policy: &Policy) -> Result<(), ResetError> {
        let resolved = self
            .resolved()
            .map_err(|source| ResetError::NoMountTable { source })?;
        let mut found: Option<String> = None;
        let visit = |relative: &[u8]| {
            let top = relative
                .split(|&byte| byte == b'/')
                .next()
                .unwrap_or_default();
            if policy.class(top) != Class::Kept {
                let mut path = String::from(uri::STATE);
                for (position, part) in relative.split(|&byte| byte == b'/').enumerate() {
                    if position > 0 {
                        path.push('/');
                    }
                    uri::push_encoded(&mut path, part);
                }
                found.get_or_insert(path);
            }
        };
        mounts::below(&resolved, visit).map_err(|source| ResetError::NoMountTable { source })?;
        found.map_or(Ok(()), |path| Err(ResetError::MountPoint { path }))
    }

    /// Refuses while someone holds a lock on the flash directory or a file in it.
    fn check_flash(&self) -> Result<(), ResetError> {
        let Ok(flash) = self.directory.open(c"flash") else {
            return Ok(());
        };
        let held = |fd: &dyn AsFd| {
            let operation = FlockOperation::NonBlockingLockExclusive;
            rustix::fs::flock(fd.as_fd(), operation) == Err(Errno::WOULDBLOCK)
        };
        let file_held = |name: &CStr| {
            let stat = flash.stat(name)?;
            let kind = FileType::from_raw_mode(stat.stx_mode.into());
            let is_file = kind == FileType::RegularFile;
            Ok(is_file && held(&flash.open_file(name, OFlags::empty())?))
        };
        let mut any_held = held(&flash);
        let looked = flash.for_each(|name, _| {
            any_held = any_held
                || match file_held(name) {
                    // Gone since it was listed.
                    Err(Errno::NOENT) => false,
                    held => held?,
                };
            Ok(())
        });
        // What cannot be looked at may be held.
        looked
            .map_err(|errno: Errno| ResetError::io("look for locks in", "state:/flash", errno))?;
        if any_held {
            Err(ResetError::FlashInProgress)
        } else {
            Ok(())
        }
    }

    /// The root's path as the mount table writes it.
    fn resolved(&self) -> std::io::Result<Vec<u8>> {
        let link = format!("/proc/self/fd/{}", self.directory.as_fd().as_raw_fd());
        Ok(rustix::fs::readlink(link.as_str(), Vec::new())?.into_bytes())
    }
}

/// Opens the directory at `path`, which must not be a link to one.
pub(crate) fn directory_at(path: &Path) -> Result<Directory, ResetError> {
    // Components drop a trailing slash, which would follow a link in spite of `NOFOLLOW`.
    let bare = path.components().as_path();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = match rustix::fs::openat(CWD, bare, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(errno) => return Err(no_root(path, bare, errno)),
    };
    let shown = || path.display().to_string();
    Directory::adopt(fd).map_err(|errno| ResetError::io("statx", shown(), errno))
}

/// Locks the root `directory`, which is at `path`.
pub(crate) fn lock(directory: &Directory, path: &Path, lock: Lock) -> Result<(), ResetError> {
    let operation = match lock {
        Lock::Looking => FlockOperation::NonBlockingLockShared,
        Lock::Resetting => FlockOperation::NonBlockingLockExclusive,
    };
    match rustix::fs::flock(directory, operation) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(ResetError::Locked {
            root: path.to_owned(),
        }),
        Err(errno) => Err(ResetError::io("flock", path.display().to_string(), errno)),
    }
}

fn no_root(path: &Path, bare: &Path, errno: Errno) -> ResetError {
    let root = path.to_owned();
    if errno == Errno::NOENT {
        return ResetError::NoRoot { root };
    }
    let kind = CString::new(bare.as_os_str().as_bytes())
        .ok()
        .and_then(|name| stat(CWD, &name, AtFlags::SYMLINK_NOFOLLOW).ok())
        .map(|stat| EntryKind::of(FileType::from_raw_mode(stat.stx_mode.into())));
    match kind {
        Some(kind) if kind != EntryKind::Directory => ResetError::RootNotDirectory { root, kind },
        _ => ResetError::io("open", path.display().to_string(), errno),
    }
}

/// Whether an attribute forbids removing it, or removing what is in it.
pub(crate) fn is_immutable(stat: &rustix::fs::Statx) -> bool {
    stat.stx_attributes
        .intersects(StatxAttributes::IMMUTABLE | StatxAttributes::APPEND)
}
