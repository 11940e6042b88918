//! What a line is like.

use std::time::Duration;

use crate::LineError;
use crate::limits::{BURST_BYTES_MAX, LATENCY_MAX, RATE_MAX};

/// Bits that one byte takes on the line: start, eight, stop.
const BITS_PER_BYTE: u32 = 10;

/// How fast bytes pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// So many bytes per second each way, whatever speed the terminals are set to.
    Fixed(u32),
    /// A byte per ten bits of the speed that the sender's terminal is set to.
    Speed,
}

/// What a line is like. The same both ways, with numbers drawn for each.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditions {
    /// How fast bytes pass.
    pub pace: Pace,
    /// Time that a byte takes beyond its own length, one way.
    pub latency: Duration,
    /// Share of data bits that are flipped, from 0 to below 1.
    pub bit_error_rate: f64,
    /// Share of bytes that are lost in bursts, from 0 to below 1.
    pub burst_rate: f64,
    /// Bytes lost in one burst.
    pub burst_bytes: u32,
    /// Speed in baud that both terminals have at first.
    pub baud: u32,
    /// Speed in baud above which the line garbles what is sent, though both ends agree.
    pub baud_max: Option<u32>,
    /// What is drawn follows from this.
    pub seed: u64,
}

impl Default for Conditions {
    /// A clean line of 115200 baud that follows the speed of its terminals.
    fn default() -> Self {
        Self {
            pace: Pace::Speed,
            latency: Duration::ZERO,
            bit_error_rate: 0.0,
            burst_rate: 0.0,
            burst_bytes: 64,
            baud: 115_200,
            baud_max: None,
            seed: 0,
        }
    }
}

impl Conditions {
    /// Bytes per second at that speed of the sender; at least 1.
    #[must_use]
    pub fn rate_at(&self, baud: u32) -> u32 {
        let rate = match self.pace {
            Pace::Fixed(rate) => rate,
            Pace::Speed => baud.checked_div(BITS_PER_BYTE).unwrap_or_default(),
        };
        rate.clamp(1, RATE_MAX)
    }

    /// Share of bits that are flipped of what is sent at that speed.
    #[must_use]
    pub fn bit_error_rate_at(&self, baud: u32) -> f64 {
        /// Fewer than one frame in a thousand of 14 bytes gets through that.
        const GARBLED: f64 = 0.06;
        match self.baud_max {
            Some(most) if baud > most => GARBLED.max(self.bit_error_rate),
            _ => self.bit_error_rate,
        }
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// `Conditions` names the first that is out of them.
    pub fn check(&self) -> Result<(), LineError> {
        let refuse =
            |what, got: String, want: String| Err(LineError::Conditions { what, got, want });
        let share = |what, share: f64| {
            if (0.0..1.0).contains(&share) {
                Ok(())
            } else {
                refuse(what, share.to_string(), "a share from 0 to below 1".into())
            }
        };
        if let Pace::Fixed(rate) = self.pace
            && !(1..=RATE_MAX).contains(&rate)
        {
            let want = format!("1 to {RATE_MAX} bytes per second");
            return refuse("the rate", rate.to_string(), want);
        }
        if self.latency > LATENCY_MAX {
            let want = format!("up to {LATENCY_MAX:?}");
            return refuse("the latency", format!("{:?}", self.latency), want);
        }
        if !(1..=BURST_BYTES_MAX).contains(&self.burst_bytes) {
            let want = format!("1 to {BURST_BYTES_MAX} bytes");
            return refuse("the length of a burst", self.burst_bytes.to_string(), want);
        }
        if self.baud == 0 {
            return refuse("the speed", "0".into(), "1 baud and more".into());
        }
        share("the bit error rate", self.bit_error_rate)?;
        share("the burst rate", self.burst_rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_bounds_is_named() {
        let good = Conditions::default();
        assert!(good.check().is_ok());
        let named = |bad: Conditions| bad.check().unwrap_err().to_string();
        let bad = Conditions {
            pace: Pace::Fixed(0),
            ..good.clone()
        };
        assert_eq!(
            named(bad),
            "the rate is 0, and can be 1 to 4000000 bytes per second"
        );
        let bad = Conditions {
            bit_error_rate: 1.0,
            ..good.clone()
        };
        assert!(named(bad).starts_with("the bit error rate is 1,"));
        let bad = Conditions {
            burst_bytes: 0,
            ..good.clone()
        };
        assert!(named(bad).starts_with("the length of a burst is 0,"));
        let bad = Conditions {
            latency: Duration::from_secs(11),
            ..good
        };
        assert!(named(bad).starts_with("the latency is 11s,"));
    }

    #[test]
    fn a_line_follows_its_terminals_or_a_fixed_rate() {
        let follows = Conditions::default();
        assert_eq!(follows.rate_at(921_600), 92_160);
        assert_eq!(follows.rate_at(0), 1);
        let fixed = Conditions {
            pace: Pace::Fixed(92_160),
            ..follows
        };
        assert_eq!(fixed.rate_at(9600), 92_160);
    }
}
