//! The flash protocol: wire format, host and device machines, and the loops that drive them.
//!
//! The machines refuse to do I/O: they hold no clock, socket, thread, file or randomness.
//! Bytes and time go in (`handle_*`), frames, events and requests come out (`poll_*`), and
//! the same inputs give the same outputs, byte for byte. They build without `std`; the
//! feature `std` adds the thin shells: [`drive`], [`source`], [`storage`], [`capture`].
//!
//! The protocol itself is written down in `docs/provisioning/protocol.md`.
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod blocks;
pub mod device;
pub mod host;
pub mod limits;
pub mod machine;
pub mod rolling;
pub mod session;
pub mod speed;
pub mod time;
pub mod wire;

#[cfg(feature = "std")]
pub mod capture;
#[cfg(feature = "std")]
pub mod drive;
#[cfg(feature = "std")]
mod extents;
#[cfg(feature = "std")]
pub mod pack;
#[cfg(feature = "std")]
pub mod source;
#[cfg(feature = "std")]
pub mod splitter;
#[cfg(feature = "std")]
pub mod storage;
