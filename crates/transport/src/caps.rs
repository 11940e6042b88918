//! What a link can do, as data.

/// What a link promises. A layer may only weaken the promises of the link below it.
///
/// Starts from [`Caps::new`], which promises nothing, and grows by the `with_` functions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caps {
    /// Most bytes per second that the link carries one way, when that is known.
    ///
    /// For information (an estimate of the time left): nothing paces itself by this number.
    pub rate_bytes_per_second: Option<u32>,
    /// The link has a baud rate, and [`set_baud`](crate::Transport::set_baud) changes it.
    pub has_baud: bool,
    /// The line speed that the link is set to, in baud.
    pub baud: Option<u32>,
    /// The peer's going is always seen and reported as `Closed`, after the last byte it sent.
    ///
    /// Links without it may report `Closed` too: a serial line does when its adapter is unplugged.
    pub hang_up: bool,
    /// Bytes that the peer has not read yet are held back, never lost for want of room.
    pub back_pressure: bool,
    /// What arrives is what was sent: no byte is changed, lost or doubled on the way.
    pub lossless: bool,
    /// The link waits for a peer, and for the next one after `Closed`.
    pub serves_next_peer: bool,
    /// Timeouts are counted on a [`VirtualClock`](crate::VirtualClock), not in real time.
    pub virtual_time: bool,
}

impl Caps {
    /// Promises nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            rate_bytes_per_second: None,
            has_baud: false,
            baud: None,
            hang_up: false,
            back_pressure: false,
            lossless: false,
            serves_next_peer: false,
            virtual_time: false,
        }
    }

    /// Narrows the rate to at most `bytes_per_second`.
    #[must_use]
    pub const fn with_rate_at_most(mut self, bytes_per_second: u32) -> Self {
        self.rate_bytes_per_second = match self.rate_bytes_per_second {
            Some(lower) if lower < bytes_per_second => Some(lower),
            _ => Some(bytes_per_second),
        };
        self
    }

    /// Sets [`has_baud`](Self::has_baud).
    #[must_use]
    pub const fn with_baud(mut self, yes: bool) -> Self {
        self.has_baud = yes;
        self
    }

    /// Sets [`baud`](Self::baud), and [`has_baud`](Self::has_baud) with it.
    #[must_use]
    pub const fn with_baud_of(mut self, baud: u32) -> Self {
        self.has_baud = true;
        self.baud = Some(baud);
        self
    }

    /// Sets [`hang_up`](Self::hang_up).
    #[must_use]
    pub const fn with_hang_up(mut self, yes: bool) -> Self {
        self.hang_up = yes;
        self
    }

    /// Sets [`back_pressure`](Self::back_pressure).
    #[must_use]
    pub const fn with_back_pressure(mut self, yes: bool) -> Self {
        self.back_pressure = yes;
        self
    }

    /// Sets [`lossless`](Self::lossless).
    #[must_use]
    pub const fn with_lossless(mut self, yes: bool) -> Self {
        self.lossless = yes;
        self
    }

    /// Sets [`serves_next_peer`](Self::serves_next_peer).
    #[must_use]
    pub const fn with_next_peer(mut self, yes: bool) -> Self {
        self.serves_next_peer = yes;
        self
    }

    /// Sets [`virtual_time`](Self::virtual_time).
    #[must_use]
    pub const fn with_virtual_time(mut self, yes: bool) -> Self {
        self.virtual_time = yes;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_only_narrows() {
        let caps = Caps::new().with_rate_at_most(100);
        assert_eq!(caps.with_rate_at_most(500).rate_bytes_per_second, Some(100));
        assert_eq!(caps.with_rate_at_most(50).rate_bytes_per_second, Some(50));
    }
}
