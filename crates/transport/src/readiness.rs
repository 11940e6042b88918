//! Waits for descriptors, and reads and writes them without blocking.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};

/// Waits until one of `wanted` is ready or `timeout` has passed; returns what is, in their order.
///
/// A signal ends the wait early, as if nothing were ready yet. Hang-up and error are always
/// reported.
pub(crate) fn wait<const N: usize>(
    wanted: [(BorrowedFd<'_>, PollFlags); N],
    timeout: Duration,
) -> Result<[PollFlags; N], Errno> {
    let mut fds = wanted.map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags));
    let timeout = Timespec::try_from(timeout).unwrap_or(Timespec {
        tv_sec: 3600,
        tv_nsec: 0,
    });
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) => Ok(fds.map(|fd| fd.revents())),
        Err(Errno::INTR) => Ok([PollFlags::empty(); N]),
        Err(other) => Err(other),
    }
}

/// What one try to read or write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tried {
    /// So many bytes, at least one.
    Moved(usize),
    /// None now.
    NotNow,
    /// None ever again, or none before another peer comes: the other side is gone.
    Gone,
}

/// Reads once. The descriptor is non-blocking and `inp` is not empty.
pub(crate) fn read(fd: BorrowedFd<'_>, inp: &mut [u8]) -> Result<Tried, Errno> {
    sort(rustix::io::read(fd, inp))
}

/// Writes once. The descriptor is non-blocking and `out` is not empty.
pub(crate) fn write(fd: BorrowedFd<'_>, out: &[u8], is_socket: bool) -> Result<Tried, Errno> {
    // A plain write to a closed socket raises SIGPIPE where the program does not ignore it.
    let wrote = if is_socket {
        send(fd, out, SendFlags::NOSIGNAL)
    } else {
        rustix::io::write(fd, out)
    };
    match sort(wrote) {
        // Taking nothing is not the end of writing.
        Ok(Tried::Gone) if wrote == Ok(0) => Ok(Tried::NotNow),
        sorted => sorted,
    }
}

fn sort(result: Result<usize, Errno>) -> Result<Tried, Errno> {
    match result {
        Ok(0) => Ok(Tried::Gone),
        Ok(count) => Ok(Tried::Moved(count)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(Tried::NotNow),
        // EIO is how a terminal says that the other side hung up; ENXIO and ENODEV how an
        // unplugged adapter does; the rest is how sockets do.
        Err(
            Errno::PIPE
            | Errno::CONNRESET
            | Errno::CONNABORTED
            | Errno::NOTCONN
            | Errno::TIMEDOUT
            | Errno::IO
            | Errno::NXIO
            | Errno::NODEV,
        ) => Ok(Tried::Gone),
        Err(other) => Err(other),
    }
}
