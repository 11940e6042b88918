//! A listening socket's name in the file system.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::net::SocketAddrUnix;

use super::{refused, try_connect};
use crate::TransportError;
use crate::deadline::Deadline;
use crate::holders::group_let_in;

/// Longest path of a socket, in bytes: what Linux's `sun_path` holds, less its closing zero.
const PATH_BYTES_MAX: usize = 107;

/// Longest wait for another process that claims a name in the same directory.
const CLAIM_MAX: Duration = Duration::from_secs(2);

/// A name that a socket of ours has; removed when dropped, unless it is another's by then.
#[derive(Debug)]
pub(super) struct Address {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl Address {
    /// Gives `path` to the socket that `bind_and_listen` binds to it.
    ///
    /// A socket there that nobody serves any more is removed; one that is served, or anything
    /// that is no socket, is left alone.
    pub(super) fn claim(
        port: &str,
        path: &Path,
        bind_and_listen: impl FnOnce(&SocketAddrUnix) -> Result<(), Errno>,
    ) -> Result<Self, TransportError> {
        let sun_path = sun_path(port, path)?;
        // Two that start at once must not remove each other's fresh socket.
        let _claim = lock_directory(port, path)?;
        match fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.file_type().is_socket() => {
                let what = what_is_at(path).unwrap_or("something else").to_owned();
                return Err(TransportError::NotAPort {
                    port: port.to_owned(),
                    what,
                });
            }
            Ok(_) => match try_connect(&sun_path) {
                Err(Errno::CONNREFUSED) => {
                    fs::remove_file(path)
                        .map_err(|error| TransportError::io("unlink", port, error))?;
                }
                Ok(_) | Err(Errno::AGAIN) => {
                    let by = "a program that listens there".to_owned();
                    return Err(TransportError::Busy {
                        port: port.to_owned(),
                        by,
                    });
                }
                Err(error) => return Err(refused(port, path, error)),
            },
            // Whatever else is wrong, binding says it better.
            Err(_) => {}
        }
        bind_and_listen(&sun_path).map_err(|error| match error {
            Errno::ACCESS | Errno::PERM => {
                let group = path.parent().and_then(group_let_in);
                TransportError::Permission {
                    port: port.to_owned(),
                    group,
                }
            }
            Errno::NOENT | Errno::NOTDIR => TransportError::NotFound {
                port: port.to_owned(),
            },
            other => TransportError::io("bind", port, other),
        })?;
        let identity = fs::symlink_metadata(path)
            .map(|metadata| (metadata.dev(), metadata.ino()))
            .map_err(|error| TransportError::io("stat", port, error))?;
        Ok(Self {
            path: path.to_owned(),
            identity,
        })
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        let _claim = lock_directory("", &self.path);
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity);
        if is_ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The path as a socket address.
pub(super) fn sun_path(port: &str, path: &Path) -> Result<SocketAddrUnix, TransportError> {
    let bytes = path.as_os_str().as_bytes();
    let bad = |reason: String| TransportError::BadSpec {
        port: port.to_owned(),
        reason,
    };
    if bytes.is_empty() {
        return Err(bad("the path of the socket is missing".to_owned()));
    }
    if bytes.len() > PATH_BYTES_MAX {
        let length = bytes.len();
        return Err(bad(format!(
            "the path of a socket has at most {PATH_BYTES_MAX} bytes, this has {length}"
        )));
    }
    SocketAddrUnix::new(path).map_err(|error| TransportError::io("bind", port, error))
}

/// What is at `path` when it is no socket.
pub(super) fn what_is_at(path: &Path) -> Option<&'static str> {
    let kind = fs::metadata(path).ok()?.file_type();
    if kind.is_socket() {
        None
    } else if kind.is_dir() {
        Some("a directory, not a socket")
    } else if kind.is_char_device() {
        Some("a device, not a socket: open it with `serial:`")
    } else {
        Some("a file, not a socket")
    }
}

fn lock_directory(port: &str, path: &Path) -> Result<Option<File>, TransportError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // A directory that cannot be read can still be bound in; the lock is then left out.
    let Ok(directory) = File::open(parent) else {
        return Ok(None);
    };
    let deadline = Deadline::after(CLAIM_MAX);
    loop {
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(directory)),
            Err(Errno::AGAIN | Errno::INTR) if !deadline.is_over() => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(Errno::AGAIN | Errno::INTR) => {
                let by = "another program that holds a lock on its directory".to_owned();
                return Err(TransportError::Busy {
                    port: port.to_owned(),
                    by,
                });
            }
            // A file system without locks.
            Err(_) => return Ok(None),
        }
    }
}
