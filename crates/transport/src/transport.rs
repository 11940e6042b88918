//! The trait that every link implements.

use std::fmt;
use std::time::Duration;

use crate::{Caps, Clock, TransportError};

/// A point-to-point byte pipe. Carries bytes, knows nothing of frames.
///
/// Boundaries are *not* kept: what was handed over at once may arrive in pieces. Implement
/// this to add a link; [`conformance`](crate::conformance) tests the rest. See
/// `docs/provisioning/new-driver.md`.
///
/// One thread uses a link at a time. Dropping a link closes it: what was handed over may still
/// arrive, but only [`drain`](Self::drain) makes sure that it has left.
pub trait Transport: fmt::Debug + Send {
    /// What the link can do. Fixed for its life, but for the rate after
    /// [`set_baud`](Self::set_baud).
    fn caps(&self) -> Caps;

    /// Moves bytes both ways until something moved or `timeout` has passed.
    ///
    /// Takes what the link accepts from the front of `out`, puts what has arrived into the front
    /// of `inp`, and says how much of each; one call serves both, so two busy sides cannot block
    /// each other. Returns as soon as anything moved; `0, 0` means that the time is up. With a
    /// `timeout` of zero it moves what can be moved at once. With both slices empty it waits out
    /// the timeout.
    ///
    /// On a link that listens ([`Caps::serves_next_peer`]) a call waits for a peer while there is
    /// none, and takes nothing from `out` meanwhile. The going of a peer is reported once, as
    /// `Closed`; the next call waits for the next peer.
    ///
    /// # Errors
    /// `Closed` once the peer is gone and every byte it sent has been read. A link without
    /// [`Caps::hang_up`] cannot see that, and goes on returning `0, 0`. Any other error means that
    /// the link is of no further use.
    fn exchange(
        &mut self,
        out: &[u8],
        inp: &mut [u8],
        timeout: Duration,
    ) -> Result<Moved, TransportError>;

    /// Waits until the bytes handed over have left this side, for at most `timeout`.
    ///
    /// Left means: given to the wire, or to something on the way that needs us no longer. It does
    /// not mean that the peer has read them.
    ///
    /// # Errors
    /// `TimedOut` when bytes are still waiting; they stay in the queue. `Closed` when the peer
    /// went away before they could leave.
    fn drain(&mut self, timeout: Duration) -> Result<(), TransportError>;

    /// Changes the line speed, in baud, at once. Call [`drain`](Self::drain) first.
    ///
    /// # Errors
    /// `Unsupported` on links that have no baud rate, `BaudRefused` when the hardware settles on
    /// a speed more than 3 % off: the speed is then what it was before.
    fn set_baud(&mut self, baud: u32) -> Result<(), TransportError> {
        Err(TransportError::Unsupported {
            port: "link".to_owned(),
            what: format!("changing to {baud} baud"),
        })
    }

    /// The clock that this link's timeouts are counted on.
    ///
    /// Whoever drives the link takes its time from here, so that in-memory links can run on
    /// virtual time.
    fn clock(&self) -> Clock {
        Clock::monotonic()
    }
}

/// How many bytes one [`Transport::exchange`] moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Bytes taken from the front of `out`.
    pub sent: usize,
    /// Bytes put into the front of `inp`.
    pub received: usize,
}

impl Moved {
    /// Nothing moved: the timeout passed.
    #[must_use]
    pub const fn is_nothing(self) -> bool {
        self.sent == 0 && self.received == 0
    }
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn caps(&self) -> Caps {
        (**self).caps()
    }

    fn exchange(
        &mut self,
        out: &[u8],
        inp: &mut [u8],
        timeout: Duration,
    ) -> Result<Moved, TransportError> {
        (**self).exchange(out, inp, timeout)
    }

    fn drain(&mut self, timeout: Duration) -> Result<(), TransportError> {
        (**self).drain(timeout)
    }

    fn set_baud(&mut self, baud: u32) -> Result<(), TransportError> {
        (**self).set_baud(baud)
    }

    fn clock(&self) -> Clock {
        (**self).clock()
    }
}
