//! What lines are like, and what can be had of them.

/// Bytes of a data frame beside its payload: the aim of the protocol.
const OVERHEAD: f64 = 24.0;
/// The largest payload that the limit is worked out for.
const PAYLOAD_MAX: u32 = 4096;

/// A kind of line.
#[derive(Debug)]
pub(super) struct Condition {
    /// What `--conditions` calls it.
    pub(super) name: &'static str,
    pub(super) bit_error_rate: f64,
    pub(super) burst_rate: f64,
    /// What issue 3 wants of `nx`, as a share of the line.
    pub(super) nx_wanted: f64,
    /// What it wants of `nx`, as a multiple of ZMODEM.
    pub(super) zmodem_times_wanted: f64,
}

/// Bytes lost in one burst.
const BURST_BYTES: u32 = 64;

const fn condition(
    name: &'static str,
    [bit_error_rate, burst_rate]: [f64; 2],
    nx_wanted: f64,
    zmodem_times_wanted: f64,
) -> Condition {
    Condition {
        name,
        bit_error_rate,
        burst_rate,
        // Real processes: .96 of what virtual time is held to.
        nx_wanted: 0.96 * nx_wanted,
        zmodem_times_wanted,
    }
}

/// The lines of the bench.
pub(super) const CONDITIONS: &[Condition] = &[
    condition("clean", [0.0, 0.0], 0.970, 1.0),
    condition("ber-1e-6", [1e-6, 0.0], 0.943, 1.0),
    condition("ber-1e-5", [1e-5, 0.0], 0.888, 1.9),
    condition("ber-1e-4", [1e-4, 0.0], 0.728, 25.0),
    condition("bursts", [0.0, 0.01], 0.848, 4.5),
];

/// Their names.
pub(super) const NAMES: &[&str] = &["clean", "ber-1e-6", "ber-1e-5", "ber-1e-4", "bursts"];

impl Condition {
    /// As options of `line`.
    pub(super) fn options(&self, latency_ms: f64, seed: u64) -> Vec<String> {
        let mut options = Vec::new();
        let mut option = |name: &str, value: String| options.extend([name.to_owned(), value]);
        option("--latency", latency_ms.to_string());
        option("--ber", self.bit_error_rate.to_string());
        option("--burst-rate", self.burst_rate.to_string());
        option("--burst-len", BURST_BYTES.to_string());
        option("--seed", seed.to_string());
        options
    }

    /// The most that selective repeat can get of the line, as a share: with the best payload up to
    /// 4096 bytes, 24 bytes beside it, and every lost frame sent again at once.
    ///
    /// A frame of `n` bytes survives bit errors with (1 - p)^8n, and bursts of `b` bytes that lose
    /// the share `r` with exp(-(r/b)(n + b)).
    pub(super) fn limit(&self) -> f64 {
        let burst = f64::from(BURST_BYTES);
        let share = |payload: u32| {
            let payload = f64::from(payload);
            let frame = payload + OVERHEAD;
            let of_bits = (8.0 * frame * (-self.bit_error_rate).ln_1p()).exp();
            let of_bursts = (-(self.burst_rate / burst) * (frame + burst)).exp();
            let of_bursts = if self.burst_rate > 0.0 {
                of_bursts
            } else {
                1.0
            };
            payload / frame * of_bits * of_bursts
        };
        (1..=PAYLOAD_MAX).map(share).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures of issue 3, which come from elsewhere.
    #[test]
    fn limits_are_those_of_the_theory() {
        let want = [0.994, 0.973, 0.915, 0.750, 0.874];
        for (condition, want) in CONDITIONS.iter().zip(want) {
            let got = condition.limit();
            assert!((got - want).abs() < 6e-4, "{}: {got}", condition.name);
        }
    }

    #[test]
    fn names_are_those_of_the_conditions() {
        let names: Vec<&str> = CONDITIONS.iter().map(|condition| condition.name).collect();
        assert_eq!(names, NAMES);
    }
}
