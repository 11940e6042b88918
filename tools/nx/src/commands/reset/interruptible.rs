use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

use nx_reset::{Collision, Ops, System};
use rustix::io::Errno;

use crate::interrupt::Interrupt;

/// Changes the running system until someone wants the end; from then on, nothing.
///
/// A reset that is stopped so is stopped between two operations, as by a power cut, and can tell.
#[derive(Debug)]
pub(crate) struct Interruptible {
    system: System,
    interrupt: Interrupt,
}

impl Interruptible {
    pub(crate) fn new(interrupt: Interrupt) -> Self {
        Self {
            system: System,
            interrupt,
        }
    }

    fn system(&mut self) -> Result<&mut System, Errno> {
        if self.interrupt.is_wanted() {
            Err(Errno::CANCELED)
        } else {
            Ok(&mut self.system)
        }
    }
}

impl Ops for Interruptible {
    fn mkdir(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        self.system()?.mkdir(dir, name)
    }

    fn create(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
        self.system()?.create(dir, name)
    }

    fn write(&mut self, file: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
        self.system()?.write(file, bytes)
    }

    fn sync(&mut self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        self.system()?.sync(fd)
    }

    fn rename(
        &mut self,
        from: (BorrowedFd<'_>, &CStr),
        to: (BorrowedFd<'_>, &CStr),
        collision: Collision,
    ) -> Result<(), Errno> {
        self.system()?.rename(from, to, collision)
    }

    fn unlink(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        self.system()?.unlink(dir, name)
    }

    fn rmdir(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        self.system()?.rmdir(dir, name)
    }

    fn unseal(&mut self, dir: BorrowedFd<'_>) -> Result<(), Errno> {
        self.system()?.unseal(dir)
    }
}
