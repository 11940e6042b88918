//! The same, as a reset asks for it: by open folders and single names.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nx_reset::{Collision, Ops, System};
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use super::{Inner, Recorder};
use crate::fault::Strike;
use crate::tree::{Inode, ROOT, Step};

impl Inner {
    fn number_of(&self, fd: impl AsFd) -> Inode {
        let real = rustix::fs::fstat(fd).expect("it is open").st_ino;
        self.numbers.get(&real).copied().unwrap_or(ROOT)
    }

    fn name_in(&self, folder: impl AsFd, name: &CStr) -> (Inode, String) {
        (self.number_of(folder), text(name))
    }

    /// Writes down that a name was made.
    fn made(&mut self, folder: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let made = self.live.next();
        self.numbers.insert(stat.st_ino, made);
        let (folder, name) = self.name_in(folder, name);
        self.changed(match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Step::MakeFolder { folder, name, made },
            _ => Step::MakeFile { folder, name, made },
        });
        Ok(())
    }
}

fn text(name: &CStr) -> String {
    name.to_string_lossy().into_owned()
}

fn refused(strike: Option<Strike>) -> Result<(), Errno> {
    strike
        .filter(|strike| strike.is_early())
        .map_or(Ok(()), |strike| Err(strike.errno()))
}

fn outcome<T>(strike: Option<Strike>, done: T) -> Result<T, Errno> {
    strike.map_or(Ok(done), |strike| Err(strike.errno()))
}

impl Ops for Recorder {
    fn mkdir(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        let mut inner = self.lock();
        let strike = inner.strike();
        refused(strike)?;
        System.mkdir(dir, name)?;
        inner.made(dir, name)?;
        outcome(strike, ())
    }

    fn create(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
        let mut inner = self.lock();
        let strike = inner.strike();
        refused(strike)?;
        let file = System.create(dir, name)?;
        inner.made(dir, name)?;
        outcome(strike, file)
    }

    fn write(&mut self, file: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
        let mut inner = self.lock();
        let strike = inner.strike();
        let bytes = match strike {
            Some(strike) => &bytes[..strike.part(bytes.len())],
            None => bytes,
        };
        let number = inner.number_of(file);
        let offset = inner.live.bytes(number).map_or(0, <[u8]>::len);
        let written = System.write(file, bytes)?;
        if written > 0 {
            inner.changed(Step::Write {
                file: number,
                offset,
                bytes: Arc::new(bytes[..written].to_vec()),
            });
        }
        outcome(strike, written)
    }

    fn sync(&mut self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        let mut inner = self.lock();
        let strike = inner.strike();
        let number = inner.number_of(fd);
        let synced = inner.synced(number, strike);
        synced.map_err(|_| strike.map_or(Errno::IO, Strike::errno))
    }

    fn rename(
        &mut self,
        from: (BorrowedFd<'_>, &CStr),
        to: (BorrowedFd<'_>, &CStr),
        collision: Collision,
    ) -> Result<(), Errno> {
        let mut inner = self.lock();
        let strike = inner.strike();
        refused(strike)?;
        System.rename(from, to, collision)?;
        let step = Step::Rename {
            from: inner.name_in(from.0, from.1),
            to: inner.name_in(to.0, to.1),
        };
        inner.changed(step);
        outcome(strike, ())
    }

    fn unlink(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        let mut inner = self.lock();
        let strike = inner.strike();
        refused(strike)?;
        System.unlink(dir, name)?;
        let (folder, name) = inner.name_in(dir, name);
        inner.changed(Step::Remove { folder, name });
        outcome(strike, ())
    }

    fn rmdir(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        let mut inner = self.lock();
        let strike = inner.strike();
        refused(strike)?;
        System.rmdir(dir, name)?;
        let (folder, name) = inner.name_in(dir, name);
        let gone = inner.live.named(folder, &name).unwrap_or(ROOT);
        inner.changed(Step::RemoveFolder { folder, name, gone });
        outcome(strike, ())
    }

    fn unseal(&mut self, dir: BorrowedFd<'_>) -> Result<(), Errno> {
        System.unseal(dir)
    }
}
