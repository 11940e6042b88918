//! `serial:PATH`, a serial line or a virtio port.

mod line;
mod node;

use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open as open_file};
use rustix::io::Errno;
use rustix::termios::{ioctl_tiocexcl, isatty};

use crate::holders::{describe, group_let_in, holders};
use crate::registry::{Driver, DriverRequest, Key};
use crate::standing::Standing;
use crate::{Transport, TransportError};

use line::{Line, Settings};

inventory::submit! {
    Driver::new("serial", open)
        .summary("serial line, or a virtio port inside a guest")
        .syntax("serial:PATH, or just the path: /dev/ttyUSB0")
        .keys(&[
            Key::new("baud", "line speed in baud; 115200 unless said otherwise"),
            Key::new("flow", "flow control: none (the default) or rtscts"),
        ])
}

/// Line speed when nobody asks for another, in baud.
const BAUD: u32 = 115_200;

/// Opens the path for this process alone.
///
/// A terminal is set to 8N1 raw, with the modem lines ignored and left alone on closing, and what
/// it had received before is discarded: it belongs to an earlier session. A virtio port needs no
/// settings.
fn open(request: &DriverRequest<'_>) -> Result<Box<dyn Transport>, TransportError> {
    let port = request.port;
    let params = &request.params;
    let baud = params
        .parsed("baud", "a number of baud from 1", |baud: &u32| *baud > 0)?
        .or(request.options.baud)
        .unwrap_or(BAUD);
    let rtscts = match params.get("flow") {
        None | Some("none") => false,
        Some("rtscts") => true,
        Some(_) => return Err(params.bad("flow", "none or rtscts")),
    };
    let path = Path::new(request.target);
    node::check(port, path)?;
    // Non-blocking also keeps the open itself from waiting for a carrier.
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = open_file(path, flags, Mode::empty()).map_err(|error| refused(port, path, error))?;
    flock(&fd, FlockOperation::NonBlockingLockExclusive)
        .map_err(|error| refused(port, path, error))?;
    if isatty(&fd) {
        // Keeps out those who do not ask for the lock, root excepted.
        ioctl_tiocexcl(&fd).map_err(|error| TransportError::io("TIOCEXCL", port, error))?;
        return Ok(Box::new(Line::over(port, fd, Settings { baud, rtscts })?));
    }
    node::check_virtio(port, path)?;
    Ok(Box::new(Standing::over(port, fd)?))
}

fn refused(port: &str, path: &Path, error: Errno) -> TransportError {
    let port = port.to_owned();
    match error {
        Errno::NOENT | Errno::NOTDIR => TransportError::NotFound { port },
        Errno::ACCESS | Errno::PERM => TransportError::Permission {
            port,
            group: group_let_in(path),
        },
        Errno::BUSY | Errno::AGAIN => TransportError::Busy {
            port,
            by: describe(&holders(path)),
        },
        Errno::NXIO | Errno::NODEV | Errno::IO => TransportError::NotAPort {
            port,
            what: "a port with no hardware behind it".to_owned(),
        },
        other => TransportError::io("open", &port, other),
    }
}
