//! A listening socket that serves one peer at a time.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

use crate::deadline::Deadline;
use crate::readiness;
use crate::stream::Stream;
use crate::{Caps, Moved, Transport, TransportError};

/// What a stream socket promises.
pub(crate) const SOCKET_CAPS: Caps = Caps::new()
    .with_hang_up(true)
    .with_back_pressure(true)
    .with_lossless(true);

/// Connections that wait while nobody looks. Each is answered or turned away in turn.
pub(crate) const BACKLOG: i32 = 8;

/// How often a listener looks who else has come while its peer keeps it busy: each look takes two
/// calls of the system, and an exchange of a busy peer needs no more itself.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A listening socket that serves one peer at a time.
///
/// Whoever comes while a peer is served is turned away soon: kept waiting, a client that has
/// long left would be taken for the next peer and its bytes for a session. Whoever comes after the
/// peer has left is the next peer, once the leaving has been reported as `Closed`.
#[derive(Debug)]
pub(crate) struct Listener {
    port: String,
    socket: OwnedFd,
    prepare: fn(&OwnedFd) -> Result<(), Errno>,
    peer: Option<Stream>,
    /// When to look at the door again, however busy the peer is.
    look_at: Deadline,
}

impl Listener {
    /// Serves from `socket`, which listens and is non-blocking; `prepare` is done to each new peer.
    pub(crate) fn over(
        port: &str,
        socket: OwnedFd,
        prepare: fn(&OwnedFd) -> Result<(), Errno>,
    ) -> Self {
        Self {
            port: port.to_owned(),
            socket,
            prepare,
            peer: None,
            look_at: Deadline::after(Duration::ZERO),
        }
    }

    fn accept(&self) -> Result<Option<OwnedFd>, TransportError> {
        match accept_with(&self.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(fd) => Ok(Some(fd)),
            // It has gone again, or something else that concerns it alone.
            Err(
                Errno::AGAIN
                | Errno::INTR
                | Errno::CONNABORTED
                | Errno::PROTO
                | Errno::PERM
                | Errno::NETDOWN
                | Errno::HOSTUNREACH
                | Errno::NETUNREACH,
            ) => Ok(None),
            Err(error) => Err(TransportError::io("accept", &self.port, error)),
        }
    }

    fn accept_peer(&mut self) -> Result<(), TransportError> {
        if let Some(fd) = self.accept()?
            && (self.prepare)(&fd).is_ok()
        {
            self.peer = Some(Stream::over(&self.port, fd, SOCKET_CAPS)?);
        }
        Ok(())
    }

    fn turn_others_away(&self) -> Result<(), TransportError> {
        // Bounded, so that a crowd at the door cannot keep the peer waiting.
        for _ in 0..BACKLOG {
            if self.accept()?.is_none() {
                break;
            }
        }
        Ok(())
    }
}

impl Transport for Listener {
    fn caps(&self) -> Caps {
        SOCKET_CAPS.with_next_peer(true)
    }

    fn exchange(
        &mut self,
        out: &[u8],
        inp: &mut [u8],
        timeout: Duration,
    ) -> Result<Moved, TransportError> {
        let deadline = Deadline::after(timeout);
        loop {
            if let Some(peer) = &mut self.peer {
                let moved = match peer.move_now(out, inp) {
                    Ok(moved) => moved,
                    Err(error) => {
                        self.peer = None;
                        return Err(error);
                    }
                };
                if moved.is_nothing() || self.look_at.is_over() {
                    // One who comes when the peer has hung up is the next peer.
                    if !peer.is_hung_up() {
                        self.turn_others_away()?;
                    }
                    self.look_at = Deadline::after(LOOK_EVERY);
                }
                if !moved.is_nothing() || deadline.is_over() {
                    return Ok(moved);
                }
                if let Some(peer) = &mut self.peer {
                    let door = Some(self.socket.as_fd()).filter(|_| !peer.is_hung_up());
                    peer.wait(!out.is_empty(), !inp.is_empty(), door, deadline)?;
                }
            } else {
                self.accept_peer()?;
                if self.peer.is_some() {
                    continue;
                }
                if deadline.is_over() {
                    return Ok(Moved::default());
                }
                readiness::wait([(self.socket.as_fd(), PollFlags::IN)], deadline.left())
                    .map_err(|error| TransportError::io("poll", &self.port, error))?;
            }
        }
    }

    /// Returns at once: what the system took needs us no longer.
    fn drain(&mut self, timeout: Duration) -> Result<(), TransportError> {
        self.peer
            .as_mut()
            .map_or(Ok(()), |peer| peer.drain(timeout))
    }
}
