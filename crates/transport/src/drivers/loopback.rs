//! `loopback:NAME`, the in-memory link.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::registry::{Driver, DriverRequest};
use crate::virtual_clock::PartyId;
use crate::{Caps, Clock, Moved, Party, Transport, TransportError, VirtualClock};

inventory::submit! {
    Driver::new("loopback", open)
        .summary("in memory on virtual time, for tests and dry runs")
        .syntax("loopback:NAME")
}

/// Bytes that wait one way, before the sender is held back, unless said otherwise.
///
/// What a UNIX socket or a virtio queue holds is of this order.
pub const CAPACITY_BYTES: usize = 64 * 1024;

/// Ports opened by name whose other end nobody has opened yet, at most.
const WAITING_MAX: usize = 1024;

/// One end of an in-memory link, and one party on its [`VirtualClock`].
///
/// Each direction holds a bounded number of bytes; what does not fit is not taken. Dropping an end
/// hangs up: the other reads what was sent, then gets `Closed`.
pub struct Loopback {
    port: String,
    side: Side,
    wire: Arc<Mutex<Wire>>,
    party: Party,
}

/// Two connected ends, each a party of `clock` from now on, in this order.
///
/// The names are for messages. Each end may go to a thread of its own; see [`VirtualClock`] for
/// what that thread must not do.
#[must_use]
pub fn pair(clock: &VirtualClock, near: &str, far: &str) -> (Loopback, Loopback) {
    pair_with_capacity(clock, near, far, CAPACITY_BYTES)
}

/// Like [`pair`], with room for `capacity_bytes` (at least 1) each way.
#[must_use]
pub fn pair_with_capacity(
    clock: &VirtualClock,
    near: &str,
    far: &str,
    capacity_bytes: usize,
) -> (Loopback, Loopback) {
    let wire = Arc::new(Mutex::new(Wire::new(clock.clone(), capacity_bytes)));
    let near = Loopback::new(near, Side::Near, Arc::clone(&wire));
    let far = Loopback::new(far, Side::Far, wire);
    (near, far)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Near,
    Far,
}

#[derive(Debug)]
struct Wire {
    clock: VirtualClock,
    capacity: usize,
    near: End,
    far: End,
}

#[derive(Debug, Default)]
struct End {
    /// Bytes on their way to this end.
    incoming: VecDeque<u8>,
    /// None until this end is attached.
    party: Option<PartyId>,
    gone: bool,
}

impl Loopback {
    fn new(port: &str, side: Side, wire: Arc<Mutex<Wire>>) -> Self {
        let party = {
            let mut wire = lock(&wire);
            let party = wire.clock.register(port);
            wire.end(side).party = Some(party.id());
            party
        };
        Self {
            port: port.to_owned(),
            side,
            wire,
            party,
        }
    }

    /// Says that the calling thread uses this end.
    ///
    /// Only needed where one thread uses both ends: an end that was never used would otherwise be
    /// waited for, because its thread might be about to start.
    pub fn use_here(&self) {
        self.party.use_here();
    }

    /// Says that another thread, yet to start, uses this end from now on. See [`Party::hand_over`].
    pub fn hand_over(&self) {
        self.party.hand_over();
    }

    /// The clock that both ends share, for an observer or a further party.
    #[must_use]
    pub fn virtual_clock(&self) -> VirtualClock {
        lock(&self.wire).clock.clone()
    }

    /// Moves what can be moved now; the caller has the turn.
    fn move_now(&self, out: &[u8], inp: &mut [u8]) -> Result<Moved, TransportError> {
        let mut wire = lock(&self.wire);
        let capacity = wire.capacity;
        let peer = wire.end(self.side.other());
        let (peer_party, peer_gone) = (peer.party, peer.gone);
        let mut moved = Moved::default();
        if !peer_gone {
            let room = capacity.saturating_sub(peer.incoming.len());
            moved.sent = room.min(out.len());
            peer.incoming.extend(out.iter().take(moved.sent));
        }
        let incoming = &mut wire.end(self.side).incoming;
        moved.received = incoming.len().min(inp.len());
        for (slot, byte) in inp.iter_mut().zip(incoming.drain(..moved.received)) {
            *slot = byte;
        }
        if peer_gone && moved.received == 0 && incoming.is_empty() {
            return Err(TransportError::closed(&self.port));
        }
        drop(wire);
        if let Some(peer) = peer_party
            && !moved.is_nothing()
        {
            self.party.wake(peer);
        }
        Ok(moved)
    }
}

impl Transport for Loopback {
    fn caps(&self) -> Caps {
        Caps::new()
            .with_hang_up(true)
            .with_back_pressure(true)
            .with_lossless(true)
            .with_virtual_time(true)
    }

    fn exchange(
        &mut self,
        out: &[u8],
        inp: &mut [u8],
        timeout: Duration,
    ) -> Result<Moved, TransportError> {
        let until = self.party.take_turn_for(timeout)?;
        loop {
            let moved = self.move_now(out, inp)?;
            if !moved.is_nothing() || self.party.now() >= until {
                return Ok(moved);
            }
            self.party.wait(until)?;
        }
    }

    /// Returns at once: what was taken is already with the peer.
    fn drain(&mut self, _timeout: Duration) -> Result<(), TransportError> {
        Ok(())
    }

    fn clock(&self) -> Clock {
        self.party.clock()
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        // In its turn, so that the peer sees the end at the same virtual time on every run.
        self.party.take_last_turn();
        let mut wire = lock(&self.wire);
        let end = wire.end(self.side);
        end.gone = true;
        end.incoming.clear();
        let peer = wire.end(self.side.other()).party;
        drop(wire);
        if let Some(peer) = peer {
            self.party.wake(peer);
        }
    }
}

impl fmt::Debug for Loopback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loopback")
            .field("port", &self.port)
            .field("side", &self.side)
            .finish_non_exhaustive()
    }
}

impl Side {
    const fn other(self) -> Self {
        match self {
            Self::Near => Self::Far,
            Self::Far => Self::Near,
        }
    }
}

impl Wire {
    fn new(clock: VirtualClock, capacity: usize) -> Self {
        let (near, far) = (End::default(), End::default());
        Self {
            clock,
            capacity: capacity.max(1),
            near,
            far,
        }
    }

    const fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Near => &mut self.near,
            Side::Far => &mut self.far,
        }
    }
}

fn lock(wire: &Mutex<Wire>) -> MutexGuard<'_, Wire> {
    // Every change to a wire is whole before anything can unwind.
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}

/// First ends of named links that wait for their second.
static WAITING: Mutex<BTreeMap<String, Weak<Mutex<Wire>>>> = Mutex::new(BTreeMap::new());

/// The first to open a name gets the near end, the second the far end, a third a new link's.
///
/// While there is no second, the far end is silence. For runs that repeat exactly, open both ends
/// before the threads that use them start, or hand in [`OpenOptions::attach_device`].
///
/// [`OpenOptions::attach_device`]: crate::OpenOptions::attach_device
fn open(request: &DriverRequest<'_>) -> Result<Box<dyn Transport>, TransportError> {
    let name = request.target;
    if let Some(attach) = &request.options.attach_device {
        let (near, far) = pair(
            &VirtualClock::new(),
            request.port,
            &format!("{name} (device)"),
        );
        attach(name, far);
        return Ok(Box::new(near));
    }
    let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    waiting.retain(|_, wire| wire.strong_count() > 0);
    if let Some(wire) = waiting.remove(name).and_then(|wire| wire.upgrade()) {
        return Ok(Box::new(Loopback::new(request.port, Side::Far, wire)));
    }
    if waiting.len() >= WAITING_MAX {
        return Err(TransportError::Busy {
            port: request.port.to_owned(),
            by: format!("{WAITING_MAX} links whose other end nobody opens"),
        });
    }
    let wire = Arc::new(Mutex::new(Wire::new(VirtualClock::new(), CAPACITY_BYTES)));
    waiting.insert(name.to_owned(), Arc::downgrade(&wire));
    drop(waiting);
    Ok(Box::new(Loopback::new(request.port, Side::Near, wire)))
}

#[cfg(test)]
mod tests;
