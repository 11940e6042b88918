//! Looks at what a path is before it is opened.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use crate::TransportError;
use crate::holders::group_let_in;

/// Refuses whatever is no character device, before opening it can do anything.
pub(super) fn check(port: &str, path: &Path) -> Result<(), TransportError> {
    let what = match fs::metadata(path) {
        Ok(metadata) => {
            let kind = metadata.file_type();
            if kind.is_char_device() {
                return Ok(());
            }
            if kind.is_dir() {
                "a directory"
            } else if kind.is_socket() {
                "a socket: open it with `unix:`"
            } else if kind.is_fifo() {
                "a FIFO, which has one direction only"
            } else if kind.is_block_device() {
                "a disk"
            } else {
                "a file"
            }
        }
        Err(error) => {
            let port = port.to_owned();
            return Err(match error.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => TransportError::NotFound { port },
                ErrorKind::PermissionDenied => TransportError::Permission {
                    port,
                    group: group_let_in(path),
                },
                _ => TransportError::io("stat", &port, error),
            });
        }
    };
    Err(TransportError::NotAPort {
        port: port.to_owned(),
        what: what.to_owned(),
    })
}

/// Refuses a character device that is neither a terminal (checked before) nor a virtio port.
pub(super) fn check_virtio(port: &str, path: &Path) -> Result<(), TransportError> {
    let metadata = fs::metadata(path).map_err(|error| TransportError::io("stat", port, error))?;
    let (major, minor) = (
        rustix::fs::major(metadata.rdev()),
        rustix::fs::minor(metadata.rdev()),
    );
    let subsystem = fs::read_link(format!("/sys/dev/char/{major}:{minor}/subsystem"));
    if subsystem.is_ok_and(|link| link.file_name().is_some_and(|name| name == "virtio-ports")) {
        return Ok(());
    }
    Err(TransportError::NotAPort {
        port: port.to_owned(),
        what: "a device that is neither a serial line nor a virtio port".to_owned(),
    })
}
