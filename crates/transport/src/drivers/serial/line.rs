//! A terminal, set up as a plain byte pipe.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::termios::{
    ControlModes, InputModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcdrain,
    tcflush, tcgetattr, tcsetattr,
};

use crate::stream::Stream;
use crate::{Caps, Moved, Transport, TransportError};

/// How far, in per cent, the hardware's speed may be off: a byte of 10 bits is sampled in the
/// middle of each, so that both sides together may drift by half a bit in ten.
const BAUD_OFF_PERCENT_MAX: u64 = 3;

/// Bits that one byte takes on the line: start, eight, stop.
const BITS_PER_BYTE: u32 = 10;

/// How a line is to be set up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) baud: u32,
    pub(super) rtscts: bool,
}

/// A terminal, set up as a plain byte pipe.
#[derive(Debug)]
pub(super) struct Line {
    port: String,
    stream: Stream,
    /// The speed that was set last, in baud.
    baud: u32,
    /// Waits for the output to leave; kept while one wait outlasts its deadline.
    draining: Option<Receiver<Result<(), Errno>>>,
}

impl Line {
    pub(super) fn over(
        port: &str,
        fd: OwnedFd,
        settings: Settings,
    ) -> Result<Self, TransportError> {
        let mut mode = tcgetattr(&fd).map_err(|error| match error {
            Errno::IO | Errno::NXIO => TransportError::NotAPort {
                port: port.to_owned(),
                what: "a port with no hardware behind it".to_owned(),
            },
            other => TransportError::io("tcgetattr", port, other),
        })?;
        set_raw(&mut mode, settings.rtscts);
        apply_baud(port, &fd, &mut mode, settings.baud)?;
        tcflush(&fd, QueueSelector::IFlush)
            .map_err(|error| TransportError::io("tcflush", port, error))?;
        // Three wires do not tell whether anybody is at their other end, though an unplugged
        // adapter is noticed; and without RTS and CTS nothing holds the other side back.
        let caps = Caps::new().with_baud(true).with_lossless(true);
        let stream = Stream::over(port, fd, caps.with_back_pressure(settings.rtscts))?;
        Ok(Self {
            port: port.to_owned(),
            stream,
            baud: settings.baud,
            draining: None,
        })
    }

    fn start_draining(&self) -> Result<Receiver<Result<(), Errno>>, TransportError> {
        let fd = self
            .stream
            .input()
            .try_clone_to_owned()
            .map_err(|error| TransportError::io("dup", &self.port, error))?;
        let (done, draining) = mpsc::channel();
        // The system call has no deadline and hangs while the other side holds CTS.
        thread::Builder::new()
            .name("serial-drain".to_owned())
            .spawn(move || {
                let drained = loop {
                    match tcdrain(&fd) {
                        Err(Errno::INTR) => {}
                        other => break other,
                    }
                };
                // Nobody listens any more when the link was dropped meanwhile.
                let _ = done.send(drained);
            })
            .map_err(|error| TransportError::io("spawn", &self.port, error))?;
        Ok(draining)
    }
}

impl Transport for Line {
    fn caps(&self) -> Caps {
        // Remembered: once the line has hung up, the system no longer tells.
        let caps = self.stream.caps().with_baud_of(self.baud);
        rate_of(self.baud).map_or(caps, |rate| caps.with_rate_at_most(rate))
    }

    fn exchange(
        &mut self,
        out: &[u8],
        inp: &mut [u8],
        timeout: Duration,
    ) -> Result<Moved, TransportError> {
        self.stream.exchange(out, inp, timeout)
    }

    fn drain(&mut self, timeout: Duration) -> Result<(), TransportError> {
        self.stream.drain(timeout)?;
        let draining = match self.draining.take() {
            Some(draining) => draining,
            None => self.start_draining()?,
        };
        match draining.recv_timeout(timeout) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Errno::IO | Errno::NXIO | Errno::NODEV)) => {
                Err(TransportError::closed(&self.port))
            }
            Ok(Err(error)) => Err(TransportError::io("tcdrain", &self.port, error)),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                self.draining = Some(draining);
                Err(TransportError::TimedOut {
                    op: "drain",
                    port: self.port.clone(),
                })
            }
        }
    }

    fn set_baud(&mut self, baud: u32) -> Result<(), TransportError> {
        let fd = self.stream.input();
        let mut mode =
            tcgetattr(fd).map_err(|error| TransportError::io("tcgetattr", &self.port, error))?;
        if let Err(error) = apply_baud(&self.port, fd, &mut mode, baud) {
            // The hardware may have taken a speed that is no use to anybody.
            let _ = apply_baud(&self.port, fd, &mut mode, self.baud);
            return Err(error);
        }
        self.baud = baud;
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.draining.is_some() {
            // The output is stuck: closing would wait for it for up to half a minute.
            let _ = tcflush(self.stream.input(), QueueSelector::OFlush);
        }
    }
}

/// Eight bits, no parity, one stop bit, no translation, no echo, no signals.
fn set_raw(mode: &mut Termios, rtscts: bool) {
    mode.make_raw();
    mode.input_modes
        .remove(InputModes::IXOFF | InputModes::IXANY);
    mode.control_modes
        .remove(ControlModes::CSIZE | ControlModes::PARENB | ControlModes::CSTOPB);
    // Without HUPCL, closing leaves DTR alone: on many boards it is the reset line.
    mode.control_modes.remove(ControlModes::HUPCL);
    mode.control_modes
        .insert(ControlModes::CS8 | ControlModes::CREAD | ControlModes::CLOCAL);
    mode.control_modes.set(ControlModes::CRTSCTS, rtscts);
    // With VMIN 0 "nothing yet" would read as an end of file.
    mode.special_codes[SpecialCodeIndex::VMIN] = 1;
    mode.special_codes[SpecialCodeIndex::VTIME] = 0;
}

/// Sets mode and speed, and reads back what the hardware made of it.
fn apply_baud(
    port: &str,
    fd: impl AsFd,
    mode: &mut Termios,
    baud: u32,
) -> Result<(), TransportError> {
    let fd = fd.as_fd();
    let refused = |got| TransportError::BaudRefused {
        port: port.to_owned(),
        want: baud,
        got,
    };
    if baud == 0 {
        // To the system zero means "hang up".
        return Err(refused(0));
    }
    let before = mode.output_speed();
    mode.set_speed(baud).map_err(|_| refused(before))?;
    tcsetattr(fd, OptionalActions::Now, mode).map_err(|error| match error {
        Errno::INVAL => refused(before),
        other => TransportError::io("tcsetattr", port, other),
    })?;
    let now = tcgetattr(fd).map_err(|error| TransportError::io("tcgetattr", port, error))?;
    if is_near(baud, now.output_speed()) {
        Ok(())
    } else {
        Err(refused(now.output_speed()))
    }
}

fn rate_of(baud: u32) -> Option<u32> {
    baud.checked_div(BITS_PER_BYTE).filter(|rate| *rate > 0)
}

fn is_near(want: u32, got: u32) -> bool {
    let off = u64::from(want.abs_diff(got)).saturating_mul(100);
    off <= u64::from(want).saturating_mul(BAUD_OFF_PERCENT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_per_cent_off_is_the_limit() {
        assert!(is_near(115_200, 115_200));
        assert!(is_near(100_000, 103_000));
        assert!(is_near(100_000, 97_000));
        assert!(!is_near(100_000, 103_001));
        assert!(!is_near(115_200, 110_000));
        assert!(is_near(u32::MAX, u32::MAX));
    }
}
