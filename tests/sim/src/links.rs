//! Every fault of one frame, and every pair of lost frames, in one transfer.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use flash_matrix::{Draw, TestImage};
use nx_flash::storage::MemoryStore;

use crate::session::{Ended, Session};
use crate::wire::{Harm, Harms};

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the host.
    ToDevice,
    /// From the device.
    ToHost,
}

/// One frame of a transfer, by its number from zero, and what happens to it.
pub type Harmed = (Way, usize, Harm);

/// A transfer to be gone through.
#[derive(Debug)]
pub struct Transfer {
    image: TestImage,
    chunk_bytes: u32,
    lengths: [Vec<usize>; 2],
    old_frames: [Vec<Vec<u8>>; 2],
}

/// What came of many transfers.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How many.
    pub transfers: usize,
    /// Virtual time of the longest.
    pub longest: Duration,
    /// Those that did not end with the image, and why.
    pub failed: Vec<String>,
}

impl Transfer {
    /// Of an image of so many bytes, in frames of at most `chunk_bytes`.
    ///
    /// # Panics
    /// When it fails with no fault at all.
    pub fn of(bytes: usize, chunk_bytes: u32) -> Self {
        let image = TestImage::of(bytes, 5);
        let mut transfer = Self {
            image,
            chunk_bytes,
            lengths: [Vec::new(), Vec::new()],
            old_frames: [Vec::new(), Vec::new()],
        };
        let ended = transfer.run(&[]).expect("nothing is wrong");
        transfer.lengths = ended.lengths;
        transfer.old_frames = ended.frames;
        transfer
    }

    /// Frames that go each way when nothing is wrong.
    pub fn frames(&self) -> [usize; 2] {
        [self.lengths[0].len(), self.lengths[1].len()]
    }

    fn each_frame(&self) -> impl Iterator<Item = (Way, usize, usize)> + '_ {
        let ways = [Way::ToDevice, Way::ToHost].into_iter().zip(&self.lengths);
        ways.flat_map(|(way, lengths)| {
            let numbered = lengths.iter().enumerate();
            numbered.map(move |(number, len)| (way, number, *len))
        })
    }

    /// Each frame lost, by itself.
    pub fn singles(&self) -> Vec<Vec<Harmed>> {
        let lost = |(way, number, _)| vec![(way, number, Harm::Drop)];
        self.each_frame().map(lost).collect()
    }

    /// Each two frames lost, of those of an undisturbed transfer and some that a repair adds.
    pub fn pairs(&self) -> Vec<Vec<Harmed>> {
        let frames: Vec<(Way, usize)> = [(Way::ToDevice, 0), (Way::ToHost, 1)]
            .into_iter()
            .flat_map(|(way, at)| (0..self.lengths[at].len() + 4).map(move |n| (way, n)))
            .collect();
        let mut pairs = Vec::new();
        for (at, (way, first)) in frames.iter().enumerate() {
            for (other, second) in &frames[at + 1..] {
                pairs.push(vec![
                    (*way, *first, Harm::Drop),
                    (*other, *second, Harm::Drop),
                ]);
            }
        }
        pairs
    }

    /// Each byte of each frame turned over, zeroed and set.
    pub fn bytes(&self) -> Vec<Vec<Harmed>> {
        let each = self.each_frame().flat_map(|(way, number, len)| {
            (0..len).flat_map(move |at| {
                [
                    Harm::Flip { at, bits: 0xff },
                    Harm::Set { at, value: 0 },
                    Harm::Set { at, value: 0xff },
                ]
                .map(|harm| vec![(way, number, harm)])
            })
        });
        each.collect()
    }

    /// Each other fault of one frame: cut short, twice, late, behind noise or an old session's
    /// frame; and bursts in which several in a row are lost.
    pub fn others(&self) -> Vec<Vec<Harmed>> {
        let mut cases = Vec::new();
        for (way, number, len) in self.each_frame() {
            let old = &self.old_frames[usize::from(way == Way::ToHost)];
            let noise = flash_matrix::random_bytes(1_000, number as u64);
            for harm in [
                Harm::Truncate(len / 2),
                Harm::Truncate(1),
                Harm::Duplicate,
                Harm::Stall(Duration::from_secs(2)),
                Harm::Stall(Duration::from_secs(20)),
                Harm::After(noise),
                Harm::After(old.concat()),
                Harm::After(old[number][..len / 2].to_vec()),
            ] {
                cases.push(vec![(way, number, harm)]);
            }
            for burst in [3, 8] {
                let lost = (number..number + burst).map(|number| (way, number, Harm::Drop));
                cases.push(lost.collect());
            }
        }
        cases
    }

    /// Every so many of these cases, another share by each seed.
    pub fn share(cases: Vec<Vec<Harmed>>, of: usize, seed: u64) -> Vec<Vec<Harmed>> {
        let first = Draw::of(seed).within(0..=of.max(1) - 1);
        cases.into_iter().skip(first).step_by(of.max(1)).collect()
    }

    /// Runs it with these faults.
    ///
    /// # Errors
    /// Why it did not end with the image installed.
    pub fn run(&self, harmed: &[Harmed]) -> Result<Ended, String> {
        let (mut to_device, mut to_host) = (Harms::new(), Harms::new());
        for (way, number, harm) in harmed {
            let harms = match way {
                Way::ToDevice => &mut to_device,
                Way::ToHost => &mut to_host,
            };
            harms.insert(*number, harm.clone());
        }
        let mut store = MemoryStore::new();
        let session = Session::send(&self.image, false)
            .chunk_bytes(self.chunk_bytes)
            .unpacked()
            .harms(to_device, to_host);
        // The old frames are of an earlier boot: no device counts one twice.
        let (session, boot) = if harmed.is_empty() {
            (session.nonce(3).keeping_frames(), 1)
        } else {
            (session, 2)
        };
        let ended = session.run(&mut store, boot, &mut |_| {});
        if !ended.is_installed() || !ended.is_finished() {
            return Err(ended.why());
        }
        if store.installed().as_ref() != Some(&self.image.bytes) {
            return Err("the installed image is another one".to_owned());
        }
        Ok(ended)
    }

    /// Runs all these cases, on so many threads.
    pub fn run_all(&self, cases: &[Vec<Harmed>], threads: usize) -> Tally {
        let next = AtomicUsize::new(0);
        let tally = Mutex::new(Tally {
            transfers: cases.len(),
            ..Tally::default()
        });
        thread::scope(|scope| {
            for _ in 0..threads.max(1) {
                scope.spawn(|| {
                    while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let ended = self.run(case);
                        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                        match ended {
                            Ok(ended) => tally.longest = tally.longest.max(ended.elapsed),
                            Err(why) => tally.failed.push(format!("{case:?}: {why}")),
                        }
                    }
                });
            }
        });
        let mut tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
        tally.failed.sort();
        tally
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failed in &self.failed {
            writeln!(f, "FAILED {failed:.300}")?;
        }
        write!(
            f,
            "{} transfers, {} failed, the longest took {:?} of virtual time",
            self.transfers,
            self.failed.len(),
            self.longest
        )
    }
}
