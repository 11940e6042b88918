//! The device that answers behind `loopback:`.

use std::sync::Arc;
use std::thread;

use nx_flash::device::{Device, DeviceConfig, Event, Outcome, Request};
use nx_flash::drive::{Driver, NoTape, Round, Shell};
use nx_flash::storage::{MemoryStore, Store};
use nx_image::PublicKey;
use nx_transport::{AttachDevice, Transport};

/// A device that trusts these keys, in a thread of this process, with its storage in memory.
///
/// It lives as long as the link: the end of a dry run is the end of what it has installed.
pub(crate) fn attach(keys: Vec<PublicKey>) -> AttachDevice {
    Arc::new(move |_, mut far| {
        let config = DeviceConfig::new(keys.clone(), 1);
        thread::spawn(move || serve(&mut far, config, MemoryStore::new()));
    })
}

/// Serves a link until its other side closes it.
pub(crate) fn serve(link: &mut dyn Transport, config: DeviceConfig, store: impl Store) {
    let mut machine = Device::new(config);
    let mut shell = Storage(store);
    let mut driver = Driver::new();
    // Whatever ends the link, there is nobody here to tell.
    while let Ok(Round::Going) = driver.round(link, &mut machine, &mut shell, &mut NoTape) {}
}

struct Storage<S>(S);

impl<S: Store> Shell<Device> for Storage<S> {
    fn serve(&mut self, request: Request) -> Outcome {
        self.0.serve(request)
    }

    fn event(&mut self, _event: Event, _machine: &Device) {}
}
