//! A line between a host and a device, and a transfer over it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use flash_matrix::{DeviceShell, HostShell, TestImage};
use nx_flash::device::{Device, DeviceConfig};
use nx_flash::drive::{Driver, NoTape, Round};
use nx_flash::host::{self, Host, HostConfig, Job};
use nx_flash::splitter::FlashSplitter;
use nx_flash::storage::MemoryStore;
use nx_flash::wire::OfferFlags;
use nx_transport::ManualClock;

use crate::end::{End, Shared};
use crate::noise::Condition;
use crate::wire::Wire;

/// Rounds in a row at the same time before the simulation is taken to hang.
const ROUNDS_AT_ONCE_MAX: u32 = 100_000;

/// A line, the same both ways.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// What it carries.
    pub bytes_per_second: u64,
    /// Time that a byte takes beside its transmission.
    pub latency: Duration,
    /// What is wrong with it.
    pub condition: Condition,
    /// What is drawn follows from this.
    pub seed: u64,
}

/// What a transfer took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sent {
    /// From the host's first byte until it knows that the image is installed.
    pub elapsed: Duration,
    /// Size of the image.
    pub image_bytes: u64,
    /// Bytes of all frames that the host sent.
    pub wire_bytes: u64,
    /// Bytes that the host received.
    pub received_bytes: u64,
    /// Of what the host sent, bytes of frames that were lost.
    pub retransmitted_bytes: u64,
    /// Blocks that went packed.
    pub blocks_packed: u32,
}

impl Sent {
    /// Image bytes by time, as a share of what the line carries.
    pub fn share_of(&self, line: &Line) -> f64 {
        let carried = line.bytes_per_second as f64 * self.elapsed.as_secs_f64();
        self.image_bytes as f64 / carried
    }
}

impl Line {
    /// Sends an image from start to end: from the first HELLO until it is installed.
    ///
    /// # Panics
    /// When the transfer fails or hangs.
    pub fn send(&self, image: &TestImage) -> Sent {
        self.send_to(image, MemoryStore::new())
    }

    /// Sends an image to a device that may hold something already.
    ///
    /// # Panics
    /// When the transfer fails or hangs.
    pub fn send_to(&self, image: &TestImage, store: MemoryStore) -> Sent {
        let clock = ManualClock::new();
        let [there, back] = [1, 2].map(|way| self.wire(way));
        let mut near = End::new(&clock, &there, &back);
        let mut far = End::new(&clock, &back, &there);
        let mut host = Host::new(HostConfig::new(self.seed + 1, job(image)));
        let mut device = Device::new(DeviceConfig::new(vec![image.key], 1));
        let mut host_shell = HostShell::new(image);
        let mut device_shell = DeviceShell::new(store);
        let (mut host_loop, mut device_loop) = (Driver::new(), Driver::new());
        let mut rounds = 0;
        let elapsed = loop {
            let now = clock.now();
            rounds += 1;
            assert!(
                rounds < ROUNDS_AT_ONCE_MAX,
                "no time passes: {self:?} at {now:?}"
            );
            let mut busy = false;
            if near.next_call() <= now {
                near.moved = true;
                match host_loop.round(&mut near, &mut host, &mut host_shell, &mut NoTape) {
                    Ok(Round::Going) => {}
                    Ok(_) => break now,
                    Err(error) => panic!("{error}"),
                }
                busy |= near.moved;
            }
            if far.next_call() <= now {
                device_loop
                    .round(&mut far, &mut device, &mut device_shell, &mut NoTape)
                    .expect("the line does not fail");
                busy |= far.moved;
            }
            if busy {
                // What came in may have made something to send.
                near.wake_at = now;
                far.wake_at = now;
            } else {
                let next = near.next_call().min(far.next_call());
                if next > now {
                    clock.advance_to(next);
                    rounds = 0;
                }
            }
        };
        let installed = host_shell
            .events
            .iter()
            .any(|event| matches!(event, host::Event::Installed { .. }));
        assert!(installed, "{self:?}: {:?}", host_shell.events.last());
        let progress = host.progress();
        Sent {
            elapsed,
            image_bytes: image.bytes.len() as u64,
            wire_bytes: progress.wire_bytes,
            received_bytes: progress.received_bytes,
            retransmitted_bytes: progress.retransmitted_bytes,
            blocks_packed: progress.blocks_packed,
        }
    }

    fn wire(&self, way: u64) -> Shared {
        Arc::new(Mutex::new(Wire::new(
            self.bytes_per_second,
            self.latency,
            self.condition,
            self.seed * 2 + way,
            FlashSplitter::boxed(),
        )))
    }
}

fn job(image: &TestImage) -> Job {
    Job::Send {
        manifest: image.manifest_bytes.clone(),
        signature: image.signature.clone(),
        flags: OfferFlags {
            restart: false,
            wipe_state: false,
            update_bootloader: false,
        },
        chunk_bytes: 65_536,
    }
}
