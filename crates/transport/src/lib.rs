//! Byte pipes behind one [`Transport`] trait: drivers by scheme, and layers that wrap any of them.
//!
//! This crate refuses to know what the bytes mean. It has no frames, no sessions and no retries:
//! a caller who wants faults counted per frame hands in a [`FrameSplitter`]. It never draws
//! ambient randomness (faults come from a seed), and no call waits past its deadline.
//!
//! A port is named by one line of text, [`PortSpec`]: `[layer+]…scheme:target[?key=value&…]`.
//! [`open`] finds the driver and the layers in the [`registry`], where a crate of your own can
//! add to them; see `docs/provisioning/new-driver.md`.
//!
//! In-memory links run on a [`VirtualClock`]: one side runs at a time, and time jumps to the
//! earliest deadline once everybody waits, so a test of hours takes milliseconds and does the
//! same thing on every run.

mod caps;
mod clock;
pub mod conformance;
#[cfg(target_os = "linux")]
mod deadline;
mod drivers;
mod error;
#[cfg(target_os = "linux")]
mod holders;
mod layers;
#[cfg(target_os = "linux")]
mod listener;
mod manual_clock;
mod options;
mod params;
pub mod pcapng;
#[cfg(target_os = "linux")]
pub mod ports;
#[cfg(target_os = "linux")]
pub mod pty;
#[cfg(target_os = "linux")]
mod readiness;
pub mod registry;
mod spec;
mod splitter;
#[cfg(target_os = "linux")]
mod standing;
#[cfg(target_os = "linux")]
mod stream;
mod transport;
mod virtual_clock;

#[doc(hidden)]
pub use inventory;

pub use caps::Caps;
pub use clock::Clock;
pub use drivers::loopback;
#[cfg(target_os = "linux")]
pub use drivers::tcp;
pub use error::TransportError;
pub use layers::{Captured, Slow, Slowness, lossy};
pub use manual_clock::ManualClock;
pub use options::{AttachDevice, OpenOptions};
pub use params::Params;
pub use registry::{Driver, DriverRequest, Key, Layer, LayerRequest, layers, open, schemes};
pub use spec::{LayerSpec, Param, PortSpec};
pub use splitter::{FrameSplitter, Split};
#[cfg(target_os = "linux")]
pub use stream::Stream;
pub use transport::{Moved, Transport};
pub use virtual_clock::{Party, VirtualClock};
