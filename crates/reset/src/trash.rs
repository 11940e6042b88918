use std::ffi::{CStr, CString};
use std::os::fd::AsFd;
use std::rc::Rc;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::directory::Directory;
use crate::error::ResetError;
use crate::intent::{self, INTENT, RESERVED, TRASH};
use crate::limits::{DELETED_PER_EVENT, PASSES_MAX};
use crate::ops::{Collision, Ops};
use crate::report::Event;
use crate::root::is_immutable;
use crate::uri;

const TRASH_URI: &str = "state:/.nx-reset/trash";

/// The reset's own directory, with the trash in it: what has left the state's name space and waits
/// to be deleted.
///
/// Deleting is flat. A directory found inside another is moved up into the trash under a number, so
/// depth becomes breadth: whatever the tree, two directories are open at once and memory is
/// constant. The numbers in the trash are the stack that a recursion would have had.
#[derive(Debug)]
pub(crate) struct Trash {
    reserved: Rc<Directory>,
    directory: Rc<Directory>,
    /// The next number for something moved in. Higher ones are free, or a collision says otherwise.
    next: u64,
    deleted: u64,
}

/// What became of a name that was to be removed.
enum Removed {
    Yes,
    /// It is a directory with something in it.
    NotEmpty,
}

impl Trash {
    /// Opens the trash of a state root, making it if it is not there.
    pub(crate) fn open(ops: &mut dyn Ops, root: &Directory) -> Result<Self, ResetError> {
        let reserved = intent::ensure(ops, root, RESERVED, "state:/.nx-reset")?;
        match reserved.stat(TRASH) {
            Ok(stat) if FileType::from_raw_mode(stat.stx_mode.into()) != FileType::Directory => ops
                .unlink(reserved.as_fd(), TRASH)
                .map_err(|errno| ResetError::io("unlink", TRASH_URI, errno))?,
            _ => {}
        }
        let directory = intent::ensure(ops, &reserved, TRASH, TRASH_URI)?;
        // Before anything moves in: else a cut could take the trash and leave what it held half
        // deleted.
        ops.sync(reserved.as_fd())
            .map_err(|errno| ResetError::io("fsync", "state:/.nx-reset", errno))?;
        let mut next = 0_u64;
        let highest = |name: &CStr, _| {
            if let Some(number) = number_of(name) {
                next = next.max(number.saturating_add(1));
            }
            Ok::<_, Errno>(())
        };
        directory
            .for_each(highest)
            .map_err(|e| ResetError::io("getdents", TRASH_URI, e))?;
        Ok(Self {
            reserved: Rc::new(reserved),
            directory: Rc::new(directory),
            next,
            deleted: 0,
        })
    }

    /// Names deleted so far.
    pub(crate) fn deleted(&self) -> u64 {
        self.deleted
    }

    /// Moves `name` out of `from`, whole and in one step; `false` if it is gone already.
    pub(crate) fn take(
        &mut self,
        ops: &mut dyn Ops,
        from: &Directory,
        name: &CStr,
        path: &dyn Fn() -> String,
    ) -> Result<bool, ResetError> {
        let mut unsealed = false;
        loop {
            let to = name_of(self.next)?;
            let renamed = ops.rename(
                (from.as_fd(), name),
                (self.directory.as_fd(), &to),
                Collision::Refuse,
            );
            match renamed {
                Ok(()) => {
                    self.next = self.next.saturating_add(1);
                    return Ok(true);
                }
                Err(Errno::EXIST) => self.next = self.next.saturating_add(1),
                Err(Errno::NOENT) => return Ok(false),
                // To change its parent a directory has to be writable.
                Err(Errno::ACCESS) if !unsealed => {
                    unseal(ops, from, name).map_err(|e| ResetError::io("chmod", path(), e))?;
                    unsealed = true;
                }
                Err(errno) => return Err(refused("rename", from, name, path, errno)),
            }
        }
    }

    /// Makes the moves into the trash durable, the new names before the old ones go.
    pub(crate) fn sync_moves(&self, ops: &mut dyn Ops, from: &Directory) -> Result<(), ResetError> {
        for (directory, uri) in [(&*self.directory, TRASH_URI), (from, uri::STATE)] {
            ops.sync(directory.as_fd())
                .map_err(|errno| ResetError::io("fsync", uri, errno))?;
        }
        Ok(())
    }

    /// Deletes everything in the trash, and everything in the reserved directory but the intent.
    pub(crate) fn empty(
        &mut self,
        ops: &mut dyn Ops,
        observer: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), ResetError> {
        const RESERVED_URI: &str = "state:/.nx-reset";
        let reserved = Rc::clone(&self.reserved);
        reserved
            .for_each(|name, _| {
                if name != INTENT && name != TRASH {
                    self.take(ops, &reserved, name, &|| RESERVED_URI.to_owned())?;
                }
                Ok::<_, Fault>(())
            })
            .map_err(|fault| fault.at("getdents", RESERVED_URI))?;
        for _ in 0..PASSES_MAX {
            if !self.pass(ops, observer)? {
                return Ok(());
            }
        }
        Err(ResetError::KeepsGrowing {
            path: TRASH_URI.into(),
            rounds: PASSES_MAX,
        })
    }

    /// Removes the empty trash, durably: with it go all the deletions that emptied it.
    pub(crate) fn remove(self, ops: &mut dyn Ops) -> Result<Rc<Directory>, ResetError> {
        ops.rmdir(self.reserved.as_fd(), TRASH)
            .map_err(|errno| ResetError::io("rmdir", TRASH_URI, errno))?;
        ops.sync(self.reserved.as_fd())
            .map_err(|errno| ResetError::io("fsync", "state:/.nx-reset", errno))?;
        Ok(self.reserved)
    }

    /// Goes over the trash once; `false` if it was empty.
    fn pass(
        &mut self,
        ops: &mut dyn Ops,
        observer: &mut dyn FnMut(Event<'_>),
    ) -> Result<bool, ResetError> {
        let base = self.next;
        let mut found = false;
        let trash = Rc::clone(&self.directory);
        trash
            .for_each(|name, kind| {
                // Moved up during this pass, and dealt with below.
                if number_of(name).is_some_and(|number| number >= base) {
                    return Ok(());
                }
                found = true;
                self.delete(ops, name, kind, observer)?;
                while self.next > base {
                    let top = self.next.saturating_sub(1);
                    let name = name_of(top)?;
                    // Leaves a hole in the numbers if it moves something up; the way down skips it.
                    self.delete(ops, &name, FileType::Directory, observer)?;
                    if self.next == top.saturating_add(1) {
                        self.next = top;
                    }
                }
                Ok::<_, Fault>(())
            })
            .map_err(|fault| fault.at("getdents", TRASH_URI))?;
        Ok(found)
    }

    /// Deletes one name in the trash; what lies deeper than one directory moves up instead.
    fn delete(
        &mut self,
        ops: &mut dyn Ops,
        name: &CStr,
        kind: FileType,
        observer: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), ResetError> {
        let path = || in_trash(&[name]);
        let trash = Rc::clone(&self.directory);
        if let Removed::Yes = self.remove_name(ops, &trash, name, kind, &path, observer)? {
            return Ok(());
        }
        let Some(inner) = open_to_clear(ops, &trash, name, &path)? else {
            return Ok(());
        };
        for _ in 0..PASSES_MAX {
            inner
                .for_each(|child, kind| {
                    let path = || in_trash(&[name, child]);
                    match self.remove_name(ops, &inner, child, kind, &path, observer)? {
                        Removed::Yes => {}
                        Removed::NotEmpty => {
                            self.take(ops, &inner, child, &path)?;
                        }
                    }
                    Ok::<_, Fault>(())
                })
                .map_err(|fault| fault.at("getdents", &path()))?;
            let kind = FileType::Directory;
            if let Removed::Yes = self.remove_name(ops, &trash, name, kind, &path, observer)? {
                return Ok(());
            }
        }
        Err(ResetError::KeepsGrowing {
            path: path(),
            rounds: PASSES_MAX,
        })
    }

    fn remove_name(
        &mut self,
        ops: &mut dyn Ops,
        dir: &Directory,
        name: &CStr,
        kind: FileType,
        path: &dyn Fn() -> String,
        observer: &mut dyn FnMut(Event<'_>),
    ) -> Result<Removed, ResetError> {
        let mut op = "unlink";
        let mut result = Err(Errno::ISDIR);
        if kind != FileType::Directory {
            result = ops.unlink(dir.as_fd(), name);
        }
        if result == Err(Errno::ISDIR) {
            op = "rmdir";
            result = ops.rmdir(dir.as_fd(), name);
        }
        // Swapped for something else since it was listed.
        if result == Err(Errno::NOTDIR) {
            op = "unlink";
            result = ops.unlink(dir.as_fd(), name);
        }
        match result {
            Ok(()) => {
                self.deleted = self.deleted.saturating_add(1);
                if self.deleted.is_multiple_of(DELETED_PER_EVENT) {
                    observer(Event::Deleted {
                        entries: self.deleted,
                    });
                }
                Ok(Removed::Yes)
            }
            Err(Errno::NOENT) => Ok(Removed::Yes),
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(Removed::NotEmpty),
            Err(errno) => Err(refused(op, dir, name, path, errno)),
        }
    }
}

/// An error on the way through a listing: of the listing itself, or of what was done with an entry.
enum Fault {
    Listing(Errno),
    Entry(ResetError),
}

impl Fault {
    fn at(self, op: &'static str, path: &str) -> ResetError {
        match self {
            Self::Listing(errno) => ResetError::io(op, path, errno),
            Self::Entry(error) => error,
        }
    }
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        Self::Listing(errno)
    }
}

impl From<ResetError> for Fault {
    fn from(error: ResetError) -> Self {
        Self::Entry(error)
    }
}

/// Opens a directory in the trash so that everything in it can be removed; `None` if it is gone.
fn open_to_clear(
    ops: &mut dyn Ops,
    trash: &Directory,
    name: &CStr,
    path: &dyn Fn() -> String,
) -> Result<Option<Directory>, ResetError> {
    const OWNER_ALL: u16 = 0o700;
    let mut opened = trash.open(name);
    if opened.as_ref().is_err_and(|&errno| errno == Errno::ACCESS) {
        unseal(ops, trash, name).map_err(|errno| ResetError::io("chmod", path(), errno))?;
        opened = trash.open(name);
    }
    let inner = match opened {
        Ok(inner) => inner,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::XDEV) => return Err(ResetError::MountPoint { path: path() }),
        Err(errno) => return Err(ResetError::io("open", path(), errno)),
    };
    let mode = inner.stat_self().map(|stat| stat.stx_mode);
    if mode.is_ok_and(|mode| mode & OWNER_ALL != OWNER_ALL) {
        ops.unseal(inner.as_fd())
            .map_err(|errno| ResetError::io("chmod", path(), errno))?;
    }
    Ok(Some(inner))
}

fn unseal(ops: &mut dyn Ops, dir: &Directory, name: &CStr) -> Result<(), Errno> {
    ops.unseal(dir.open_path(name)?.as_fd())
}

/// Says why the system refused: by a mount, by an attribute, or by what it said.
fn refused(
    op: &'static str,
    dir: &Directory,
    name: &CStr,
    path: &dyn Fn() -> String,
    errno: Errno,
) -> ResetError {
    let immutable = || {
        let child = dir.stat(name).is_ok_and(|stat| is_immutable(&stat));
        child || dir.stat_self().is_ok_and(|stat| is_immutable(&stat))
    };
    match errno {
        Errno::BUSY | Errno::XDEV => ResetError::MountPoint { path: path() },
        Errno::PERM if immutable() => ResetError::Immutable { path: path() },
        errno => ResetError::io(op, path(), errno),
    }
}

fn in_trash(names: &[&CStr]) -> String {
    let mut path = String::from(TRASH_URI);
    for name in names {
        path.push('/');
        uri::push_encoded(&mut path, name.to_bytes());
    }
    path
}

/// The number that a name in the trash is; `None` for other names, and for numbers that no count
/// from zero reaches, which are names like any other.
fn number_of(name: &CStr) -> Option<u64> {
    const COUNTED_MAX: u64 = 1 << 53;
    let text = name.to_str().ok()?;
    text.parse()
        .ok()
        .filter(|number: &u64| *number < COUNTED_MAX && number.to_string() == text)
}

fn name_of(number: u64) -> Result<CString, ResetError> {
    CString::new(number.to_string()).map_err(|_| ResetError::io("name", TRASH_URI, Errno::INVAL))
}
