//! `unix:PATH`, a UNIX stream socket, such as QEMU's end of a virtio port.

mod address;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};

use crate::deadline::Deadline;
use crate::holders::group_let_in;
use crate::listener::{BACKLOG, Listener, SOCKET_CAPS};
use crate::registry::{Driver, DriverRequest, Key};
use crate::stream::Stream;
use crate::{Caps, Moved, Transport, TransportError};

use address::Address;

inventory::submit! {
    Driver::new("unix", open)
        .summary("UNIX socket, such as QEMU's end of a virtio port")
        .syntax("unix:PATH, or unix:PATH?listen for the other side")
        .keys(&[Key::new("listen", "make the socket and serve one peer after another")])
}

/// Pause between tries to get through to a listener whose queue is full.
const PAUSE: Duration = Duration::from_millis(20);

fn open(request: &DriverRequest<'_>) -> Result<Box<dyn Transport>, TransportError> {
    let path = Path::new(request.target);
    if request.params.flag("listen")? {
        return Ok(Box::new(Served::listen(request.port, path)?));
    }
    let deadline = Deadline::after(request.options.connect_timeout);
    let fd = reach(request.port, path, deadline)?;
    Ok(Box::new(Stream::over(request.port, fd, SOCKET_CAPS)?))
}

/// Connects to the socket at `path`.
fn reach(port: &str, path: &Path, deadline: Deadline) -> Result<OwnedFd, TransportError> {
    let address = address::sun_path(port, path)?;
    loop {
        match try_connect(&address) {
            Ok(fd) => return Ok(fd),
            // Its queue is full.
            Err(Errno::AGAIN) if !deadline.is_over() => thread::sleep(deadline.left().min(PAUSE)),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                return Err(TransportError::TimedOut {
                    op: "connect",
                    port: port.to_owned(),
                });
            }
            Err(error) => return Err(refused(port, path, error)),
        }
    }
}

fn try_connect(address: &SocketAddrUnix) -> Result<OwnedFd, Errno> {
    let fd = new_socket()?;
    connect(&fd, address)?;
    Ok(fd)
}

fn new_socket() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

fn refused(port: &str, path: &Path, error: Errno) -> TransportError {
    let port = port.to_owned();
    match error {
        Errno::NOENT | Errno::NOTDIR => TransportError::NotFound { port },
        Errno::ACCESS | Errno::PERM => TransportError::Permission {
            port,
            group: group_let_in(path),
        },
        Errno::CONNREFUSED => match address::what_is_at(path) {
            Some(what) => TransportError::NotAPort {
                port,
                what: what.to_owned(),
            },
            None => TransportError::Refused { port },
        },
        Errno::PROTOTYPE => TransportError::NotAPort {
            port,
            what: "a socket, but not a stream socket".to_owned(),
        },
        other => TransportError::io("connect", &port, other),
    }
}

/// A listening socket and its name in the file system.
#[derive(Debug)]
struct Served {
    listener: Listener,
    /// Removes the name; dropped after the listener has stopped.
    _address: Address,
}

impl Served {
    fn listen(port: &str, path: &Path) -> Result<Self, TransportError> {
        let failed = |op| move |error| TransportError::io(op, port, error);
        let fd = new_socket().map_err(failed("socket"))?;
        let address = Address::claim(port, path, |sun_path| {
            // On Linux the socket's mode becomes the file's: nobody else ever gets in.
            rustix::fs::fchmod(&fd, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
            bind(&fd, sun_path)?;
            listen(&fd, BACKLOG)
        })?;
        let listener = Listener::over(port, fd, |_| Ok(()));
        Ok(Self {
            listener,
            _address: address,
        })
    }
}

impl Transport for Served {
    fn caps(&self) -> Caps {
        self.listener.caps()
    }

    fn exchange(
        &mut self,
        out: &[u8],
        inp: &mut [u8],
        timeout: Duration,
    ) -> Result<Moved, TransportError> {
        self.listener.exchange(out, inp, timeout)
    }

    fn drain(&mut self, timeout: Duration) -> Result<(), TransportError> {
        self.listener.drain(timeout)
    }
}
