//! What both machines have to say to a link about its speed.

use core::time::Duration;

use crate::limits::{BAUD_SILENCE, BAUD_SILENCE_BITS, BAUD_TESTS};

/// Speeds that `--fast-baud auto` tries, in baud, slowest first: what adapters have in common.
pub const LADDER: [u32; 6] = [230_400, 460_800, 921_600, 1_500_000, 2_000_000, 3_000_000];

/// Bits of a piece of the pattern on the line, in its frame.
const PIECE_BITS: u64 = BAUD_SILENCE_BITS / 2;

/// A change of the line's speed: a request that the loop serves with the link itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpeedChange {
    /// To this, in baud.
    pub baud: u32,
    /// And at once back to this: whether it can be done is all that is asked.
    pub back: Option<u32>,
    /// What was said before is to leave at the old speed.
    pub drain: bool,
}

/// Silence at that speed after which it counts as bad while it is tested.
pub(crate) fn silence(baud: u32) -> Duration {
    BAUD_SILENCE.saturating_add(time_of(BAUD_SILENCE_BITS, baud))
}

/// Time that the whole pattern takes at that speed.
pub(crate) fn pattern_time(baud: u32) -> Duration {
    time_of(PIECE_BITS.saturating_mul(u64::from(BAUD_TESTS)), baud)
}

fn time_of(bits: u64, baud: u32) -> Duration {
    let micros = bits.saturating_mul(1_000_000);
    Duration::from_micros(micros.checked_div(u64::from(baud)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_line_has_the_time_that_its_bytes_take() {
        assert_eq!(silence(9_600).as_millis(), 400 + 333);
        assert_eq!(silence(3_000_000).as_millis(), 401);
        assert_eq!(pattern_time(9_600).as_millis(), 5_333);
        assert!(LADDER.is_sorted());
    }
}
