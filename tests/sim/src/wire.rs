//! A simulated link: frames that arrive in virtual time, or are harmed on the way.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nx_flash::splitter::FlashSplitter;
use nx_transport::{
    Caps, Clock, FrameSplitter, ManualClock, Moved, Split, Transport, TransportError,
};

/// Time from one end to the other.
const LATENCY: Duration = Duration::from_millis(1);

/// What happens to one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Harm {
    /// It does not arrive.
    Drop,
    /// Bits of one byte are turned over.
    Flip {
        /// The byte.
        at: usize,
        /// The bits.
        bits: u8,
    },
    /// One byte is another.
    Set {
        /// The byte.
        at: usize,
        /// Its new value.
        value: u8,
    },
    /// Only so many bytes of it arrive.
    Truncate(usize),
    /// It arrives twice.
    Duplicate,
    /// It, and all after it, arrives later.
    Stall(Duration),
    /// These bytes arrive in front of it.
    After(Vec<u8>),
    /// The link closes in its place.
    Close,
}

/// What happens to which frames of one direction, counted from zero.
pub type Harms = HashMap<usize, Harm>;

/// One direction.
#[derive(Debug)]
pub(crate) struct Wire {
    harms: Harms,
    held: Vec<u8>,
    frames: usize,
    lengths: Vec<usize>,
    log: Option<Vec<Vec<u8>>>,
    queue: VecDeque<(Duration, Vec<u8>)>,
    not_before: Duration,
    closed: bool,
}

/// A direction, shared by its two ends.
pub(crate) type Shared = Arc<Mutex<Wire>>;

fn lock(wire: &Shared) -> MutexGuard<'_, Wire> {
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wire {
    pub(crate) fn with(harms: Harms) -> Shared {
        Arc::new(Mutex::new(Self {
            harms,
            held: Vec::new(),
            frames: 0,
            lengths: Vec::new(),
            log: None,
            queue: VecDeque::new(),
            not_before: Duration::ZERO,
            closed: false,
        }))
    }

    fn take(&mut self, bytes: &[u8], now: Duration) {
        self.held.extend(bytes);
        let at = (now + LATENCY).max(self.not_before);
        while !self.held.is_empty() {
            match FlashSplitter.split(&self.held) {
                Split::NeedMore => return,
                Split::Junk(len) => {
                    let junk = self.held.drain(..len).collect();
                    self.queue.push_back((at, junk));
                }
                Split::Frame(len) => {
                    let frame: Vec<u8> = self.held.drain(..len).collect();
                    self.carry(frame, at);
                }
            }
        }
    }

    fn carry(&mut self, mut frame: Vec<u8>, at: Duration) {
        let number = self.frames;
        self.frames += 1;
        self.lengths.push(frame.len());
        if let Some(log) = &mut self.log {
            log.push(frame.clone());
        }
        match self.harms.get(&number) {
            None => {}
            Some(Harm::Drop) => return,
            Some(Harm::Flip { at, bits }) => {
                if let Some(byte) = frame.get_mut(*at) {
                    *byte ^= bits;
                }
            }
            Some(Harm::Set { at, value }) => {
                if let Some(byte) = frame.get_mut(*at) {
                    *byte = *value;
                }
            }
            Some(Harm::Truncate(len)) => frame.truncate(*len),
            Some(Harm::Duplicate) => self.queue.push_back((at, frame.clone())),
            Some(Harm::Stall(time)) => {
                self.not_before = at + *time;
                self.queue.push_back((self.not_before, frame));
                return;
            }
            Some(Harm::After(bytes)) => self.queue.push_back((at, bytes.clone())),
            Some(Harm::Close) => {
                self.closed = true;
                return;
            }
        }
        self.queue.push_back((at, frame));
    }

    fn give(&mut self, into: &mut [u8], now: Duration) -> usize {
        let mut given = 0;
        while given < into.len() {
            let Some((at, bytes)) = self.queue.front_mut() else {
                break;
            };
            if *at > now {
                break;
            }
            let count = bytes.len().min(into.len() - given);
            into[given..given + count].copy_from_slice(&bytes[..count]);
            given += count;
            if count == bytes.len() {
                self.queue.pop_front();
            } else {
                bytes.drain(..count);
            }
        }
        given
    }
}

/// Lengths of the frames that went over a direction.
pub(crate) fn lengths(wire: &Shared) -> Vec<usize> {
    lock(wire).lengths.clone()
}

/// Keeps what goes over a direction from here on.
pub(crate) fn keep(wire: &Shared) {
    lock(wire).log = Some(Vec::new());
}

/// What was kept.
pub(crate) fn kept(wire: &Shared) -> Vec<Vec<u8>> {
    lock(wire).log.clone().unwrap_or_default()
}

/// One end. It never waits: it notes until when its user would have.
#[derive(Debug)]
pub(crate) struct End {
    clock: ManualClock,
    outbound: Shared,
    inbound: Shared,
    wake_at: Duration,
    pub(crate) moved: bool,
}

impl End {
    pub(crate) fn new(clock: &ManualClock, outbound: &Shared, inbound: &Shared) -> Self {
        Self {
            clock: clock.clone(),
            outbound: Arc::clone(outbound),
            inbound: Arc::clone(inbound),
            wake_at: Duration::ZERO,
            moved: false,
        }
    }

    /// When its user is to be called next.
    pub(crate) fn next_call(&self) -> Duration {
        let arrival = lock(&self.inbound).queue.front().map(|(at, _)| *at);
        arrival.map_or(self.wake_at, |at| at.min(self.wake_at))
    }

    /// Has its user called at once.
    pub(crate) fn wake(&mut self, now: Duration) {
        self.wake_at = now;
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
        self.wake_at = now + timeout;
        if lock(&self.outbound).closed || lock(&self.inbound).closed {
            return Err(TransportError::Closed {
                port: "sim".to_owned(),
            });
        }
        lock(&self.outbound).take(out, now);
        let received = lock(&self.inbound).give(inp, now);
        self.moved = !out.is_empty() || received > 0;
        Ok(Moved {
            sent: out.len(),
            received,
        })
    }

    fn drain(&mut self, _timeout: Duration) -> Result<(), TransportError> {
        Ok(())
    }

    fn clock(&self) -> Clock {
        self.clock.clock()
    }
}
