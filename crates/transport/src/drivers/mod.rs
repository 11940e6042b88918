//! The drivers: one file, one scheme each.

pub mod loopback;
