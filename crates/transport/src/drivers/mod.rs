//! The drivers: one file, one scheme each.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
pub mod loopback;
mod replay;
#[cfg(target_os = "linux")]
mod serial;
#[cfg(target_os = "linux")]
pub mod tcp;
#[cfg(target_os = "linux")]
mod unix;
