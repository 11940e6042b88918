use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::directory::{Directory, Identity};
use crate::error::Protected;
use crate::limits::PASSWD_BYTES_MAX;

/// Why the directory `root` must never be reset, if there is a reason.
///
/// Directories are compared by what they are, not by how they are written, so neither `..` nor a
/// bind mount nor another spelling gets past.
pub(crate) fn protected(root: &Identity) -> Result<Option<Protected>, Errno> {
    if is_at(root, Path::new("/")) {
        return Ok(Some(Protected::FileSystemRoot));
    }
    match above(root, Path::new("."))? {
        Some(0) => return Ok(Some(Protected::WorkingDirectory)),
        Some(_) => return Ok(Some(Protected::AboveWorkingDirectory)),
        None => {}
    }
    if let Some(home) = env::var_os("HOME").filter(|home| !home.is_empty()) {
        match above(root, Path::new(&home)) {
            Ok(Some(0)) => return Ok(Some(Protected::Home)),
            Ok(Some(_)) => return Ok(Some(Protected::AboveHome)),
            // A home that is not there cannot be lost.
            Ok(None) | Err(_) => {}
        }
    }
    Ok(any_home(|home| is_at(root, home)).then_some(Protected::Home))
}

/// How many steps `root` lies above the directory at `path`; `None` if it does not.
fn above(root: &Identity, path: &Path) -> Result<Option<usize>, Errno> {
    let mut here = open(path)?;
    let mut steps = 0_usize;
    loop {
        if here.identity().same_inode(root) {
            return Ok(Some(steps));
        }
        let parent = here.open_parent()?;
        if parent.identity() == here.identity() {
            return Ok(None);
        }
        here = parent;
        steps = steps.saturating_add(1);
    }
}

fn is_at(root: &Identity, path: &Path) -> bool {
    open(path).is_ok_and(|there| there.identity().same_inode(root))
}

fn open(path: &Path) -> Result<Directory, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Directory::adopt(rustix::fs::openat(CWD, path, flags, Mode::empty())?)
}

/// Whether `found` holds for the home of any user that this machine lists.
fn any_home(mut found: impl FnMut(&Path) -> bool) -> bool {
    const HOME: usize = 5;
    let Ok(users) = File::open("/etc/passwd") else {
        return false;
    };
    let users = BufReader::new(users.take(PASSWD_BYTES_MAX));
    users.split(b'\n').map_while(Result::ok).any(|line| {
        let home = line
            .split(|&byte| byte == b':')
            .nth(HOME)
            .unwrap_or_default();
        !home.is_empty() && found(Path::new(OsStr::from_bytes(home)))
    })
}
