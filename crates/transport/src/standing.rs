//! A link over a descriptor that stays while peers come and go.

use std::os::fd::{AsFd as _, OwnedFd};
use std::thread;
use std::time::Duration;

use rustix::event::PollFlags;

use crate::deadline::Deadline;
use crate::readiness::{self, Tried};
use crate::stream::set_nonblocking;
use crate::{Caps, Moved, Transport, TransportError};

/// Pause between looks for a peer. The system has no way to wait for one.
const PAUSE: Duration = Duration::from_millis(10);

/// A link over a descriptor that stays while peers come and go: a virtio port seen from its guest,
/// or the master of a PTY. While there is none, the system says "hung up" and reads give nothing.
///
/// Nothing is written while there is no peer: it would wait and be delivered to the next one.
#[derive(Debug)]
pub(crate) struct Standing {
    port: String,
    fd: OwnedFd,
    /// A peer was there, and its going has not been reported yet.
    visited: bool,
}

impl Standing {
    pub(crate) fn over(port: &str, fd: OwnedFd) -> Result<Self, TransportError> {
        set_nonblocking(fd.as_fd()).map_err(|e| TransportError::io("fcntl", port, e))?;
        Ok(Self {
            port: port.to_owned(),
            fd,
            visited: false,
        })
    }

    fn wait(&self, wanted: PollFlags, timeout: Duration) -> Result<PollFlags, TransportError> {
        readiness::wait([(self.fd.as_fd(), wanted)], timeout)
            .map(|[ready]| ready)
            .map_err(|error| TransportError::io("poll", &self.port, error))
    }

    fn receive(&self, inp: &mut [u8]) -> Result<usize, TransportError> {
        if inp.is_empty() {
            return Ok(0);
        }
        match readiness::read(self.fd.as_fd(), inp) {
            Ok(Tried::Moved(count)) => Ok(count),
            Ok(Tried::NotNow | Tried::Gone) => Ok(0),
            Err(error) => Err(TransportError::io("read", &self.port, error)),
        }
    }

    fn send(&self, out: &[u8]) -> Result<usize, TransportError> {
        if out.is_empty() {
            return Ok(0);
        }
        match readiness::write(self.fd.as_fd(), out, false) {
            Ok(Tried::Moved(count)) => Ok(count),
            Ok(Tried::NotNow | Tried::Gone) => Ok(0),
            Err(error) => Err(TransportError::io("write", &self.port, error)),
        }
    }
}

impl Transport for Standing {
    fn caps(&self) -> Caps {
        Caps::new()
            .with_hang_up(true)
            .with_back_pressure(true)
            .with_lossless(true)
            .with_next_peer(true)
    }

    fn exchange(
        &mut self,
        out: &[u8],
        inp: &mut [u8],
        timeout: Duration,
    ) -> Result<Moved, TransportError> {
        let deadline = Deadline::after(timeout);
        loop {
            let is_gone = self
                .wait(PollFlags::empty(), Duration::ZERO)?
                .contains(PollFlags::HUP);
            let sent = if is_gone { 0 } else { self.send(out)? };
            let moved = Moved {
                sent,
                received: self.receive(inp)?,
            };
            self.visited |= !is_gone || moved.received > 0;
            if !moved.is_nothing() {
                return Ok(moved);
            }
            // Without room to read into, what the peer left may still be there.
            if is_gone && self.visited && !inp.is_empty() {
                self.visited = false;
                return Err(TransportError::closed(&self.port));
            }
            if deadline.is_over() {
                return Ok(moved);
            }
            if is_gone {
                thread::sleep(deadline.left().min(PAUSE));
                continue;
            }
            let mut wanted = PollFlags::empty();
            wanted.set(PollFlags::IN, !inp.is_empty());
            wanted.set(PollFlags::OUT, !out.is_empty());
            self.wait(wanted, deadline.left())?;
        }
    }

    /// Returns at once: what the system took is with the other side, or lost with it.
    fn drain(&mut self, _timeout: Duration) -> Result<(), TransportError> {
        Ok(())
    }
}
