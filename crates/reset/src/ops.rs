use std::ffi::CStr;
use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

/// Every operation by which a reset changes a file system; reading is not among them.
///
/// [`System`] makes the calls. A test puts itself between to fail any of them, or to stop before it
/// as a power cut would. Names are single: they hold no `/`.
pub trait Ops: fmt::Debug {
    /// Makes the directory `name`, for its owner only.
    fn mkdir(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno>;

    /// Makes the file `name`, for its owner only, and opens it for writing; it must not exist.
    fn create(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno>;

    /// Appends some of `bytes` to `file`; returns how many.
    fn write(&mut self, file: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno>;

    /// Makes what was written to a file, or the names in a directory, durable.
    fn sync(&mut self, fd: BorrowedFd<'_>) -> Result<(), Errno>;

    /// Moves `from` to `to` in one step.
    fn rename(
        &mut self,
        from: (BorrowedFd<'_>, &CStr),
        to: (BorrowedFd<'_>, &CStr),
        collision: Collision,
    ) -> Result<(), Errno>;

    /// Removes a name that is no directory.
    fn unlink(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno>;

    /// Removes an empty directory.
    fn rmdir(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno>;

    /// Lets the owner read, change and search a directory that is about to be deleted; `dir` may
    /// have been opened as a mere path.
    fn unseal(&mut self, dir: BorrowedFd<'_>) -> Result<(), Errno>;
}

/// What a rename does when its new name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collision {
    /// It fails.
    Refuse,
    /// It takes the other's place.
    Replace,
}

/// The running system.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Ops for System {
    fn mkdir(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        rustix::fs::mkdirat(dir, name, Mode::RWXU)
    }

    fn create(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR)
    }

    fn write(&mut self, file: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
        rustix::io::retry_on_intr(|| rustix::io::write(file, bytes))
    }

    fn sync(&mut self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        rustix::io::retry_on_intr(|| rustix::fs::fsync(fd))
    }

    fn rename(
        &mut self,
        from: (BorrowedFd<'_>, &CStr),
        to: (BorrowedFd<'_>, &CStr),
        collision: Collision,
    ) -> Result<(), Errno> {
        let flags = match collision {
            Collision::Refuse => RenameFlags::NOREPLACE,
            Collision::Replace => RenameFlags::empty(),
        };
        rustix::fs::renameat_with(from.0, from.1, to.0, to.1, flags)
    }

    fn unlink(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        rustix::fs::unlinkat(dir, name, AtFlags::empty())
    }

    fn rmdir(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)
    }

    fn unseal(&mut self, dir: BorrowedFd<'_>) -> Result<(), Errno> {
        // The mode of a path handle changes only by name; this name leads to the handle's own
        // inode, whatever has happened to the directory's name since.
        let handle = format!("/proc/self/fd/{}", dir.as_raw_fd());
        rustix::fs::chmodat(CWD, handle.as_str(), Mode::RWXU, AtFlags::empty())
    }
}
