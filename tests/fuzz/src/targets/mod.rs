//! One file a target.

mod boot_record;
mod capture;
mod deframer;
mod device;
mod frame;
mod host;
mod intent;
mod journal;
mod manifest;
mod message;
mod port;
mod public_key;
mod secret_key;
mod sidecar;
mod signed;
mod state_header;

use crate::Target;

/// Every target.
pub const TARGETS: &[Target] = &[
    frame::TARGET,
    deframer::TARGET,
    message::TARGET,
    manifest::TARGET,
    signed::TARGET,
    public_key::TARGET,
    secret_key::TARGET,
    journal::TARGET,
    intent::TARGET,
    capture::TARGET,
    port::TARGET,
    state_header::TARGET,
    boot_record::TARGET,
    sidecar::TARGET,
    device::TARGET,
    host::TARGET,
];
