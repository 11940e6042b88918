//! A host and a device on a line with a speed at each end, in virtual time.

use std::collections::VecDeque;
use std::time::Duration;

use nx_flash::device::{self, Device, DeviceConfig};
use nx_flash::host::{self, Host, HostConfig, Job};
use nx_flash::machine::Machine;
use nx_flash::speed::SpeedChange;
use nx_flash::storage::{MemoryStore, Store as _};
use nx_flash::time::Instant;
use nx_flash::wire::{Baud, BaudStep, Frame, Kind};
use nx_image::test_image::TestImage;

/// What hosts call at.
pub(crate) const OPENING: u32 = 115_200;
/// Time that a byte takes one way.
const LATENCY: Duration = Duration::from_millis(1);
/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToDevice,
    ToHost,
}

/// What becomes of a frame: its way, its number on it, what it says of a speed.
pub(crate) type Judge = Box<dyn FnMut(Way, u8, Option<Baud>) -> bool>;

/// Bytes under way.
struct Flight {
    way: Way,
    arrives: Instant,
    /// Sent at this speed.
    baud: u32,
    bytes: Vec<u8>,
}

/// A host and a device on a line with a speed at each end, in virtual time.
pub(crate) struct Duet {
    pub(crate) host: Host,
    pub(crate) device: Device,
    pub(crate) now: Instant,
    pub(crate) host_baud: u32,
    pub(crate) device_baud: u32,
    /// Nothing passes whole above this speed.
    pub(crate) holds: u32,
    /// Speeds above this are refused by the driver of the host, and of the device.
    pub(crate) host_can: u32,
    pub(crate) device_can: u32,
    /// Whether a frame that both ends agree on arrives.
    pub(crate) arrives: Judge,
    pub(crate) events: Vec<host::Event>,
    pub(crate) device_events: Vec<device::Event>,
    /// `BAUD` frames that were sent, and when.
    pub(crate) said: Vec<(Instant, Way, Baud)>,
    config: HostConfig,
    store: MemoryStore,
    flights: VecDeque<Flight>,
    host_free: Instant,
    device_free: Instant,
}

impl Duet {
    pub(crate) fn new(job: Job, ladder: &[u32], device_baud: Option<u32>) -> Self {
        let mut config = HostConfig::new(3, job);
        config.baud = Some(OPENING);
        config.fast_baud = ladder.to_vec();
        let mut device = DeviceConfig::new(vec![TestImage::key()], 1);
        device.baud = device_baud;
        Self {
            host: Host::new(config.clone()),
            config,
            device: Device::new(device),
            now: Instant::from_micros(1_000_000),
            host_baud: OPENING,
            device_baud: OPENING,
            holds: u32::MAX,
            host_can: u32::MAX,
            device_can: u32::MAX,
            arrives: Box::new(|_, _, _| true),
            events: Vec::new(),
            device_events: Vec::new(),
            said: Vec::new(),
            store: MemoryStore::new(),
            flights: VecDeque::new(),
            host_free: Instant::ZERO,
            device_free: Instant::ZERO,
        }
    }

    /// The device starts again, and opens its end anew.
    pub(crate) fn restart_device(&mut self, boot: u32) {
        let mut config = DeviceConfig::new(vec![TestImage::key()], boot);
        config.baud = Some(OPENING);
        self.device = Device::new(config);
        self.device_baud = OPENING;
    }

    /// The host gives up a job that gets nowhere for so long.
    pub(crate) fn patience(&mut self, time: Duration) {
        self.config.give_up_after = time;
        self.host = Host::new(self.config.clone());
    }

    /// Goes on until the host is finished, or `until` says so; the time that took.
    #[track_caller]
    pub(crate) fn run_until(&mut self, until: impl Fn(&Self) -> bool) -> Duration {
        let started = self.now;
        while !self.host.is_finished() && !until(self) {
            assert!(
                self.now.since(started) < Duration::from_secs(60),
                "{:?}\n{:?}",
                self.events,
                self.said
            );
            self.step(Duration::from_secs(1), &until);
        }
        self.now.since(started)
    }

    /// Lets so much time pass, whatever happens.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        while self.now < end {
            self.step(end.since(self.now), &|_| false);
        }
    }

    pub(crate) fn finish(&mut self) -> Duration {
        self.run_until(|_| false)
    }

    /// Everything that is due, and then time passes until something else is.
    fn step(&mut self, longest: Duration, until: &dyn Fn(&Self) -> bool) {
        let was_finished = self.host.is_finished();
        self.host_turn();
        self.device_turn();
        if until(self) || self.host.is_finished() != was_finished {
            return;
        }
        let timers = [
            self.host.poll_timeout(),
            self.device.poll_timeout(),
            self.flights.iter().map(|flight| flight.arrives).min(),
            Some(self.host_free).filter(|at| *at > self.now),
            Some(self.device_free).filter(|at| *at > self.now),
            Some(self.now.after(longest)),
        ];
        let next = timers.into_iter().flatten().min().unwrap();
        let least = self.now.after(Duration::from_micros(10));
        self.now = next.max(least);
        while let Some(at) = self.flights.iter().position(|f| f.arrives <= self.now) {
            let flight = self.flights.remove(at).unwrap();
            let (to_device, baud) = (flight.way == Way::ToDevice, flight.baud);
            let listens = if to_device {
                self.device_baud
            } else {
                self.host_baud
            };
            let bytes = if listens == baud && baud <= self.holds {
                flight.bytes
            } else {
                // What a receiver makes of it.
                flight.bytes.iter().map(|byte| byte & 0x7f).collect()
            };
            if to_device {
                self.device.handle_input(&bytes, self.now);
            } else {
                self.host.handle_input(&bytes, self.now);
            }
        }
        self.host.handle_timeout(self.now);
        self.device.handle_timeout(self.now);
    }

    fn host_turn(&mut self) {
        while let Some((id, request)) = self.host.poll_request() {
            let host::Request::Speed(change) = request else {
                panic!("{request:?}");
            };
            let held = set(&mut self.host_baud, change, self.host_can);
            let outcome = host::Outcome::Speed { held };
            self.host.handle_done(id, outcome, self.now);
        }
        // As a line does: one byte after another.
        while self.host_free <= self.now {
            let mut bytes = Vec::new();
            if self.host.poll_transmit(self.now, &mut bytes).is_none() {
                break;
            }
            self.host_free = self.sent(Way::ToDevice, bytes, self.host_baud);
        }
        while let Some(event) = self.host.poll_event() {
            self.events.push(event);
        }
    }

    fn device_turn(&mut self) {
        // A change of speed waits until what was said before has left.
        while self.device_free <= self.now
            && let Some((id, request)) = self.device.poll_request()
        {
            let outcome = match request {
                device::Request::Speed(change) => device::Outcome::Speed {
                    held: set(&mut self.device_baud, change, self.device_can),
                },
                other => self.store.serve(other),
            };
            self.device.handle_done(id, outcome, self.now);
        }
        while self.device_free <= self.now {
            let mut bytes = Vec::new();
            if self.device.poll_transmit(self.now, &mut bytes).is_none() {
                break;
            }
            self.device_free = self.sent(Way::ToHost, bytes, self.device_baud);
        }
        while let Some(event) = self.device.poll_event() {
            self.device_events.push(event);
        }
    }

    /// Puts a frame on the line; gives the time at which it has left.
    fn sent(&mut self, way: Way, bytes: Vec<u8>, baud: u32) -> Instant {
        let micros = bytes.len() as u64 * 10_000_000 / u64::from(baud);
        let left = self.now.after(Duration::from_micros(micros));
        let (frame, _) = Frame::parse(&bytes).unwrap();
        let is_baud = frame.kind == Kind::Baud.number();
        let said = is_baud.then(|| Baud::parse(frame.payload).unwrap());
        if let Some(said) = said {
            self.said.push((self.now, way, said));
        }
        if (self.arrives)(way, frame.kind, said) {
            let arrives = left.after(LATENCY);
            self.flights.push_back(Flight {
                way,
                arrives,
                baud,
                bytes,
            });
        }
        left
    }

    /// The speeds that the host told of, in order.
    pub(crate) fn changes(&self) -> Vec<u32> {
        let baud = |event: &host::Event| match event {
            host::Event::BaudChanged { baud } => Some(*baud),
            _ => None,
        };
        self.events.iter().filter_map(baud).collect()
    }

    /// How often the host or the device said that.
    pub(crate) fn times(&self, said: impl Fn(u32, BaudStep) -> bool) -> usize {
        let is = |(_, _, baud): &&(Instant, Way, Baud)| said(baud.baud, baud.step);
        self.said.iter().filter(is).count()
    }
}

fn set(baud: &mut u32, change: SpeedChange, can: u32) -> bool {
    if change.baud > can {
        return false;
    }
    *baud = change.back.unwrap_or(change.baud);
    true
}
