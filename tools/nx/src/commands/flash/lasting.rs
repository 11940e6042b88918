//! A link that is opened again when it closes.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use nx_transport::{Caps, Clock, Moved, Transport, TransportError};

/// Pause between two tries to open the port again.
const REOPEN_EVERY: Duration = Duration::from_millis(500);

/// Opens the port once more.
pub(crate) type Reopen<'a> =
    Box<dyn FnMut() -> Result<Box<dyn Transport>, TransportError> + Send + 'a>;

/// What became of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// It closed; what was handed over last may not have arrived.
    Lost,
    /// It is open again.
    Back,
}

/// A link that is opened again when it closes: to its user it is one link, on which nothing moves
/// for a while. How long is for its user to judge.
///
/// It does so only while it is [told to last](Self::last), and never on virtual time, where what
/// is behind a link ends with it.
pub(crate) struct Lasting<'a> {
    port: String,
    link: Option<Box<dyn Transport>>,
    reopen: Reopen<'a>,
    lasts: bool,
    caps: Caps,
    clock: Clock,
    /// Why the link is down.
    down: Option<TransportError>,
    next_try: Duration,
    news: VecDeque<News>,
}

impl<'a> Lasting<'a> {
    /// Around an open link to `port`.
    pub(crate) fn over(port: String, link: Box<dyn Transport>, reopen: Reopen<'a>) -> Self {
        Self {
            port,
            caps: link.caps(),
            clock: link.clock(),
            link: Some(link),
            reopen,
            lasts: false,
            down: None,
            next_try: Duration::ZERO,
            news: VecDeque::new(),
        }
    }

    /// From here on, whether the end of the link is hidden.
    pub(crate) fn last(&mut self, yes: bool) {
        self.lasts = yes && !self.caps.virtual_time;
    }

    /// The next thing that became of the link.
    pub(crate) fn news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// Why the link is down, if it is.
    pub(crate) const fn down(&self) -> Option<&TransportError> {
        self.down.as_ref()
    }

    fn closed(&self) -> TransportError {
        TransportError::Closed {
            port: self.port.clone(),
        }
    }

    fn lost(&mut self, why: TransportError) {
        if !self.caps.serves_next_peer {
            // What is open exclusively has to be closed before it can be opened again.
            self.link = None;
        }
        if self.down.replace(why).is_none() {
            self.news.push_back(News::Lost);
        }
        self.next_try = self.clock.now();
    }

    fn back(&mut self) {
        if self.down.take().is_some() {
            self.news.push_back(News::Back);
        }
    }

    /// Tries to open the port, if it is time to.
    fn try_again(&mut self, timeout: Duration) -> Result<Moved, TransportError> {
        let until = self.clock.now().saturating_add(timeout);
        self.clock.sleep_until(until.min(self.next_try));
        if self.clock.now() < self.next_try {
            return Ok(Moved::default());
        }
        match (self.reopen)() {
            Ok(link) => {
                self.link = Some(link);
                self.back();
            }
            Err(error) if may_come_back(&error) => {
                self.down = Some(error);
                self.next_try = self.clock.now().saturating_add(REOPEN_EVERY);
            }
            Err(error) => return Err(error),
        }
        Ok(Moved::default())
    }
}

impl fmt::Debug for Lasting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lasting")
            .field("link", &self.link)
            .field("lasts", &self.lasts)
            .field("down", &self.down)
            .finish_non_exhaustive()
    }
}

impl Transport for Lasting<'_> {
    fn caps(&self) -> Caps {
        self.caps
    }

    fn exchange(
        &mut self,
        out: &[u8],
        inp: &mut [u8],
        timeout: Duration,
    ) -> Result<Moved, TransportError> {
        let Some(link) = &mut self.link else {
            if self.lasts {
                return self.try_again(timeout);
            }
            return Err(self.closed());
        };
        match link.exchange(out, inp, timeout) {
            Ok(moved) => {
                if !moved.is_nothing() {
                    self.back();
                }
                Ok(moved)
            }
            Err(error) if self.lasts && may_come_back(&error) => {
                self.lost(error);
                Ok(Moved::default())
            }
            Err(error) => Err(error),
        }
    }

    fn drain(&mut self, timeout: Duration) -> Result<(), TransportError> {
        match &mut self.link {
            Some(link) => link.drain(timeout),
            None => Err(self.closed()),
        }
    }

    fn set_baud(&mut self, baud: u32) -> Result<(), TransportError> {
        match &mut self.link {
            Some(link) => link.set_baud(baud),
            // It is opened again at the speed of the beginning.
            None => Err(self.closed()),
        }
    }

    fn clock(&self) -> Clock {
        self.clock.clone()
    }
}

/// A port that was open once: an adapter may be plugged in again, a peer may start again.
const fn may_come_back(error: &TransportError) -> bool {
    use TransportError as E;
    error.is_retryable()
        || matches!(
            error,
            E::NotFound { .. }
                | E::NotAPort { .. }
                | E::Busy { .. }
                | E::Permission { .. }
                | E::Io { .. }
        )
}

#[cfg(test)]
mod tests;
