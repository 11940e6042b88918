//! Asking for a session: `HELLO`, ever more slowly.

use alloc::vec::Vec;
use core::time::Duration;

use crate::host::config::HostConfig;
use crate::time::Instant;
use crate::wire::{Frame, Hello, Kind, VERSION};

/// Time between the first two `HELLO`s. A device that answers later than that answers
/// twice, which costs it a frame.
const HELLO_AFTER: Duration = Duration::from_millis(50);
/// Longest time between two `HELLO`s.
const HELLO_EVERY_MAX: Duration = Duration::from_secs(2);

/// When `HELLO` goes out, and how often it did.
#[derive(Debug)]
pub(super) struct Calling {
    tries: u32,
    is_due: bool,
    next_at: Instant,
    wait: Duration,
    /// When the first one went out.
    said_at: Instant,
}

impl Calling {
    /// The first `HELLO` is due at once; `now` may be any time before.
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            tries: 0,
            is_due: true,
            next_at: now,
            wait: HELLO_AFTER,
            said_at: now,
        }
    }

    /// When the next one is due.
    pub(super) const fn next_at(&self) -> Instant {
        self.next_at
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.next_at <= now {
            self.is_due = true;
            self.wait_longer(now);
        }
    }

    /// What the round trip is at most, from the first `HELLO` on; an answer to one of many
    /// tells nothing.
    pub(super) fn round_trip(&self, now: Instant) -> Option<Duration> {
        (self.tries <= 2).then(|| now.since(self.said_at))
    }

    /// Appends a `HELLO`, if one is due; returns its length in bytes.
    pub(super) fn poll_transmit(
        &mut self,
        config: &HostConfig,
        nonce: u64,
        codecs: u32,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        if !core::mem::take(&mut self.is_due) {
            return None;
        }
        if self.tries == 0 {
            self.said_at = now;
            self.wait_longer(now);
        }
        let hello = Hello {
            version_min: VERSION,
            version_max: VERSION,
            nonce,
            codecs,
            host: config.name.clone(),
        };
        let mut payload = Vec::new();
        hello.emit(&mut payload);
        let len = Frame::new(Kind::Hello, 0, self.tries, &payload).emit(out);
        self.tries = self.tries.saturating_add(1);
        Some(len)
    }

    fn wait_longer(&mut self, now: Instant) {
        self.next_at = now.after(self.wait);
        let half = self.wait.checked_div(2).unwrap_or(self.wait);
        self.wait = self.wait.saturating_add(half).min(HELLO_EVERY_MAX);
    }
}
