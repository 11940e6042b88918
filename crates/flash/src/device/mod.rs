//! The device's half of the protocol. No I/O, no clock.
//!
//! `docs/provisioning/protocol.md`, "Sessions" and "A transfer".

mod answers;
mod arrivals;
mod assembly;
mod commands;
mod config;
mod desk;
mod digests;
mod door;
mod event;
mod finish;
mod keeps;
mod offer;
mod pages;
mod read_back;
mod request;
mod search;
mod session;
mod speed;
mod state;
mod survey;
mod transfer;
mod unpack;
mod verify;
mod zeros;

pub use config::{DeviceConfig, Policy};
pub use event::Event;
pub use request::{Area, Outcome, Request, SlotStatus, StoreError, StoreStatus};
pub use state::Device;
