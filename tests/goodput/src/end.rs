//! One end of a simulated line, as a transport.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nx_transport::{Caps, Clock, ManualClock, Moved, Transport, TransportError};

use crate::wire::Wire;

/// A line's direction, shared by its two ends.
pub(crate) type Shared = Arc<Mutex<Wire>>;

pub(crate) fn lock(wire: &Shared) -> MutexGuard<'_, Wire> {
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One end. It never waits: it notes until when its user would have.
#[derive(Debug)]
pub(crate) struct End {
    clock: ManualClock,
    outbound: Shared,
    inbound: Shared,
    /// When the user wants to be called again, whatever arrives.
    pub(crate) wake_at: Duration,
    /// Whether the last call moved something.
    pub(crate) moved: bool,
    /// When there will be room, if the user could not get rid of all that it had.
    room_at: Option<Duration>,
}

impl End {
    pub(crate) fn new(clock: &ManualClock, outbound: &Shared, inbound: &Shared) -> Self {
        Self {
            clock: clock.clone(),
            outbound: Arc::clone(outbound),
            inbound: Arc::clone(inbound),
            wake_at: Duration::ZERO,
            moved: false,
            room_at: None,
        }
    }

    /// When its user is to be called next.
    pub(crate) fn next_call(&self) -> Duration {
        let mut at = self.wake_at;
        if let Some(arrival) = lock(&self.inbound).next_arrival() {
            at = at.min(arrival);
        }
        self.room_at.map_or(at, |room_at| at.min(room_at))
    }
}

impl Transport for End {
    fn caps(&self) -> Caps {
        Caps::new().with_virtual_time(true)
    }

    fn exchange(
        &mut self,
        out: &[u8],
        inp: &mut [u8],
        timeout: Duration,
    ) -> Result<Moved, TransportError> {
        let now = self.clock.now();
        let sent = lock(&self.outbound).take(out, now);
        let received = {
            let mut inbound = lock(&self.inbound);
            if inbound.is_readable(now) {
                inbound.give(inp)
            } else {
                0
            }
        };
        let moved = Moved { sent, received };
        self.moved = !moved.is_nothing();
        let soon = now + Duration::from_micros(1);
        let room_at = lock(&self.outbound).room_at().max(soon);
        self.room_at = Some(room_at).filter(|_| sent < out.len());
        self.wake_at = now + timeout;
        Ok(moved)
    }

    fn drain(&mut self, _timeout: Duration) -> Result<(), TransportError> {
        Ok(())
    }

    fn clock(&self) -> Clock {
        self.clock.clock()
    }
}
