//! Transfers whose image, line and faults all follow from one number.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use nx_flash::storage::MemoryStore;
use nx_image::manifest::SegmentKind;
use nx_image::test_image::{TestImage, random_bytes};

use crate::draw::Draw;
use crate::link::Link;
use crate::rig::{Outcome, Rig};

/// One transfer over a bad line in virtual time, the same on every run.
///
/// What is drawn is bad, and never hopeless: some frames get through each way.
#[derive(Clone, Debug, PartialEq)]
pub struct Soak {
    seed: u64,
    kernel_bytes: usize,
    pkgfs_bytes: usize,
    block_bytes: u32,
    chunks_bytes: [u32; 2],
    /// The first host is stopped after so many blocks, and a second one goes on.
    stop_after_blocks: Option<u32>,
    faults: String,
    slow: String,
}

/// What a transfer that went well cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Soaked {
    /// Virtual time.
    pub elapsed: Duration,
    /// Bytes of the image.
    pub image_bytes: u64,
    /// Bytes that the hosts sent.
    pub wire_bytes: u64,
}

impl Soak {
    /// The transfer with this number.
    pub fn of(seed: u64) -> Self {
        let mut draw = Draw::of(seed);
        let rate = draw.pick(&[
            None,
            Some(2_880),
            Some(11_520),
            Some(92_160),
            Some(1_000_000),
        ]);
        let chunks_bytes = [draw.chunk(), draw.chunk()];
        // At most a minute of line and some hundred frames, so that thousands of transfers take
        // minutes.
        let bytes_max = rate.map_or(1 << 19, |rate: usize| (60 * rate).min(1 << 18));
        let bytes_max = bytes_max.min(400 * chunks_bytes[0].min(chunks_bytes[1]) as usize);
        let block_bytes = 1 << draw.within(12..=16);
        let [kernel_bytes, pkgfs_bytes] = [8, 2].map(|part| {
            let least = if draw.one_in(8) { 1 } else { 1_024 };
            draw.scaled(least..=(bytes_max / part).max(least))
        });
        let blocks = (kernel_bytes + pkgfs_bytes).div_ceil(block_bytes as usize);
        Self {
            seed,
            kernel_bytes,
            pkgfs_bytes,
            block_bytes,
            chunks_bytes,
            stop_after_blocks: draw
                .one_in(4)
                .then(|| u32::try_from(draw.within(1..=blocks)).unwrap()),
            faults: faults(&mut draw),
            slow: slow(&mut draw, rate),
        }
    }

    /// The command that repeats it.
    pub fn command(&self) -> String {
        format!(
            "cargo run -p flash_matrix --bin soak -- --seed {}",
            self.seed
        )
    }

    /// Runs it.
    ///
    /// # Errors
    /// What went wrong: the job failed, the installed image is another one, or something
    /// panicked.
    pub fn run(&self) -> Result<Soaked, String> {
        catch_unwind(AssertUnwindSafe(|| self.transfer())).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            Err(format!("panicked: {}", text.unwrap_or_default()))
        })
    }

    fn transfer(&self) -> Result<Soaked, String> {
        let image = TestImage::from_segments(
            vec![
                (
                    SegmentKind::Kernel,
                    random_bytes(self.kernel_bytes, self.seed),
                ),
                (
                    SegmentKind::Pkgfs,
                    random_bytes(self.pkgfs_bytes, !self.seed),
                ),
            ],
            self.block_bytes,
        );
        let store = MemoryStore::new();
        let mut outcomes = Vec::new();
        if let Some(blocks) = self.stop_after_blocks {
            let rig = self.rig(0).stop_after_blocks(blocks);
            outcomes.push(rig.send_to(&image, store.clone()));
        }
        let stopped = outcomes
            .last()
            .is_some_and(|outcome| !outcome.is_installed());
        if stopped || outcomes.is_empty() {
            outcomes.push(self.rig(1).boot(2).send_to(&image, store.clone()));
        }
        let last = outcomes.last().expect("there is one");
        if !last.is_installed() {
            let progress = last.progress;
            return Err(match last.failure() {
                Some(failure) => format!("{failure:?} after {:?}: {progress:?}", last.elapsed),
                None => format!(
                    "{:?} after {:?}: {progress:?}",
                    last.host.last(),
                    last.elapsed
                ),
            });
        }
        if store.installed().as_ref() != Some(&image.bytes) {
            return Err("the installed image is another one".to_owned());
        }
        let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum();
        Ok(Soaked {
            elapsed: outcomes.iter().map(|outcome| outcome.elapsed).sum(),
            image_bytes: image.bytes.len() as u64,
            wire_bytes: sum(|outcome| outcome.progress.wire_bytes),
        })
    }

    fn rig(&self, which: usize) -> Rig {
        Rig::over(Link::Loopback)
            .with(&self.faults)
            .slow(&self.slow)
            .chunk_bytes(self.chunks_bytes[which])
    }
}

impl fmt::Display for Soak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            kernel_bytes,
            pkgfs_bytes,
            block_bytes,
            chunks_bytes: [first, second],
            ..
        } = self;
        write!(
            f,
            "seed {seed}: {kernel_bytes} + {pkgfs_bytes} bytes in blocks of {block_bytes}, "
        )?;
        if let Some(blocks) = self.stop_after_blocks {
            write!(
                f,
                "--chunk {first} until {blocks} blocks have arrived, then "
            )?;
        }
        write!(
            f,
            "--chunk {second}, lossy {}, slow {}",
            self.faults, self.slow
        )
    }
}

/// Keys of the `lossy` layer.
fn faults(draw: &mut Draw) -> String {
    let mut keys = vec![format!("seed={}", draw.within(0..=u32::MAX as usize))];
    // Every second frame may go, unless others are cut short: then nothing would be left.
    let truncates = draw.one_in(4);
    if draw.one_in(2) {
        let every = draw.within(if truncates { 3 } else { 2 }..=20);
        keys.push(format!(
            "drop_every={every}&phase={}",
            draw.within(0..=every - 1)
        ));
    }
    if truncates {
        keys.push(format!("truncate_every={}", draw.within(3..=20)));
    }
    if draw.one_in(4) {
        keys.push(format!("dup_every={}", draw.within(1..=20)));
    }
    if draw.one_in(4) {
        let (every, millis) = (draw.within(3..=50), draw.scaled(1..=2_000));
        keys.push(format!("stall_every={every}&stall_ms={millis}"));
    }
    if draw.one_in(2) {
        keys.push(format!("ber={}e-7", draw.scaled(10..=1_000)));
    }
    if draw.one_in(4) {
        // At most one burst in a thousand bytes: a little more than bits that flip. Bursts count
        // bytes, not time: on a line that has gone quiet a long one swallows every answer.
        let bytes = draw.scaled(1..=128);
        let rate = draw.scaled(1..=(10 * bytes).min(100));
        keys.push(format!("burst_rate={rate}e-4&burst_len={bytes}"));
    }
    keys.push(format!("dir={}", draw.pick(&["tx", "rx", "both"])));
    keys.join("&")
}

/// Keys of the `slow` layer.
fn slow(draw: &mut Draw, rate: Option<usize>) -> String {
    let mut keys = Vec::new();
    keys.extend(rate.map(|rate| format!("rate={rate}")));
    if draw.one_in(2) {
        keys.push(format!("latency_ms={}", draw.scaled(1..=500)));
    }
    keys.join("&")
}
