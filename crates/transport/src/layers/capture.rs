//! `capture+`, which writes down what passes.

use std::path::Path;
use std::time::Duration;

use crate::pcapng::{Direction, LINK_BYTES, Writer};
use crate::registry::{Key, Layer, LayerRequest, Wrap};
use crate::{Caps, Clock, Moved, Transport, TransportError};

inventory::submit! {
    Layer::new("capture", wrap)
        .summary("writes what passes to a new pcapng file, for its owner only")
        .keys(&[Key::new("file", "the file to make; it must not exist")])
}

/// Writes down what passes, as it passes: pieces, not frames. Times count from the opening.
///
/// `replay:` plays such a file.
#[derive(Debug)]
pub struct Captured<T> {
    inner: T,
    path: String,
    writer: Writer,
    interface: u32,
    start: Duration,
    clock: Clock,
}

impl<T: Transport> Captured<T> {
    /// Captures `inner`, which `port` names, into a new file at `path`.
    ///
    /// # Errors
    /// `Io` when the file cannot be made, as when it exists.
    pub fn new(inner: T, port: &str, path: &Path) -> Result<Self, TransportError> {
        let text = path.display().to_string();
        let failed = |error| TransportError::io("capture", &text, error);
        let mut writer = Writer::create(path).map_err(failed)?;
        let interface = writer.add_interface(LINK_BYTES, port).map_err(failed)?;
        let clock = inner.clock();
        Ok(Self {
            inner,
            path: text,
            writer,
            interface,
            start: clock.now(),
            clock,
        })
    }

    fn write(&mut self, direction: Direction, bytes: &[u8]) -> Result<(), TransportError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let time = self.clock.now().saturating_sub(self.start);
        let time_us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.writer
            .packet(self.interface, time_us, Some(direction), bytes, None)
            .map_err(|error| TransportError::io("capture", &self.path, error))
    }
}

impl<T: Transport> Transport for Captured<T> {
    fn caps(&self) -> Caps {
        self.inner.caps()
    }

    fn exchange(
        &mut self,
        out: &[u8],
        inp: &mut [u8],
        timeout: Duration,
    ) -> Result<Moved, TransportError> {
        let moved = self.inner.exchange(out, inp, timeout)?;
        // What one call received was sent before what it took could be answered.
        self.write(
            Direction::Inbound,
            inp.get(..moved.received).unwrap_or_default(),
        )?;
        self.write(
            Direction::Outbound,
            out.get(..moved.sent).unwrap_or_default(),
        )?;
        Ok(moved)
    }

    fn drain(&mut self, timeout: Duration) -> Result<(), TransportError> {
        self.inner.drain(timeout)
    }

    fn set_baud(&mut self, baud: u32) -> Result<(), TransportError> {
        self.inner.set_baud(baud)
    }

    fn clock(&self) -> Clock {
        self.clock.clone()
    }
}

fn wrap(request: &LayerRequest<'_>) -> Result<Wrap, TransportError> {
    let Some(path) = request.params.get("file").filter(|path| !path.is_empty()) else {
        return Err(request.params.bad("file", "the name of a file to make"));
    };
    let (port, path) = (request.port.to_owned(), path.to_owned());
    Ok(Box::new(move |inner| {
        Ok(Box::new(Captured::new(inner, &port, Path::new(&path))?))
    }))
}
