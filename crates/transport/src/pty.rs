//! Pseudo-terminals, which stand in for serial lines in tests and benches.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::readiness::{self, Tried};
use crate::standing::Standing;
use crate::stream::set_nonblocking;
use crate::{Caps, Moved, Transport, TransportError};

const DEVICE: &str = "/dev/ptmx";

/// A new pseudo-terminal in raw mode: the master, as a link, and the path to open with `serial:`.
///
/// # Errors
/// `Io` when the system gives none.
pub fn open() -> Result<(Master, PathBuf), TransportError> {
    let (fd, path) = create().map_err(|error| TransportError::io("openpt", DEVICE, error))?;
    let port = format!("pty:{}", path.display());
    Ok((
        Master {
            inner: Standing::over(&port, fd)?,
        },
        path,
    ))
}

/// The master of a pseudo-terminal: the far end of a `serial:` link to its path.
///
/// Whoever has the path open is the peer; peers may come one after another.
#[derive(Debug)]
pub struct Master {
    inner: Standing,
}

impl Transport for Master {
    fn caps(&self) -> Caps {
        self.inner.caps()
    }

    fn exchange(
        &mut self,
        out: &[u8],
        inp: &mut [u8],
        timeout: Duration,
    ) -> Result<Moved, TransportError> {
        self.inner.exchange(out, inp, timeout)
    }

    fn drain(&mut self, timeout: Duration) -> Result<(), TransportError> {
        self.inner.drain(timeout)
    }
}

/// Two pseudo-terminals joined like the two ends of a null-modem cable, for two processes that
/// each open one with `serial:`.
///
/// Like a cable it reports no hang-up, and what is sent to an end that nobody has open is lost.
/// Unlike one it holds the sender back while the other side does not read. Dropping it unplugs
/// both ends.
pub struct Cable {
    paths: [PathBuf; 2],
    /// Closing it stops the thread.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Cable {
    /// Makes two pseudo-terminals and the thread that joins them.
    ///
    /// # Errors
    /// `Io` when the system gives none.
    pub fn plug() -> Result<Self, TransportError> {
        let failed = |error: Errno| TransportError::io("openpt", DEVICE, error);
        let (near, near_path) = create().map_err(failed)?;
        let (far, far_path) = create().map_err(failed)?;
        for fd in [&near, &far] {
            set_nonblocking(fd.as_fd()).map_err(|e| TransportError::io("fcntl", DEVICE, e))?;
        }
        let (stop, stopped) =
            UnixStream::pair().map_err(|e| TransportError::io("socketpair", DEVICE, e))?;
        let thread = thread::Builder::new()
            .name("pty-cable".to_owned())
            .spawn(move || join(&near, &far, stopped))
            .map_err(|e| TransportError::io("spawn", DEVICE, e))?;
        Ok(Self {
            paths: [near_path, far_path],
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The paths of both ends.
    #[must_use]
    pub fn paths(&self) -> [&Path; 2] {
        let [near, far] = &self.paths;
        [near, far]
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Cable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cable")
            .field("paths", &self.paths)
            .finish_non_exhaustive()
    }
}

fn create() -> Result<(OwnedFd, PathBuf), Errno> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let path = ptsname(&master, Vec::new())?.to_string_lossy().into_owned();
    // On Linux this sets the mode of the other side: nothing is echoed or translated from the
    // first byte on.
    let mut mode = tcgetattr(&master)?;
    mode.make_raw();
    tcsetattr(&master, OptionalActions::Now, &mode)?;
    Ok((master, PathBuf::from(path)))
}

/// Bytes on their way through a cable in one direction.
struct Strand {
    bytes: [u8; 4096],
    waiting: std::ops::Range<usize>,
}

impl Strand {
    const fn new() -> Self {
        Self {
            bytes: [0; 4096],
            waiting: 0..0,
        }
    }

    fn pump(&mut self, from: &OwnedFd, to: &OwnedFd, to_gone: bool) {
        if self.waiting.is_empty()
            && let Ok(Tried::Moved(count)) = readiness::read(from.as_fd(), &mut self.bytes)
        {
            self.waiting = 0..count;
        }
        if to_gone {
            self.waiting = 0..0;
        }
        if let Some(bytes) = self.bytes.get(self.waiting.clone())
            && !bytes.is_empty()
            && let Ok(Tried::Moved(count)) = readiness::write(to.as_fd(), bytes, false)
        {
            self.waiting.start = self.waiting.start.saturating_add(count);
        }
    }

    fn wanted(&self) -> (PollFlags, PollFlags) {
        if self.waiting.is_empty() {
            (PollFlags::IN, PollFlags::empty())
        } else {
            (PollFlags::empty(), PollFlags::OUT)
        }
    }
}

fn join(near: &OwnedFd, far: &OwnedFd, stopped: UnixStream) {
    let (mut there, mut back) = (Strand::new(), Strand::new());
    // Reading it gives nothing until the other half is closed, and then its end.
    let mut stopped = File::from(OwnedFd::from(stopped));
    loop {
        let ((near_in, far_out), (far_in, near_out)) = (there.wanted(), back.wanted());
        let ready = readiness::wait(
            [
                (near.as_fd(), near_in | near_out),
                (far.as_fd(), far_in | far_out),
                (stopped.as_fd(), PollFlags::IN),
            ],
            Duration::from_secs(3600),
        );
        let Ok([near_ready, far_ready, stop_ready]) = ready else {
            return;
        };
        if !stop_ready.is_empty() && matches!(stopped.read(&mut [0; 1]), Ok(0) | Err(_)) {
            return;
        }
        let gone = |ready: PollFlags| ready.contains(PollFlags::HUP);
        there.pump(near, far, gone(far_ready));
        back.pump(far, near, gone(near_ready));
        if gone(near_ready) || gone(far_ready) {
            // The system goes on to say so at once for ever.
            thread::sleep(Duration::from_millis(5));
        }
    }
}
