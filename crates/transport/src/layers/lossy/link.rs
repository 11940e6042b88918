//! A link with faults.

use std::sync::Arc;
use std::time::Duration;

use crate::layers::lossy::faults::KEYS;
use crate::layers::lossy::lane::Lane;
use crate::layers::lossy::{Faults, Tally, Way};
use crate::registry::{Layer, LayerRequest, Wrap};
use crate::{Caps, Clock, FrameSplitter, Moved, Transport, TransportError};

inventory::submit! {
    Layer::new("lossy", wrap)
        .summary("drops, doubles, cuts and delays frames, flips bits, loses bytes, cuts the link")
        .keys(KEYS)
}

/// Bytes taken from the caller or the link below in one call, at most.
const BUFFER_BYTES: usize = 64 * 1024;

/// A link with faults, that follow from a plan and a seed alone.
///
/// Frames are told apart by a splitter and stay whole: one that is handed over in pieces is held
/// until its last byte, then passed or dropped as one. So do bytes that look like the beginning
/// of one.
#[derive(Debug)]
pub struct Lossy<T> {
    /// None once the link has been cut.
    inner: Option<T>,
    caps: Caps,
    clock: Clock,
    port: String,
    splitter: Option<fn() -> Box<dyn FrameSplitter>>,
    sending: Lane,
    receiving: Lane,
    scratch: Vec<u8>,
    /// The error that ended the link below; reported when all that had arrived has been read.
    ended: Option<TransportError>,
}

impl<T: Transport> Lossy<T> {
    /// Adds `faults` to `inner`; `port` is for messages.
    ///
    /// # Errors
    /// `NeedsSplitter` when the faults count frames and no splitter is given.
    pub fn new(
        inner: T,
        port: &str,
        faults: &Faults,
        splitter: Option<fn() -> Box<dyn FrameSplitter>>,
    ) -> Result<Self, TransportError> {
        check_splitter(port, faults, splitter)?;
        let one_way = |acts: bool| {
            if acts {
                faults.clone()
            } else {
                Faults::default()
            }
        };
        let (tx, rx) = (
            one_way(faults.way != Way::Rx),
            one_way(faults.way != Way::Tx),
        );
        // No promise about bytes holds any more, as soon as one of them may be hit.
        let harmless = !faults.counts_frames()
            && faults.bit_error_rate <= 0.0
            && faults.burst_rate <= 0.0
            && faults.cut_at.is_none();
        let below = inner.caps();
        let caps = below.with_lossless(below.lossless && harmless);
        Ok(Self {
            caps: caps.with_next_peer(below.serves_next_peer && faults.cut_at.is_none()),
            clock: inner.clock(),
            inner: Some(inner),
            port: port.to_owned(),
            splitter,
            sending: Lane::new(tx, splitter.map(|new| new()), 0),
            receiving: Lane::new(rx, splitter.map(|new| new()), 1),
            scratch: vec![0; BUFFER_BYTES],
            ended: None,
        })
    }

    /// What has happened to what was sent and to what was received; goes on counting.
    #[must_use]
    pub fn tallies(&self) -> [Arc<Tally>; 2] {
        [self.sending.tally(), self.receiving.tally()]
    }

    /// Moves bytes from and to the link below, for at most `timeout`.
    fn move_below(&mut self, receives: bool, timeout: Duration) {
        let now = self.clock.now();
        let Some(inner) = self.inner.as_mut().filter(|_| self.ended.is_none()) else {
            return;
        };
        let room = if receives && self.receiving.has_room() {
            self.scratch.len()
        } else {
            0
        };
        let scratch = self.scratch.get_mut(..room).unwrap_or_default();
        match inner.exchange(self.sending.front(now), scratch, timeout) {
            Ok(moved) => {
                self.sending.consume(moved.sent);
                let arrived = self.scratch.get(..moved.received).unwrap_or_default();
                self.receiving.take(arrived, self.clock.now());
            }
            Err(error) => {
                self.receiving.finish(self.clock.now());
                self.ended = Some(error);
            }
        }
    }

    fn is_cut(&self) -> bool {
        self.sending.is_cut() || self.receiving.is_cut()
    }

    /// The error that ends the link, once all that had arrived has been read.
    fn take_end(&mut self) -> Option<TransportError> {
        if self.is_cut() {
            // The peer sees it too.
            self.inner = None;
            return Some(TransportError::closed(&self.port));
        }
        if !self.receiving.has_room() {
            return None;
        }
        let ended = self.ended.take()?;
        if ended.is_closed() {
            if self.caps.serves_next_peer {
                let splitter = || self.splitter.map(|new| new());
                self.sending.begin_anew(splitter());
                self.receiving.begin_anew(splitter());
            } else {
                self.ended = Some(TransportError::closed(&self.port));
            }
        }
        Some(ended)
    }

    fn next_change(&self, receives: bool, until: Duration) -> Duration {
        let now = self.clock.now();
        let leaves = self.sending.next_leave().filter(|leaves| *leaves > now);
        let arrives = self.receiving.next_leave().filter(|_| receives);
        [leaves, arrives]
            .into_iter()
            .flatten()
            .fold(until, Duration::min)
    }
}

impl<T: Transport> Transport for Lossy<T> {
    fn caps(&self) -> Caps {
        self.caps
    }

    fn exchange(
        &mut self,
        out: &[u8],
        inp: &mut [u8],
        timeout: Duration,
    ) -> Result<Moved, TransportError> {
        let until = self.clock.now().saturating_add(timeout);
        loop {
            if self.is_cut() {
                return self.take_end().map_or(Ok(Moved::default()), Err);
            }
            let now = self.clock.now();
            let takes = self.sending.has_room() && self.ended.is_none();
            let sent = if takes {
                out.len().min(BUFFER_BYTES)
            } else {
                0
            };
            self.sending.take(out.get(..sent).unwrap_or_default(), now);
            if sent > 0 {
                self.move_below(!inp.is_empty(), Duration::ZERO);
            }
            let received = self.receiving.give(inp, self.clock.now());
            if sent > 0 || received > 0 {
                return Ok(Moved { sent, received });
            }
            if let Some(error) = self.take_end() {
                return Err(error);
            }
            let next = self.next_change(!inp.is_empty(), until);
            if self.ended.is_some() {
                self.clock.sleep_until(next);
            } else {
                self.move_below(!inp.is_empty(), next.saturating_sub(self.clock.now()));
            }
            if self.clock.now() >= until {
                let received = self.receiving.give(inp, self.clock.now());
                return Ok(Moved { sent: 0, received });
            }
        }
    }

    /// Waits for what is under way; the unfinished beginning of a frame stays.
    fn drain(&mut self, timeout: Duration) -> Result<(), TransportError> {
        let until = self.clock.now().saturating_add(timeout);
        while !self.sending.has_room() {
            if self.is_cut() || self.ended.is_some() {
                return Err(TransportError::closed(&self.port));
            }
            let now = self.clock.now();
            if now >= until {
                return Err(TransportError::TimedOut {
                    op: "drain",
                    port: self.port.clone(),
                });
            }
            self.move_below(false, self.next_change(false, until).saturating_sub(now));
        }
        match &mut self.inner {
            Some(inner) => inner.drain(until.saturating_sub(self.clock.now())),
            None => Err(TransportError::closed(&self.port)),
        }
    }

    fn set_baud(&mut self, baud: u32) -> Result<(), TransportError> {
        match &mut self.inner {
            Some(inner) => inner.set_baud(baud),
            None => Err(TransportError::closed(&self.port)),
        }
    }

    fn clock(&self) -> Clock {
        self.clock.clone()
    }
}

fn check_splitter(
    port: &str,
    faults: &Faults,
    splitter: Option<fn() -> Box<dyn FrameSplitter>>,
) -> Result<(), TransportError> {
    if faults.counts_frames() && splitter.is_none() {
        return Err(TransportError::NeedsSplitter {
            port: port.to_owned(),
        });
    }
    Ok(())
}

fn wrap(request: &LayerRequest<'_>) -> Result<Wrap, TransportError> {
    let faults = Faults::parse(&request.params)?;
    let (port, splitter) = (request.port.to_owned(), request.options.splitter);
    check_splitter(&port, &faults, splitter)?;
    Ok(Box::new(move |inner| {
        Ok(Box::new(Lossy::new(inner, &port, &faults, splitter)?))
    }))
}
