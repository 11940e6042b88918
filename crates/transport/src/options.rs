//! What the program that opens a port decides, beside what the port's text says.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::FrameSplitter;
use crate::drivers::loopback::Loopback;

/// Given the name and the far end of a `loopback:` port as it is opened; starts what answers there.
///
/// It is called on the opening thread and must not wait: it moves the far end to a thread of its
/// own.
pub type AttachDevice = Arc<dyn Fn(&str, Loopback) + Send + Sync>;

/// What the program that opens a port decides. `OpenOptions::default()` is right for a command
/// line.
#[derive(Clone)]
#[non_exhaustive]
pub struct OpenOptions {
    /// Baud rate for links that have one, when the port's own text says none. Default: 115 200.
    pub baud: Option<u32>,
    /// How to find frames, for layers that act on frames. Without it those layers refuse.
    pub splitter: Option<fn() -> Box<dyn FrameSplitter>>,
    /// Longest time for a connection to come about. Default: 5 s.
    pub connect_timeout: Duration,
    /// Lets `tcp:` reach and serve other machines, as `?remote=yes` does. Default: no.
    pub allow_remote: bool,
    /// What answers at the far end of `loopback:`. Default: whoever opens the same name second.
    pub attach_device: Option<AttachDevice>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            baud: None,
            splitter: None,
            connect_timeout: Duration::from_secs(5),
            allow_remote: false,
            attach_device: None,
        }
    }
}

impl OpenOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the baud rate used when the port's own text says none.
    #[must_use]
    pub const fn with_baud(mut self, baud: u32) -> Self {
        self.baud = Some(baud);
        self
    }

    /// Sets how layers find frames.
    #[must_use]
    pub const fn with_splitter(mut self, splitter: fn() -> Box<dyn FrameSplitter>) -> Self {
        self.splitter = Some(splitter);
        self
    }

    /// Sets the longest time for a connection to come about.
    #[must_use]
    pub const fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Lets `tcp:` reach and serve other machines.
    #[must_use]
    pub const fn with_remote(mut self, allowed: bool) -> Self {
        self.allow_remote = allowed;
        self
    }

    /// Sets what answers at the far end of `loopback:`.
    #[must_use]
    pub fn with_device(mut self, attach: AttachDevice) -> Self {
        self.attach_device = Some(attach);
        self
    }
}

impl fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenOptions")
            .field("baud", &self.baud)
            .field("splitter", &self.splitter.is_some())
            .field("connect_timeout", &self.connect_timeout)
            .field("allow_remote", &self.allow_remote)
            .field("attach_device", &self.attach_device.is_some())
            .finish()
    }
}
