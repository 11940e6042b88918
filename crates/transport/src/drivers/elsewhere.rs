//! The drivers of the operating system's links, where they have not been written yet.
//!
//! Only Linux is supported. Elsewhere the schemes exist, so that the message says what is missing
//! instead of "no driver".

use crate::registry::{Driver, DriverRequest};
use crate::{Transport, TransportError};

inventory::submit! {
    Driver::new("serial", open).summary("serial line (Linux only)").syntax("serial:PATH")
}
inventory::submit! {
    Driver::new("unix", open).summary("UNIX socket (Linux only)").syntax("unix:PATH")
}
inventory::submit! {
    Driver::new("tcp", open).summary("TCP (Linux only)").syntax("tcp:HOST:PORT")
}

fn open(request: &DriverRequest<'_>) -> Result<Box<dyn Transport>, TransportError> {
    Err(TransportError::Unsupported {
        port: request.port.to_owned(),
        what: format!("this kind of link on {}", std::env::consts::OS),
    })
}
