//! Joins its standard input and output to a port: `exec:stdio-to-port unix:/run/x` is that port.
//!
//! Stands in for `ssh` and `socat` in the tests, and works like them: it ends when either side
//! does, once it has passed on what that side had sent.

use std::error::Error;
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::time::Duration;

use nx_transport::{Caps, OpenOptions, Stream, Transport, TransportError};

/// Bytes that wait in each direction, at most.
const BUFFER_BYTES: usize = 64 * 1024;

/// Longest time that one side goes without a look while the other has something to do.
const STEP: Duration = Duration::from_millis(2);

/// Longest time for the last bytes to leave.
const LAST: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(5),
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let port = std::env::args().nth(1).ok_or("the port is missing")?;
    let input = std::io::stdin().as_fd().try_clone_to_owned()?;
    let output = std::io::stdout().as_fd().try_clone_to_owned()?;
    let mut stdio = Stream::over_two("stdio", input, output, Caps::new())?;
    let mut port = nx_transport::open(&port.parse()?, &OpenOptions::default())?;
    let (mut there, mut back) = (Vec::new(), Vec::new());
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let from_stdio = pass(&mut stdio, &mut back, &mut there, &mut buffer);
        if closed(from_stdio)? {
            return finish(&mut *port, &there);
        }
        let from_port = pass(&mut *port, &mut there, &mut back, &mut buffer);
        if closed(from_port)? {
            return finish(&mut stdio, &back);
        }
    }
}

/// Moves bytes from `to_send` to the link and from the link to `received`.
fn pass(
    link: &mut dyn Transport,
    to_send: &mut Vec<u8>,
    received: &mut Vec<u8>,
    buffer: &mut [u8],
) -> Result<(), TransportError> {
    // What has not been passed on yet holds the next bytes back.
    let room = if received.is_empty() { buffer } else { &mut [] };
    let moved = link.exchange(to_send, room, STEP)?;
    to_send.drain(..moved.sent);
    received.extend(room.iter().take(moved.received));
    Ok(())
}

fn closed(passed: Result<(), TransportError>) -> Result<bool, TransportError> {
    match passed {
        Ok(()) => Ok(false),
        Err(error) if error.is_closed() => Ok(true),
        Err(error) => Err(error),
    }
}

/// Hands over the last bytes.
fn finish(link: &mut dyn Transport, mut left: &[u8]) -> Result<(), Box<dyn Error>> {
    while !left.is_empty() {
        let moved = link.exchange(left, &mut [], LAST)?;
        if moved.is_nothing() {
            break;
        }
        left = left.get(moved.sent..).unwrap_or_default();
    }
    Ok(link.drain(LAST)?)
}
