//! What the host's and the device's machine have in common, seen from a loop.

use alloc::vec::Vec;
use core::fmt::Debug;

use crate::speed::SpeedChange;
use crate::time::Instant;

/// Names a request until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// A state machine without I/O.
///
/// After any `handle_*`: serve `poll_request` until it has none, drain `poll_transmit`, then
/// `poll_event`, then re-arm one timer from `poll_timeout`. `now` never goes backwards.
pub trait Machine {
    /// What it tells its user.
    type Event: Debug;
    /// What it needs of storage or of the image.
    type Request: Debug;
    /// The answer.
    type Outcome: Debug;

    /// Bytes from the link, in any pieces. Damage is counted, and never fatal.
    fn handle_input(&mut self, bytes: &[u8], now: Instant);
    /// The time promised by `poll_timeout` has come. Calling early does nothing.
    fn handle_timeout(&mut self, now: Instant);
    /// The link is gone.
    fn handle_closed(&mut self, now: Instant);
    /// A request is answered. An id that is not asked for does nothing.
    fn handle_done(&mut self, id: RequestId, outcome: Self::Outcome, now: Instant);
    /// Appends at most one frame to `out`; returns its length in bytes.
    fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<usize>;
    /// The next request.
    fn poll_request(&mut self) -> Option<(RequestId, Self::Request)>;
    /// What a request asks of the link itself, if it does: the loop serves it, and not the shell.
    fn speed_change(request: &Self::Request) -> Option<SpeedChange>;
    /// The answer to such a request: whether the link did so.
    fn speed_changed(held: bool) -> Self::Outcome;
    /// The next event.
    fn poll_event(&mut self) -> Option<Self::Event>;
    /// When `handle_timeout` wants to be called, if nothing else happens before.
    fn poll_timeout(&self) -> Option<Instant>;
    /// Whether there is nothing left to do, ever.
    fn is_finished(&self) -> bool;
}
