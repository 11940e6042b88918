//! A host and a device in one thread, on simulated time, with the real loop around each.

use std::time::Duration;

use flash_matrix::{HostShell, TestImage};
use nx_flash::device::{self, Device, DeviceConfig};
use nx_flash::drive::{Driver, NoTape, Round, Shell};
use nx_flash::host::{self, Failure, Host, HostConfig, Job, Progress};
use nx_flash::storage::Store;
use nx_flash::wire::OfferFlags;
use nx_transport::ManualClock;

use crate::wire::{End, Harms, Shared, Wire, keep, kept, lengths};

/// Rounds in a row at one time after which the simulation hangs.
const ROUNDS_AT_ONCE_MAX: u32 = 10_000;
/// Virtual time after which no session may still be under way.
const ELAPSED_MAX: Duration = Duration::from_secs(600);

/// One job between a host and a device.
#[derive(Clone, Debug)]
pub struct Session<'a> {
    image: &'a TestImage,
    job: Job,
    nonce: u64,
    to_device: Harms,
    to_host: Harms,
    codecs: Option<u32>,
    stop_after_blocks: Option<u32>,
    keeps_frames: bool,
}

/// How it ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// What the host told.
    pub host: Vec<host::Event>,
    /// How far it came.
    pub progress: Progress,
    /// Virtual time that passed.
    pub elapsed: Duration,
    /// Lengths of the frames to the device, and to the host.
    pub lengths: [Vec<usize>; 2],
    /// The frames themselves, if they were to be kept.
    pub frames: [Vec<Vec<u8>>; 2],
    /// Why the simulation was given up.
    pub hung: Option<String>,
}

impl Ended {
    /// Whether the host knows that the image is installed.
    pub fn is_installed(&self) -> bool {
        let installed = |event: &host::Event| matches!(event, host::Event::Installed { .. });
        self.hung.is_none() && self.host.iter().any(installed)
    }

    /// Whether the job went well.
    pub fn is_finished(&self) -> bool {
        self.hung.is_none() && self.host.last() == Some(&host::Event::Finished)
    }

    /// Why it did not.
    pub fn why(&self) -> String {
        let failure = self.host.iter().find_map(|event| match event {
            host::Event::Failed(failure) => Some(failure),
            _ => None,
        });
        match (&self.hung, failure) {
            (Some(why), _) => why.clone(),
            (None, Some(Failure::Rejected { code, detail })) => {
                format!("rejected: {code:?} {detail}")
            }
            (None, Some(failure)) => format!("{failure:?}"),
            (None, None) => format!("{:?}", self.host.last()),
        }
    }
}

impl<'a> Session<'a> {
    /// Sends an image.
    pub fn send(image: &'a TestImage, wipe_state: bool) -> Self {
        let flags = OfferFlags {
            restart: false,
            wipe_state,
            update_bootloader: false,
        };
        Self::of(
            image,
            Job::Send {
                manifest: image.manifest_bytes.clone(),
                signature: image.signature.clone(),
                flags,
                chunk_bytes: 65_536,
            },
        )
    }

    /// Does any job; `image` is what the host has.
    pub fn of(image: &'a TestImage, job: Job) -> Self {
        Self {
            image,
            job,
            nonce: 7,
            to_device: Harms::new(),
            to_host: Harms::new(),
            codecs: None,
            stop_after_blocks: None,
            keeps_frames: false,
        }
    }

    /// With this number.
    #[must_use]
    pub fn nonce(mut self, nonce: u64) -> Self {
        self.nonce = nonce;
        self
    }

    /// With this `--chunk`.
    #[must_use]
    pub fn chunk_bytes(mut self, bytes: u32) -> Self {
        if let Job::Send { chunk_bytes, .. } = &mut self.job {
            *chunk_bytes = bytes;
        }
        self
    }

    /// Frames are harmed on their way to the device, and to the host.
    #[must_use]
    pub fn harms(mut self, to_device: Harms, to_host: Harms) -> Self {
        self.to_device = to_device;
        self.to_host = to_host;
        self
    }

    /// Blocks are sent as they are.
    #[must_use]
    pub fn unpacked(mut self) -> Self {
        self.codecs = Some(0);
        self
    }

    /// The host stops once so many blocks have arrived.
    #[must_use]
    pub fn stop_after_blocks(mut self, blocks: u32) -> Self {
        self.stop_after_blocks = Some(blocks);
        self
    }

    /// The frames are kept.
    #[must_use]
    pub fn keeping_frames(mut self) -> Self {
        self.keeps_frames = true;
        self
    }

    /// Runs it with a device on this store, in this boot; `told` hears what the device tells.
    pub fn run(
        self,
        store: &mut dyn Store,
        boot: u32,
        told: &mut dyn FnMut(&device::Event),
    ) -> Ended {
        let clock = ManualClock::new();
        let (there, back) = (Wire::with(self.to_device), Wire::with(self.to_host));
        if self.keeps_frames {
            keep(&there);
            keep(&back);
        }
        let mut config = HostConfig::new(self.nonce, self.job);
        config.codecs = self.codecs.unwrap_or(config.codecs);
        let mut host_shell = HostShell::new(self.image);
        host_shell.stop_after_blocks = self.stop_after_blocks;
        let mut pair = Pair {
            clock: clock.clone(),
            near: End::new(&clock, &there, &back),
            far: End::new(&clock, &back, &there),
            host: Host::new(config),
            device: Device::new(DeviceConfig::new(vec![self.image.key], boot)),
            host_shell,
            device_shell: DeviceShell { store, told },
        };
        let hung = pair.run().err();
        let taken = |wire: &Shared| kept(wire);
        Ended {
            progress: pair.host.progress(),
            host: pair.host_shell.events,
            elapsed: clock.now(),
            lengths: [lengths(&there), lengths(&back)],
            frames: [taken(&there), taken(&back)],
            hung,
        }
    }
}

struct Pair<'a> {
    clock: ManualClock,
    near: End,
    far: End,
    host: Host,
    device: Device,
    host_shell: HostShell<'a>,
    device_shell: DeviceShell<'a>,
}

struct DeviceShell<'a> {
    store: &'a mut dyn Store,
    told: &'a mut dyn FnMut(&device::Event),
}

impl Shell<Device> for DeviceShell<'_> {
    fn serve(&mut self, request: device::Request) -> device::Outcome {
        self.store.serve(request)
    }

    fn event(&mut self, event: device::Event, _machine: &Device) {
        (self.told)(&event);
    }
}

impl Pair<'_> {
    /// Runs until the host is finished.
    fn run(&mut self) -> Result<(), String> {
        let (mut host_loop, mut device_loop) = (Driver::new(), Driver::new());
        let mut rounds = 0;
        let mut device_is_there = true;
        loop {
            let now = self.clock.now();
            rounds += 1;
            if rounds > ROUNDS_AT_ONCE_MAX || now > ELAPSED_MAX {
                return Err(format!("no end at {now:?}"));
            }
            let mut busy = false;
            if self.near.next_call() <= now {
                self.near.moved = false;
                let round = host_loop.round(
                    &mut self.near,
                    &mut self.host,
                    &mut self.host_shell,
                    &mut NoTape,
                );
                match round {
                    Ok(Round::Going) => {}
                    Ok(Round::Finished | Round::Closed) => return Ok(()),
                    Err(error) => return Err(format!("the host's link: {error}")),
                }
                busy |= self.near.moved;
            }
            if device_is_there && self.far.next_call() <= now {
                self.far.moved = false;
                let round = device_loop.round(
                    &mut self.far,
                    &mut self.device,
                    &mut self.device_shell,
                    &mut NoTape,
                );
                match round {
                    Ok(Round::Going | Round::Finished) => {}
                    Ok(Round::Closed) => device_is_there = false,
                    Err(error) => return Err(format!("the device's link: {error}")),
                }
                busy |= self.far.moved;
            }
            if busy {
                // What came in may have made something to send.
                self.near.wake(now);
                self.far.wake(now);
                continue;
            }
            let far = if device_is_there {
                self.far.next_call()
            } else {
                Duration::MAX
            };
            let next = self.near.next_call().min(far);
            if next > now {
                self.clock.advance_to(next);
                rounds = 0;
            }
        }
    }
}
