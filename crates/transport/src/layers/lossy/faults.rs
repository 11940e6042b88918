//! The plan of a lossy layer.

use std::time::Duration;

use crate::registry::Key;
use crate::{Params, TransportError};

/// Longest stall: ten minutes.
const STALL_MS_MAX: u32 = 600_000;

/// Longest burst, in bytes.
const BURST_BYTES_MAX: u32 = 1024 * 1024;

/// Length of a burst unless said otherwise, in bytes: a FIFO's worth.
const BURST_BYTES: u32 = 64;

/// Which way faults act, seen from the holder of the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// On what is sent.
    Tx,
    /// On what is received.
    Rx,
    /// On both, each counted for itself.
    #[default]
    Both,
}

/// What goes wrong, and when. The default is nothing.
///
/// Frames and bytes are counted per direction, from 0. Every n-th frame means the n-th, the 2n-th
/// and so on; `phase` moves that for drops. When several faults meet in one frame it is stalled,
/// then dropped, or else truncated, doubled, and its bytes hit. Bytes between frames pass
/// untouched by what counts frames.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// Which way they act.
    pub way: Way,
    /// Every how-manyth frame is dropped; at least 1.
    pub drop_every: Option<u64>,
    /// The first frame that is dropped, from 0, below `drop_every`. Default: `drop_every - 1`.
    pub phase: Option<u64>,
    /// Every how-manyth frame comes twice; at least 1.
    pub dup_every: Option<u64>,
    /// Every how-manyth frame is cut short at a place drawn from the seed; at least 1.
    pub truncate_every: Option<u64>,
    /// Before every how-manyth frame all waits for `stall`; at least 1.
    pub stall_every: Option<u64>,
    /// How long.
    pub stall: Duration,
    /// Share of bits that are flipped, from 0 to 1.
    pub bit_error_rate: f64,
    /// Share of bytes that are lost in bursts, from 0 to below 1.
    pub burst_rate: f64,
    /// Bytes lost in one burst; at least 1.
    pub burst_bytes: u32,
    /// Bytes let through one way, after which the link is cut for good.
    pub cut_at: Option<u64>,
    /// What is drawn follows from this.
    pub seed: u64,
}

/// What the keys mean.
pub(super) const KEYS: &[Key] = &[
    Key::new("drop_every", "drop every n-th frame"),
    Key::new(
        "phase",
        "the first frame to drop, from 0; n-1 unless said otherwise",
    ),
    Key::new("dir", "which way: tx, rx or both (the default)"),
    Key::new("ber", "share of bits to flip, such as 1e-5"),
    Key::new(
        "burst_rate",
        "share of bytes to lose in bursts, such as 0.01",
    ),
    Key::new(
        "burst_len",
        "bytes lost in one burst; 64 unless said otherwise",
    ),
    Key::new("dup_every", "send every n-th frame twice"),
    Key::new("truncate_every", "cut every n-th frame short"),
    Key::new("stall_every", "wait before every n-th frame"),
    Key::new("stall_ms", "how long, in milliseconds"),
    Key::new("cut_at", "cut the link after so many bytes one way"),
    Key::new(
        "seed",
        "what is drawn follows from this number; 0 unless said otherwise",
    ),
];

impl Faults {
    /// Reads the keys of a port.
    pub(super) fn parse(params: &Params) -> Result<Self, TransportError> {
        let every = |key| params.parsed(key, "a number from 1", |every: &u64| *every > 0);
        let share = |key| {
            let want = "a share from 0 to below 1";
            Ok(params
                .parsed(key, want, |share: &f64| (0.0..1.0).contains(share))?
                .unwrap_or(0.0))
        };
        let way = match params.get("dir") {
            None | Some("both") => Way::Both,
            Some("tx") => Way::Tx,
            Some("rx") => Way::Rx,
            Some(_) => return Err(params.bad("dir", "tx, rx or both")),
        };
        let drop_every = every("drop_every")?;
        let phase = params.parsed("phase", "a number below drop_every", |phase: &u64| {
            drop_every.is_some_and(|every| *phase < every)
        })?;
        let stall_every = every("stall_every")?;
        let stall_ms = params.parsed(
            "stall_ms",
            "a number of milliseconds from 1 to 600000",
            |ms| (1..=STALL_MS_MAX).contains(ms),
        )?;
        if stall_every.is_some() != stall_ms.is_some() {
            let missing = if stall_ms.is_none() {
                "stall_ms"
            } else {
                "stall_every"
            };
            return Err(params.bad(missing, "given: stall_every and stall_ms go together"));
        }
        let burst_bytes =
            params.parsed("burst_len", "a number of bytes from 1 to 1048576", |len| {
                (1..=BURST_BYTES_MAX).contains(len)
            })?;
        Ok(Self {
            way,
            drop_every,
            phase,
            dup_every: every("dup_every")?,
            truncate_every: every("truncate_every")?,
            stall_every,
            stall: Duration::from_millis(u64::from(stall_ms.unwrap_or_default())),
            bit_error_rate: share("ber")?,
            burst_rate: share("burst_rate")?,
            burst_bytes: burst_bytes.unwrap_or(BURST_BYTES),
            cut_at: params.parsed("cut_at", "a number of bytes", |_: &u64| true)?,
            seed: params
                .parsed("seed", "a number", |_: &u64| true)?
                .unwrap_or_default(),
        })
    }

    /// Whether some fault acts on whole frames, so that they must be told apart.
    #[must_use]
    pub fn counts_frames(&self) -> bool {
        self.drop_every.is_some()
            || self.dup_every.is_some()
            || self.truncate_every.is_some()
            || self.stall_every.is_some()
    }

    /// Whether frame `number` is dropped.
    pub(super) fn drops(&self, number: u64) -> bool {
        self.drop_every.is_some_and(|every| {
            let phase = self.phase.unwrap_or(every.saturating_sub(1));
            number.checked_rem(every) == Some(phase)
        })
    }
}

/// Whether frame `number`, from 0, is one of every `every`.
pub(super) fn is_nth(every: Option<u64>, number: u64) -> bool {
    every.is_some_and(|every| number.checked_rem(every) == Some(every.saturating_sub(1)))
}
