//! Joins a host to a device and runs a job.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nx_flash::device::{self, Device, DeviceConfig};
use nx_flash::drive::{Driver, NoTape, Round, Tape};
use nx_flash::host::{self, Failure, Host, HostConfig, Job, Progress};
use nx_flash::storage::{MemoryStore, Store};
use nx_flash::wire::OfferFlags;
use nx_image::test_image::TestImage;
use nx_transport::Transport;

use crate::link::Link;
use crate::shells::{DeviceShell, HostShell};

/// A host and a device over a link, with faults.
#[derive(Debug)]
pub struct Rig {
    link: Link,
    faults: String,
    slow: String,
    chunk_bytes: u32,
    nonce: u64,
    flags: OfferFlags,
    device: Option<DeviceConfig>,
    stop_after_blocks: Option<u32>,
    boot: u32,
    is_late: bool,
}

/// How a job ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What the host told.
    pub host: Vec<host::Event>,
    /// What the device told.
    pub device: Vec<device::Event>,
    /// How far the host came, and what it cost.
    pub progress: Progress,
    /// Time from the first byte to the last, on the link's clock.
    pub elapsed: Duration,
}

impl Outcome {
    /// Why it failed, if it did.
    pub fn failure(&self) -> Option<&Failure> {
        self.host.iter().find_map(|event| match event {
            host::Event::Failed(failure) => Some(failure),
            _ => None,
        })
    }

    /// Whether the device says that the image is installed.
    pub fn is_installed(&self) -> bool {
        self.host
            .iter()
            .any(|event| matches!(event, host::Event::Installed { .. }))
            && self.host.last() == Some(&host::Event::Finished)
    }

    /// It must have ended well.
    #[track_caller]
    pub fn installed(self) -> Self {
        assert!(self.is_installed(), "{self:#?}");
        self
    }
}

impl Rig {
    /// Over this link, without faults.
    pub const fn over(link: Link) -> Self {
        Self {
            link,
            faults: String::new(),
            slow: String::new(),
            chunk_bytes: 65_536,
            nonce: 7,
            flags: OfferFlags {
                restart: false,
                wipe_state: false,
                update_bootloader: false,
            },
            device: None,
            stop_after_blocks: None,
            boot: 1,
            is_late: false,
        }
    }

    /// With these keys of the `lossy` layer.
    pub fn with(mut self, faults: &str) -> Self {
        faults.clone_into(&mut self.faults);
        self
    }

    /// With these keys of the `slow` layer.
    pub fn slow(mut self, slow: &str) -> Self {
        slow.clone_into(&mut self.slow);
        self
    }

    /// With this `--chunk`.
    pub const fn chunk_bytes(mut self, bytes: u32) -> Self {
        self.chunk_bytes = bytes;
        self
    }

    /// With these flags in the offer.
    pub const fn flags(mut self, flags: OfferFlags) -> Self {
        self.flags = flags;
        self
    }

    /// To this device.
    pub fn device(mut self, config: DeviceConfig) -> Self {
        self.device = Some(config);
        self
    }

    /// As this boot of the device.
    pub const fn boot(mut self, boot: u32) -> Self {
        self.boot = boot;
        self
    }

    /// To a device whose store answers late.
    pub const fn late_store(mut self) -> Self {
        self.is_late = true;
        self
    }

    /// The host is stopped once so many blocks have arrived.
    pub const fn stop_after_blocks(mut self, blocks: u32) -> Self {
        self.stop_after_blocks = Some(blocks);
        self
    }

    /// Sends an image to a device with an empty store.
    pub fn send(&self, image: &TestImage) -> (Outcome, MemoryStore) {
        let store = MemoryStore::new();
        (self.send_to(image, store.clone()), store)
    }

    /// Sends an image to a device on this store.
    pub fn send_to(&self, image: &TestImage, store: impl Store + 'static) -> Outcome {
        let job = Job::Send {
            manifest: image.manifest_bytes.clone(),
            signature: image.signature.clone(),
            flags: self.flags,
            chunk_bytes: self.chunk_bytes,
        };
        self.run(image, job, store, &mut NoTape, &mut |_| Box::new(NoTape))
    }

    /// Runs any job.
    pub fn job(&self, image: &TestImage, job: Job, store: impl Store + 'static) -> Outcome {
        self.run(image, job, store, &mut NoTape, &mut |_| Box::new(NoTape))
    }

    /// The configuration of the host for a job.
    pub fn host_config(&self, job: Job) -> HostConfig {
        HostConfig::new(self.nonce, job)
    }

    /// Runs a job with a tape on either side.
    pub fn run(
        &self,
        image: &TestImage,
        job: Job,
        store: impl Store + 'static,
        host_tape: &mut dyn Tape<Host>,
        device_tape: &mut dyn FnMut(&DeviceConfig) -> Box<dyn Tape<Device> + Send>,
    ) -> Outcome {
        let ends = self.link.open(&self.faults, &self.slow);
        let default = DeviceConfig::new(vec![image.key], self.boot);
        let config = self.device.clone().unwrap_or(default);
        let tape = device_tape(&config);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut far = ends.device;
        let device = DeviceShell::new(store).late(self.is_late);
        let serving = thread::spawn(move || serve(&mut *far, config, device, tape, &stopped));
        let mut near = ends.host;
        let clock = near.clock();
        let mut shell = HostShell::new(image);
        shell.stop_after_blocks = self.stop_after_blocks;
        let mut machine = Host::new(self.host_config(job));
        let started = clock.now();
        run_for(&mut *near, &mut machine, &mut shell, host_tape);
        let elapsed = clock.now().saturating_sub(started);
        stop.store(true, Ordering::Relaxed);
        drop(near);
        let device = serving.join().expect("the device's thread does not panic");
        Outcome {
            host: shell.events,
            device,
            progress: machine.progress(),
            elapsed,
        }
    }
}

/// Runs a host until it is finished.
pub fn run_for(
    link: &mut dyn Transport,
    machine: &mut Host,
    shell: &mut HostShell<'_>,
    tape: &mut dyn Tape<Host>,
) {
    let mut driver = Driver::new();
    loop {
        match driver.round(link, machine, shell, tape) {
            Ok(Round::Going) => {}
            Ok(Round::Finished | Round::Closed) => return,
            Err(error) => panic!("the host's link: {error}"),
        }
    }
}

fn serve(
    link: &mut dyn Transport,
    config: DeviceConfig,
    mut shell: DeviceShell<impl Store>,
    mut tape: Box<dyn Tape<Device> + Send>,
    stop: &AtomicBool,
) -> Vec<device::Event> {
    let mut machine = Device::new(config);
    let mut driver = Driver::new();
    while !stop.load(Ordering::Relaxed) {
        match driver.round(link, &mut machine, &mut shell, &mut *tape) {
            Ok(Round::Going) => {}
            Ok(Round::Finished | Round::Closed) => break,
            Err(error) => panic!("the device's link: {error}"),
        }
    }
    shell.events
}
