//! Virtual time, on which one party runs at a time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use crate::{Clock, TransportError};

/// Shortest wait. A side that polls with no timeout would otherwise stop time for everybody.
const TICK: Duration = Duration::from_micros(1);

/// Real time after which a party that waits for its turn gives up.
///
/// Far beyond what a loaded machine needs: this turns a test that would hang into one that says
/// why.
const STALL: Duration = Duration::from_secs(120);

/// Real time after which a party that leaves no longer waits for its turn to do so.
const LEAVE: Duration = Duration::from_secs(10);

/// Virtual time shared by the parties of a test or a dry run. Cheap to clone.
///
/// Each party (an end of a loopback link, or a [`Party`] of its own) is used from one thread. One
/// party runs at a time: the turn passes when it waits, to the next in order of registration
/// that can run; when none can, time jumps to the earliest deadline, ties in the order of
/// registration. A party counts from its registration on, before its thread has started: the
/// turn then waits for it. Identical parties doing identical things therefore meet in the identical
/// order on every run.
///
/// A party that neither waits on the clock nor is dropped holds everybody up. Wrap what waits in
/// real time, such as joining a thread, in [`Clock::outside`]. Parties used from the same thread
/// do not hold each other up: one that cannot run because its thread waits for another is passed
/// over.
#[derive(Clone, Default)]
pub struct VirtualClock {
    core: Arc<Core>,
}

/// A seat at a [`VirtualClock`]; leaves it when dropped.
#[derive(Debug)]
pub struct Party {
    seat: Seat,
}

/// Names a party without keeping it registered.
#[derive(Clone)]
pub(crate) struct Seat {
    core: Arc<Core>,
    id: PartyId,
}

/// Order of registration.
pub(crate) type PartyId = u64;

#[derive(Default)]
struct Core {
    state: Mutex<State>,
    turn: Condvar,
}

#[derive(Default)]
struct State {
    now: Duration,
    holder: Option<PartyId>,
    /// Counts changes of the turn, so that a waiter can tell a stall from a busy clock.
    turns: u64,
    next_id: PartyId,
    parties: BTreeMap<PartyId, Slot>,
}

struct Slot {
    name: String,
    /// The thread that used the party last; none before its first use.
    thread: Option<ThreadId>,
    doing: Doing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// Runs, or may run as soon as it is its turn.
    Ready,
    /// Its thread is blocked until it is its turn.
    Queued,
    /// Its thread is blocked until `until`, or until it is woken.
    Waiting { until: Duration, woken: bool },
    /// Does something that has nothing to do with virtual time.
    Away,
}

impl VirtualClock {
    /// A clock that stands at zero and has no parties.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a party, whose name is for messages.
    #[must_use]
    pub fn register(&self, name: &str) -> Party {
        let mut state = self.core.lock();
        let id = state.next_id;
        state.next_id = id.saturating_add(1);
        let slot = Slot {
            name: name.to_owned(),
            thread: None,
            doing: Doing::Ready,
        };
        state.parties.insert(id, slot);
        if state.holder.is_none() {
            state.give_turn(id);
        }
        Party {
            seat: Seat {
                core: Arc::clone(&self.core),
                id,
            },
        }
    }

    /// Virtual time now, for an observer who is no party.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.core.lock().now
    }
}

impl fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualClock")
            .field("now", &self.now())
            .finish_non_exhaustive()
    }
}

impl Party {
    /// The clock as this party sees it.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock::virtual_seat(self.seat.clone())
    }

    /// Says that another thread uses this party from now on.
    ///
    /// Only needed for a party that this thread has used before and that a thread which is yet to
    /// start will use next: without it, this thread would be thought to be the one to run it.
    pub fn hand_over(&self) {
        if let Some(slot) = self.seat.core.lock().parties.get_mut(&self.seat.id) {
            slot.thread = None;
        }
    }

    /// Says that the calling thread uses this party.
    ///
    /// Only needed where one thread uses several parties, for those it has not used yet: they
    /// would otherwise be waited for, because their thread might be about to start.
    pub fn use_here(&self) {
        if let Some(slot) = self.seat.core.lock().parties.get_mut(&self.seat.id) {
            slot.thread = Some(thread::current().id());
        }
    }

    pub(crate) const fn id(&self) -> PartyId {
        self.seat.id
    }

    /// Waits for this party's turn.
    pub(crate) fn take_turn(&self) -> Result<(), TransportError> {
        self.seat.take_turn(STALL)
    }

    /// Waits for this party's turn; returns when a wait of `timeout` from then on ends.
    pub(crate) fn take_turn_for(&self, timeout: Duration) -> Result<Duration, TransportError> {
        self.take_turn()?;
        Ok(self.now().saturating_add(timeout.max(TICK)))
    }

    /// Waits for this party's turn before it leaves, but not for long.
    pub(crate) fn take_last_turn(&self) {
        let _ = self.seat.take_turn(LEAVE);
    }

    /// Virtual time; the caller has the turn.
    pub(crate) fn now(&self) -> Duration {
        self.seat.core.lock().now
    }

    /// Passes the turn on until `until`, or until somebody wakes this party.
    pub(crate) fn wait(&self, until: Duration) -> Result<(), TransportError> {
        self.seat.wait(until)
    }

    /// Lets `other` run before its deadline.
    pub(crate) fn wake(&self, other: PartyId) {
        if let Some(slot) = self.seat.core.lock().parties.get_mut(&other)
            && let Doing::Waiting { woken, .. } = &mut slot.doing
        {
            *woken = true;
        }
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        let mut state = self.seat.core.lock();
        state.parties.remove(&self.seat.id);
        if state.holder == Some(self.seat.id) {
            state.pass_turn(self.seat.id);
        }
        drop(state);
        self.seat.core.turn.notify_all();
    }
}

impl Seat {
    pub(crate) fn now(&self) -> Duration {
        // A stalled clock still has a time; the next call that can fail reports the stall.
        let _ = self.take_turn(STALL);
        self.core.lock().now
    }

    pub(crate) fn sleep_until(&self, time: Duration) {
        while self.now() < time {
            if self.wait(time).is_err() || !self.is_registered() {
                return;
            }
        }
    }

    pub(crate) fn outside<R>(&self, work: impl FnOnce() -> R) -> R {
        /// Comes back even when `work` unwinds.
        struct Back<'a>(&'a Seat);
        impl Drop for Back<'_> {
            fn drop(&mut self) {
                self.0.set_doing(Doing::Ready);
                let mut state = self.0.core.lock();
                if state.holder.is_none() && state.parties.contains_key(&self.0.id) {
                    state.give_turn(self.0.id);
                }
            }
        }
        let _ = self.take_turn(STALL);
        self.set_doing(Doing::Away);
        let mut state = self.core.lock();
        if state.holder == Some(self.id) {
            state.pass_turn(self.id);
        }
        drop(state);
        self.core.turn.notify_all();
        let _back = Back(self);
        work()
    }

    fn is_registered(&self) -> bool {
        self.core.lock().parties.contains_key(&self.id)
    }

    fn set_doing(&self, doing: Doing) {
        if let Some(slot) = self.core.lock().parties.get_mut(&self.id) {
            slot.doing = doing;
        }
    }

    fn take_turn(&self, patience: Duration) -> Result<(), TransportError> {
        let me = thread::current().id();
        let mut state = self.core.lock();
        let Some(slot) = state.parties.get_mut(&self.id) else {
            return Ok(());
        };
        slot.thread = Some(me);
        let free = match state.holder {
            None => true,
            Some(holder) if holder == self.id => true,
            // This very thread has the turn, as another party.
            Some(holder) => state
                .parties
                .get(&holder)
                .is_some_and(|slot| slot.thread == Some(me)),
        };
        if free {
            if state.holder != Some(self.id) {
                state.give_turn(self.id);
            }
            return Ok(());
        }
        state.set_doing(self.id, Doing::Queued);
        self.block(state, patience)
    }

    fn wait(&self, until: Duration) -> Result<(), TransportError> {
        let mut state = self.core.lock();
        if !state.parties.contains_key(&self.id) {
            return Ok(());
        }
        state.set_doing(
            self.id,
            Doing::Waiting {
                until,
                woken: false,
            },
        );
        state.pass_turn(self.id);
        if state.holder != Some(self.id) {
            self.core.turn.notify_all();
        }
        self.block(state, STALL)
    }

    /// Blocks the thread until it is this party's turn.
    fn block(
        &self,
        mut state: MutexGuard<'_, State>,
        patience: Duration,
    ) -> Result<(), TransportError> {
        let mut turns = state.turns;
        let mut since = Instant::now();
        while state.holder != Some(self.id) && state.parties.contains_key(&self.id) {
            if state.turns != turns {
                turns = state.turns;
                since = Instant::now();
            }
            let left = patience.saturating_sub(since.elapsed());
            if left.is_zero() {
                state.set_doing(self.id, Doing::Ready);
                return Err(state.stalled(self.id, patience));
            }
            state = match self.core.turn.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        state.set_doing(self.id, Doing::Ready);
        Ok(())
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Seat").field(&self.id).finish()
    }
}

impl Core {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change to the state is whole before anything can unwind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn give_turn(&mut self, id: PartyId) {
        self.holder = Some(id);
        self.turns = self.turns.wrapping_add(1);
    }

    fn set_doing(&mut self, id: PartyId, doing: Doing) {
        if let Some(slot) = self.parties.get_mut(&id) {
            slot.doing = doing;
        }
    }

    /// Chooses who runs after `last`, and moves time forward when nobody can run now.
    fn pass_turn(&mut self, last: PartyId) {
        self.holder = None;
        let runnable = self
            .parties
            .range(last.saturating_add(1)..)
            .chain(self.parties.range(..=last))
            .find(|(_, slot)| self.can_run(slot))
            .map(|(id, _)| *id);
        if let Some(id) = runnable {
            self.give_turn(id);
            return;
        }
        let earliest = self
            .parties
            .iter()
            .filter_map(|(id, slot)| match slot.doing {
                Doing::Waiting { until, .. } => Some((until, *id)),
                Doing::Ready | Doing::Queued | Doing::Away => None,
            })
            .min();
        if let Some((until, id)) = earliest {
            self.now = self.now.max(until);
            self.give_turn(id);
        }
    }

    fn can_run(&self, slot: &Slot) -> bool {
        match slot.doing {
            Doing::Ready => !self.is_blocked(slot.thread),
            Doing::Queued => true,
            Doing::Waiting { until, woken } => woken || until <= self.now,
            Doing::Away => false,
        }
    }

    /// Whether the thread waits inside the clock, for whatever party.
    fn is_blocked(&self, thread: Option<ThreadId>) -> bool {
        thread.is_some()
            && self.parties.values().any(|slot| {
                slot.thread == thread && matches!(slot.doing, Doing::Queued | Doing::Waiting { .. })
            })
    }

    fn stalled(&self, id: PartyId, waited: Duration) -> TransportError {
        let name = |id: Option<PartyId>| {
            id.and_then(|id| self.parties.get(&id))
                .map_or_else(|| "nobody".to_owned(), |slot| slot.name.clone())
        };
        TransportError::Stalled {
            party: name(Some(id)),
            holder: name(self.holder),
            waited_s: waited.as_secs(),
        }
    }
}

#[cfg(test)]
mod tests;
