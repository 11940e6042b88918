use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, SeekFrom, Statx, StatxFlags,
};
use rustix::io::Errno;

use crate::limits::LISTING_BYTES;

/// An open directory, and which one it is.
///
/// Children are opened by a single name, never through a link and never across a mount.
#[derive(Debug)]
pub(crate) struct Directory {
    fd: OwnedFd,
    identity: Identity,
}

/// Tells one directory from every other, bind mounts of the same file system included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: (u32, u32),
    inode: u64,
    mount: u64,
}

impl Identity {
    /// Whether both name the same directory, through whichever mount.
    pub(crate) fn same_inode(&self, other: &Self) -> bool {
        self.device == other.device && self.inode == other.inode
    }

    fn same_mount(&self, other: &Self) -> bool {
        self.device == other.device && self.mount == other.mount
    }
}

impl Directory {
    /// Takes an open directory.
    pub(crate) fn adopt(fd: OwnedFd) -> Result<Self, Errno> {
        let stat = stat(fd.as_fd(), c"", AtFlags::EMPTY_PATH)?;
        let identity = Identity {
            device: (stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
            // Zero, and so equal everywhere, before Linux 5.8; devices still tell mounts apart.
            mount: stat.stx_mnt_id,
        };
        Ok(Self { fd, identity })
    }

    /// Opens the directory `name` in this one.
    ///
    /// # Errors
    /// `NOTDIR` or `LOOP` if it is something else, `XDEV` if it lies on another mount.
    pub(crate) fn open(&self, name: &CStr) -> Result<Self, Errno> {
        let child = Self::adopt(self.open_file(name, OFlags::DIRECTORY)?)?;
        if child.identity.same_mount(&self.identity) {
            Ok(child)
        } else {
            Err(Errno::XDEV)
        }
    }

    /// Opens `name` in this directory for reading. Never waits for a peer, as a FIFO would.
    pub(crate) fn open_file(&self, name: &CStr, more: OFlags) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | more;
        // Looking must not write, and reading sets a time. Only an owner may ask for that.
        match self.open_beneath(name, flags | OFlags::NOATIME) {
            Err(Errno::PERM) => self.open_beneath(name, flags),
            result => result,
        }
    }

    /// Opens `name` without being allowed to read it, to change its mode.
    pub(crate) fn open_path(&self, name: &CStr) -> Result<OwnedFd, Errno> {
        self.open_beneath(name, OFlags::PATH | OFlags::NOFOLLOW)
    }

    /// Opens the parent, which the caller compares with the one that it expects.
    pub(crate) fn open_parent(&self) -> Result<Self, Errno> {
        // As a mere path: it need not be readable to be compared or searched.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Self::adopt(rustix::fs::openat(&self.fd, c"..", flags, Mode::empty())?)
    }

    /// Another handle of the same directory.
    pub(crate) fn try_clone(&self) -> Result<Self, Errno> {
        let fd = rustix::io::fcntl_dupfd_cloexec(&self.fd, 0)?;
        Ok(Self {
            fd,
            identity: self.identity,
        })
    }

    /// Facts about `name` in this directory; links are not followed.
    pub(crate) fn stat(&self, name: &CStr) -> Result<Statx, Errno> {
        stat(
            self.fd.as_fd(),
            name,
            AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT,
        )
    }

    /// Facts about this directory itself.
    pub(crate) fn stat_self(&self) -> Result<Statx, Errno> {
        stat(self.fd.as_fd(), c"", AtFlags::EMPTY_PATH)
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Calls `visit` with every entry but `.` and `..`, from the first, in the file system's order.
    ///
    /// Entries may be removed meanwhile; whether entries made meanwhile are seen is not said.
    /// Memory does not grow with the directory.
    pub(crate) fn for_each<E: From<Errno>>(
        &self,
        mut visit: impl FnMut(&CStr, FileType) -> Result<(), E>,
    ) -> Result<(), E> {
        rustix::fs::seek(&self.fd, SeekFrom::Start(0))?;
        let mut buffer = vec![MaybeUninit::uninit(); LISTING_BYTES];
        let mut entries = RawDir::new(&self.fd, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                visit(name, entry.file_type())?;
            }
        }
        Ok(())
    }

    /// The names in this directory in byte order; `None` if there are more than `limit`.
    pub(crate) fn names(&self, limit: usize) -> Result<Option<Vec<CString>>, Errno> {
        let mut names = Vec::new();
        let listed = self.for_each(|name, _| {
            if names.len() >= limit {
                return Err(TooMany::Names);
            }
            names.push(name.to_owned());
            Ok(())
        });
        match listed {
            Ok(()) => {
                names.sort_unstable();
                Ok(Some(names))
            }
            Err(TooMany::Names) => Ok(None),
            Err(TooMany::Io(errno)) => Err(errno),
        }
    }

    fn open_beneath(&self, name: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS
            | ResolveFlags::NO_XDEV;
        match rustix::fs::openat2(&self.fd, name, flags, Mode::empty(), resolve) {
            // No such call in this kernel. A single name with NOFOLLOW follows no link either, and
            // `open` compares mounts.
            Err(Errno::NOSYS) => rustix::fs::openat(&self.fd, name, flags, Mode::empty()),
            result => result,
        }
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

enum TooMany {
    Names,
    Io(Errno),
}

impl From<Errno> for TooMany {
    fn from(errno: Errno) -> Self {
        Self::Io(errno)
    }
}

/// `statx` of everything that is looked at here, the mount included.
pub(crate) fn stat(dir: BorrowedFd<'_>, name: &CStr, flags: AtFlags) -> Result<Statx, Errno> {
    rustix::fs::statx(
        dir,
        name,
        flags,
        StatxFlags::BASIC_STATS | StatxFlags::MNT_ID,
    )
}
