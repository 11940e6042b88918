//! What a receiver makes of bytes that were sent at another speed.

/// Bits of one byte on the line: start, eight from the lowest on, stop.
const BITS_PER_BYTE: usize = 10;

/// Samples what `bytes` look like on a line at `sent` baud, followed by silence, as a UART set to
/// `sampled` baud does; appends what it sees to `out`.
///
/// It waits for a falling edge, and looks at the middle of each of its own ten bits. A byte
/// without a stop bit counts as 0, as Linux gives it in raw mode. So a difference of a few per
/// cent does no harm, and a larger one gives other bytes and another number of them.
pub(crate) fn sample(bytes: &[u8], sent: u32, sampled: u32, out: &mut Vec<u8>) {
    let wire = Wire { bytes };
    // One bit of the receiver, in bits of the sender.
    let bit = f64::from(sent.max(1)) / f64::from(sampled.max(1));
    let mut from = 0;
    while let Some(edge) = wire.falling_edge(from) {
        let level = |middle: f64| wire.level_at(edge as f64 + middle * bit);
        if level(0.5) {
            // Shorter than a bit: no byte begins here.
            from = edge.saturating_add(1);
            continue;
        }
        let mut byte = 0;
        for number in 0..8_u32 {
            if level(f64::from(number) + 1.5) {
                byte |= 1_u8.wrapping_shl(number);
            }
        }
        out.push(if level(9.5) { byte } else { 0 });
        // Nothing begins before the middle of the stop bit.
        from = (edge as f64 + 9.5 * bit).ceil() as usize;
    }
}

/// The levels of a line over time, in bits of its sender.
struct Wire<'a> {
    bytes: &'a [u8],
}

impl Wire<'_> {
    /// The level of a bit; high after the last.
    fn level(&self, bit: usize) -> bool {
        let within = bit.checked_rem(BITS_PER_BYTE).unwrap_or_default();
        let byte = bit
            .checked_div(BITS_PER_BYTE)
            .and_then(|number| self.bytes.get(number));
        match (byte, within) {
            (None, _) | (_, 9) => true,
            (_, 0) => false,
            (Some(byte), data) => {
                let mask = 1_u8.wrapping_shl(u32::try_from(data).unwrap_or(1).wrapping_sub(1));
                byte & mask != 0
            }
        }
    }

    fn level_at(&self, time: f64) -> bool {
        self.level(time as usize)
    }

    /// The first low bit after a high one, `from` and later; a line is high before its first bit.
    fn falling_edge(&self, from: usize) -> Option<usize> {
        let end = self.bytes.len().saturating_mul(BITS_PER_BYTE);
        (from..end).find(|&bit| {
            !self.level(bit) && bit.checked_sub(1).is_none_or(|before| self.level(before))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampled(bytes: &[u8], sent: u32, at: u32) -> Vec<u8> {
        let mut out = Vec::new();
        sample(bytes, sent, at, &mut out);
        out
    }

    fn all_bytes() -> Vec<u8> {
        (0..=255).rev().chain(0..=255).collect()
    }

    #[test]
    fn equal_and_nearly_equal_speeds_give_the_bytes_themselves() {
        let bytes = all_bytes();
        for at in [115_200, 112_000, 118_500] {
            assert_eq!(sampled(&bytes, 115_200, at), bytes, "{at}");
        }
    }

    #[test]
    fn other_speeds_give_other_bytes() {
        let bytes = all_bytes();
        for at in [9_600, 57_600, 107_000, 124_000, 230_400, 921_600] {
            let got = sampled(&bytes, 115_200, at);
            let same = got.iter().zip(&bytes).filter(|(a, b)| a == b).count();
            assert!(same < bytes.len() / 2, "{at}: {same} of {}", bytes.len());
        }
    }

    #[test]
    fn a_fast_receiver_sees_more_bytes_and_a_slow_one_fewer() {
        let bytes = [0x55; 1000];
        assert!(sampled(&bytes, 9_600, 115_200).len() > 2000);
        assert!(sampled(&bytes, 115_200, 9_600).len() < 200);
    }

    /// 0x0f at twice its speed: start and low data bits by hand.
    #[test]
    fn half_speed_is_sampled_bit_by_bit() {
        // On the line, per bit of the sender: 0 1111 0000 1, then high. At half the speed of the
        // sender's bits the samples lie at 1, which is already high: no start bit. The next
        // falling edge is bit 5: samples at 6 (low), 8 (low), 10 and later (high).
        assert_eq!(sampled(&[0x0f], 2, 1), vec![0b1111_1110]);
    }
}
