//! A link over descriptors that end when the peer goes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, ioctl_fionread};
use rustix::net::{Shutdown, shutdown};

use crate::deadline::Deadline;
use crate::readiness::{self, Tried};
use crate::{Caps, Moved, Transport, TransportError};

/// Pause between looks at a descriptor that says "hung up" but still holds something back.
const PAUSE: Duration = Duration::from_millis(5);

/// Reads of a page each that closing does at most to get rid of what nobody read.
const DISCARDS_MAX: usize = 1024;

/// A link over one descriptor, or one for each direction, such as a socket, a terminal or the
/// two pipes of a process.
///
/// Reading goes on until the system says that there is no more, so the last bytes before a
/// hang-up are never lost; no call outlasts its timeout, whatever the peer does. For drivers to
/// build on.
#[derive(Debug)]
pub struct Stream {
    port: String,
    input: OwnedFd,
    /// None when `input` serves both directions.
    output: Option<OwnedFd>,
    caps: Caps,
    is_socket: bool,
    /// Nothing more can be sent.
    output_gone: bool,
    /// Everything that was sent to us has been read.
    input_ended: bool,
}

impl Stream {
    /// A link over one descriptor for both directions, which is made non-blocking.
    ///
    /// # Errors
    /// `Io` when the descriptor cannot be made non-blocking.
    pub fn over(port: &str, both: OwnedFd, caps: Caps) -> Result<Self, TransportError> {
        Self::build(port, both, None, caps)
    }

    /// A link over one descriptor to read from and another to write to, which are made
    /// non-blocking. The file descriptions behind them must not be shared with anybody who wants
    /// them blocking.
    ///
    /// # Errors
    /// `Io` when a descriptor cannot be made non-blocking.
    pub fn over_two(
        port: &str,
        input: OwnedFd,
        output: OwnedFd,
        caps: Caps,
    ) -> Result<Self, TransportError> {
        Self::build(port, input, Some(output), caps)
    }

    fn build(
        port: &str,
        input: OwnedFd,
        output: Option<OwnedFd>,
        caps: Caps,
    ) -> Result<Self, TransportError> {
        for fd in [Some(&input), output.as_ref()].into_iter().flatten() {
            set_nonblocking(fd.as_fd()).map_err(|e| TransportError::io("fcntl", port, e))?;
        }
        let writes_to = output.as_ref().unwrap_or(&input);
        let is_socket = rustix::net::sockopt::socket_type(writes_to).is_ok();
        Ok(Self {
            port: port.to_owned(),
            input,
            output,
            caps,
            is_socket,
            output_gone: false,
            input_ended: false,
        })
    }

    pub(crate) fn input(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }

    fn output(&self) -> BorrowedFd<'_> {
        self.output.as_ref().unwrap_or(&self.input).as_fd()
    }

    /// Moves what can be moved now.
    ///
    /// # Errors
    /// `Closed` at the end of the input, and when the output is gone and nothing is left to read.
    pub(crate) fn move_now(&mut self, out: &[u8], inp: &mut [u8]) -> Result<Moved, TransportError> {
        let mut moved = Moved::default();
        if !out.is_empty() && !self.output_gone {
            match readiness::write(self.output(), out, self.is_socket) {
                Ok(Tried::Moved(count)) => moved.sent = count,
                Ok(Tried::NotNow) => {}
                Ok(Tried::Gone) => self.output_gone = true,
                Err(error) => return Err(TransportError::io("write", &self.port, error)),
            }
        }
        let mut is_dry = false;
        if !inp.is_empty() && !self.input_ended {
            match readiness::read(self.input(), inp) {
                Ok(Tried::Moved(count)) => moved.received = count,
                Ok(Tried::NotNow) => is_dry = true,
                Ok(Tried::Gone) => self.input_ended = true,
                Err(error) => return Err(TransportError::io("read", &self.port, error)),
            }
        }
        // One who hears nothing any more is gone once all that it has sent is read.
        if moved.is_nothing() && (self.input_ended || (self.output_gone && is_dry)) {
            return Err(TransportError::closed(&self.port));
        }
        Ok(moved)
    }

    /// Waits until [`move_now`](Self::move_now) may move something, `also` is readable, or the
    /// time is up. May return early.
    pub(crate) fn wait(
        &mut self,
        sends: bool,
        receives: bool,
        also: Option<BorrowedFd<'_>>,
        deadline: Deadline,
    ) -> Result<(), TransportError> {
        let input_flags = if receives {
            PollFlags::IN
        } else {
            PollFlags::empty()
        };
        let output_flags = if sends && !self.output_gone {
            PollFlags::OUT
        } else {
            PollFlags::empty()
        };
        let left = deadline.left();
        let ready = readiness::wait(
            [
                (self.input(), input_flags),
                (self.output(), output_flags),
                (
                    also.unwrap_or(self.input()),
                    if also.is_some() {
                        PollFlags::IN
                    } else {
                        input_flags
                    },
                ),
            ],
            left,
        );
        let [input, output, _] = ready.map_err(|e| TransportError::io("poll", &self.port, e))?;
        let useful = input.contains(PollFlags::IN) || output.contains(PollFlags::OUT);
        let hung_up = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        if !(input | output).intersects(hung_up) {
            return Ok(());
        }
        if !receives && self.unread() == Ok(0) && input.intersects(hung_up) {
            // Nobody can send any more, and nothing that was sent is left.
            self.input_ended = true;
        } else if !useful || (!receives && self.output_gone) {
            // The system goes on to say so at once for ever: look again in a while.
            thread::sleep(left.min(PAUSE));
        }
        Ok(())
    }

    /// Whether the peer is known to be gone, though bytes of it may be left to read.
    pub(crate) fn is_hung_up(&self) -> bool {
        self.input_ended
            || self.output_gone
            || readiness::wait([(self.input(), PollFlags::RDHUP)], Duration::ZERO)
                .is_ok_and(|[flags]| flags.intersects(PollFlags::HUP | PollFlags::RDHUP))
    }

    fn unread(&self) -> Result<u64, Errno> {
        ioctl_fionread(&self.input)
    }
}

impl Transport for Stream {
    fn caps(&self) -> Caps {
        self.caps
    }

    fn exchange(
        &mut self,
        out: &[u8],
        inp: &mut [u8],
        timeout: Duration,
    ) -> Result<Moved, TransportError> {
        let deadline = Deadline::after(timeout);
        loop {
            let moved = self.move_now(out, inp)?;
            if !moved.is_nothing() || deadline.is_over() {
                return Ok(moved);
            }
            self.wait(!out.is_empty(), !inp.is_empty(), None, deadline)?;
        }
    }

    /// Returns at once: what the system took needs us no longer.
    fn drain(&mut self, _timeout: Duration) -> Result<(), TransportError> {
        if self.output_gone {
            return Err(TransportError::closed(&self.port));
        }
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.is_socket {
            return;
        }
        // Closing a TCP socket that holds unread bytes discards what we sent and has not arrived.
        let _ = shutdown(self.output(), Shutdown::Write);
        let mut discarded = [0; 4096];
        for _ in 0..DISCARDS_MAX {
            match readiness::read(self.input(), &mut discarded) {
                Ok(Tried::Moved(_)) => {}
                _ => break,
            }
        }
    }
}

pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::NONBLOCK)
}

#[cfg(test)]
mod tests;
