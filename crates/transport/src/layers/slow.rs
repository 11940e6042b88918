//! `slow+`, which makes any link as slow as another.

mod pipe;

use std::time::Duration;

use crate::registry::{Key, Layer, LayerRequest, Wrap};
use crate::{Caps, Clock, Moved, Transport, TransportError};

use pipe::Pipe;

inventory::submit! {
    Layer::new("slow", wrap)
        .summary("limits the rate and delays, both ways")
        .keys(&[
            Key::new("rate", "bytes per second each way; 11520 is a line of 115200 baud"),
            Key::new("latency_ms", "time that a byte takes one way, in milliseconds"),
        ])
}

/// Longest latency: a minute.
const LATENCY_MS_MAX: u32 = 60_000;

/// Bytes moved from and to the link below in one call, at most.
const BUFFER_BYTES: usize = 16 * 1024;

/// How slow a line is. The default is not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slowness {
    /// Bytes per second each way; none for no limit.
    pub bytes_per_second: Option<u32>,
    /// Time that a byte takes one way.
    pub latency: Duration,
}

/// A link that is as slow as asked for, both ways, on the clock of the link below.
///
/// Bytes move only inside calls, as on a UART whose buffer of 4 KiB is full when nobody looks.
#[derive(Debug)]
pub struct Slow<T> {
    inner: T,
    slowness: Slowness,
    clock: Clock,
    outbound: Pipe,
    inbound: Pipe,
    /// Has come out of the outbound line, and the link below has not taken it yet.
    due: Vec<u8>,
    scratch: Vec<u8>,
    /// The error that ended the link below; reported when all that had arrived has been read.
    ended: Option<TransportError>,
}

impl<T: Transport> Slow<T> {
    /// Makes `inner` that slow.
    pub fn new(inner: T, slowness: Slowness) -> Self {
        Self {
            clock: inner.clock(),
            inner,
            slowness,
            outbound: Pipe::new(slowness),
            inbound: Pipe::new(slowness),
            due: Vec::new(),
            scratch: vec![0; BUFFER_BYTES],
            ended: None,
        }
    }

    /// Takes what has come out of the outbound line, for the link below.
    fn collect_due(&mut self, now: Duration) {
        if self.due.is_empty() {
            self.due.resize(BUFFER_BYTES, 0);
            let count = self.outbound.give(&mut self.due, now);
            self.due.truncate(count);
        }
    }

    /// Moves bytes from and to the link below, for at most `timeout`.
    fn move_below(&mut self, timeout: Duration) {
        if self.ended.is_some() {
            return;
        }
        let room = self.inbound.room(self.clock.now()).min(self.scratch.len());
        let scratch = self.scratch.get_mut(..room).unwrap_or_default();
        match self.inner.exchange(&self.due, scratch, timeout) {
            Ok(moved) => {
                self.due.drain(..moved.sent.min(self.due.len()));
                let arrived = self.scratch.get(..moved.received).unwrap_or_default();
                self.inbound.take(arrived, self.clock.now());
            }
            Err(error) => self.ended = Some(error),
        }
    }

    /// When something will have changed, apart from what comes from the link below.
    fn next_change(&self, sends: bool, receives: bool, until: Duration) -> Duration {
        let now = self.clock.now();
        let leaves = self.outbound.next_arrival().filter(|_| self.due.is_empty());
        let arrives = self.inbound.next_arrival().filter(|_| receives);
        let room = self.outbound.room_at().filter(|_| sends);
        let more = self
            .inbound
            .room_at()
            .filter(|_| self.inbound.room(now) == 0);
        // What is past already waits for the caller or for the link below, not for time.
        let changes = [leaves, arrives, room, more].into_iter().flatten();
        changes.filter(|at| *at > now).fold(until, Duration::min)
    }

    /// The error that ended the link, once all that had arrived has been read.
    fn take_end(&mut self) -> Option<TransportError> {
        if !self.inbound.is_empty() {
            return None;
        }
        let ended = self.ended.take()?;
        if let TransportError::Closed { port } = &ended {
            if self.inner.caps().serves_next_peer {
                // What was under way to the last peer is not for the next one.
                self.outbound = Pipe::new(self.slowness);
                self.due.clear();
            } else {
                self.ended = Some(TransportError::closed(port));
            }
        }
        Some(ended)
    }
}

impl<T: Transport> Transport for Slow<T> {
    fn caps(&self) -> Caps {
        let caps = self.inner.caps();
        self.slowness
            .bytes_per_second
            .map_or(caps, |rate| caps.with_rate_at_most(rate))
    }

    fn exchange(
        &mut self,
        out: &[u8],
        inp: &mut [u8],
        timeout: Duration,
    ) -> Result<Moved, TransportError> {
        let until = self.clock.now().saturating_add(timeout);
        loop {
            let now = self.clock.now();
            let sent = if self.ended.is_some() {
                0
            } else {
                self.outbound.room(now).min(out.len())
            };
            self.outbound.take(out.get(..sent).unwrap_or_default(), now);
            self.collect_due(now);
            if sent > 0 || !self.due.is_empty() {
                self.move_below(Duration::ZERO);
            }
            let received = self.inbound.give(inp, self.clock.now());
            if sent > 0 || received > 0 {
                return Ok(Moved { sent, received });
            }
            if let Some(error) = self.take_end() {
                return Err(error);
            }
            let now = self.clock.now();
            let next = self.next_change(!out.is_empty(), !inp.is_empty(), until);
            if self.ended.is_some() {
                self.clock.sleep_until(next);
            } else {
                self.move_below(next.saturating_sub(now));
            }
            if self.clock.now() >= until {
                let received = self.inbound.give(inp, self.clock.now());
                return Ok(Moved { sent: 0, received });
            }
        }
    }

    fn drain(&mut self, timeout: Duration) -> Result<(), TransportError> {
        let until = self.clock.now().saturating_add(timeout);
        loop {
            self.collect_due(self.clock.now());
            if let Some(TransportError::Closed { port }) = &self.ended {
                return Err(TransportError::closed(port));
            }
            let now = self.clock.now();
            if self.due.is_empty() && self.outbound.is_empty() {
                return self.inner.drain(until.saturating_sub(now));
            }
            if now >= until {
                return Err(TransportError::TimedOut {
                    op: "drain",
                    port: "slow+".to_owned(),
                });
            }
            let next = self.next_change(false, false, until);
            self.move_below(next.saturating_sub(now));
        }
    }

    fn set_baud(&mut self, baud: u32) -> Result<(), TransportError> {
        self.inner.set_baud(baud)
    }

    fn clock(&self) -> Clock {
        self.clock.clone()
    }
}

fn wrap(request: &LayerRequest<'_>) -> Result<Wrap, TransportError> {
    let params = &request.params;
    let bytes_per_second = params.parsed(
        "rate",
        "a number of bytes per second from 1",
        |rate: &u32| *rate > 0,
    )?;
    let latency_ms = params.parsed(
        "latency_ms",
        "a number of milliseconds up to 60000",
        |ms: &u32| *ms <= LATENCY_MS_MAX,
    )?;
    let latency = Duration::from_millis(u64::from(latency_ms.unwrap_or_default()));
    let slowness = Slowness {
        bytes_per_second,
        latency,
    };
    Ok(Box::new(move |inner| {
        Ok(Box::new(Slow::new(inner, slowness)))
    }))
}

#[cfg(test)]
mod tests;
