//! What surrounds the machines in a test.

use std::collections::VecDeque;
use std::time::Duration;

use nx_flash::device::{self, Device};
use nx_flash::drive::Shell;
use nx_flash::host::{self, Host};
use nx_flash::machine::RequestId;
use nx_flash::pack::pack;
use nx_flash::rolling::sum;
use nx_flash::storage::Store;
use nx_flash::time::Instant;

use nx_image::test_image::TestImage;

/// Gives a host its image from memory.
#[derive(Debug)]
pub struct HostShell<'a> {
    image: &'a TestImage,
    /// Every event, in order.
    pub events: Vec<host::Event>,
    /// Stop the host once so many blocks have arrived.
    pub stop_after_blocks: Option<u32>,
}

impl<'a> HostShell<'a> {
    /// For this image.
    pub const fn new(image: &'a TestImage) -> Self {
        Self {
            image,
            events: Vec::new(),
            stop_after_blocks: None,
        }
    }
}

impl Shell<Host> for HostShell<'_> {
    fn serve(&mut self, request: host::Request) -> host::Outcome {
        host::Outcome::Bytes(match request {
            host::Request::Block {
                offset,
                bytes,
                codec,
                ..
            } => {
                let from = usize::try_from(offset).unwrap();
                let block = &self.image.bytes[from..from + bytes as usize];
                if let Some(codec) = codec
                    && let Some(packed) = pack(codec, block)
                {
                    return host::Outcome::Packed(codec, packed);
                }
                block.to_vec()
            }
            host::Request::Sums { segment, page } => {
                let blocks = self.image.blocks(segment, page);
                blocks.flat_map(|block| sum(block).to_le_bytes()).collect()
            }
            host::Request::Page { segment, page } => self.image.page(segment, page),
            host::Request::Speed(_) => return host::Outcome::Speed { held: false },
            host::Request::Directory { segment } => self.image.directory(segment),
        })
    }

    fn event(&mut self, event: host::Event, _machine: &Host) {
        self.events.push(event);
    }

    fn tick(&mut self, machine: &mut Host, now: Instant) {
        let sent = machine.progress().blocks_sent;
        if self.stop_after_blocks.is_some_and(|blocks| sent >= blocks) {
            self.stop_after_blocks = None;
            machine.stop(now);
        }
    }
}

/// Gives a device its storage.
#[derive(Debug)]
pub struct DeviceShell<S> {
    store: S,
    /// Answers come late.
    is_late: bool,
    /// What is not answered yet.
    owed: VecDeque<(RequestId, device::Request)>,
    /// Every event, in order.
    pub events: Vec<device::Event>,
}

/// Requests that a store that is late lets gather.
const LATE_BY: usize = 5;

impl<S: Store> DeviceShell<S> {
    /// On this store.
    pub const fn new(store: S) -> Self {
        Self {
            store,
            is_late: false,
            owed: VecDeque::new(),
            events: Vec::new(),
        }
    }

    /// The answers come when the device has nothing else to do, or many are due.
    pub const fn late(mut self, is_late: bool) -> Self {
        self.is_late = is_late;
        self
    }
}

impl<S: Store> Shell<Device> for DeviceShell<S> {
    fn serve(&mut self, request: device::Request) -> device::Outcome {
        self.store.serve(request)
    }

    fn take(&mut self, id: RequestId, request: device::Request) -> Option<device::Outcome> {
        if !self.is_late {
            return Some(self.serve(request));
        }
        self.owed.push_back((id, request));
        None
    }

    fn answer(&mut self, patience: Duration) -> Option<(RequestId, device::Outcome)> {
        if patience.is_zero() && self.owed.len() < LATE_BY {
            return None;
        }
        let (id, request) = self.owed.pop_front()?;
        Some((id, self.serve(request)))
    }

    fn owes_answers(&self) -> bool {
        !self.owed.is_empty()
    }

    fn event(&mut self, event: device::Event, _machine: &Device) {
        self.events.push(event);
    }
}
