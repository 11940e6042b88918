//! `exec:`, a link over the standard input and output of a program, in a crate of its own.
//!
//! `exec:ssh board flashd-stdio` reaches a device behind a login, `exec:socat - TCP:…` one behind
//! whatever `socat` can reach. The program is run directly, never by a shell: nothing in the
//! port's text is expanded, and words are split at spaces only.
//!
//! This is the example of `docs/provisioning/new-driver.md`. A binary that wants the driver says
//! `use custom_driver as _;`; without that line the crate is not linked, and nobody says so.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nx_transport::{
    Caps, Driver, DriverRequest, Key, Moved, Stream, Transport, TransportError, inventory,
};

inventory::submit! {
    Driver::new("exec", open)
        .summary("standard input and output of a program")
        .syntax("exec:PROGRAM ARGUMENT…")
        .keys(&[Key::new("dir", "the directory to run the program in")])
}

/// How long a program may take to end once its input has ended.
const GRACE: Duration = Duration::from_secs(2);

/// Pause between looks whether the program has ended.
const PAUSE: Duration = Duration::from_millis(5);

/// A running program as a link.
///
/// Dropping it ends the program's input and gives it 2 s to finish with what it was sent; then
/// it is killed. What it says on standard error goes to ours.
#[derive(Debug)]
struct Exec {
    /// None only while dropping.
    stream: Option<Stream>,
    port: String,
    child: Child,
}

fn open(request: &DriverRequest<'_>) -> Result<Box<dyn Transport>, TransportError> {
    let port = request.port;
    let mut words = request.target.split(' ').filter(|word| !word.is_empty());
    let Some(program) = words.next() else {
        let reason = "the program is missing".to_owned();
        return Err(TransportError::BadSpec {
            port: port.to_owned(),
            reason,
        });
    };
    let mut command = Command::new(program);
    command
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    if let Some(directory) = request.params.get("dir") {
        command.current_dir(directory);
    }
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => TransportError::NotFound {
            port: port.to_owned(),
        },
        io::ErrorKind::PermissionDenied => TransportError::Permission {
            port: port.to_owned(),
            group: None,
        },
        _ => TransportError::Io {
            op: "spawn",
            port: port.to_owned(),
            source: error,
        },
    };
    let mut child = command.spawn().map_err(failed)?;
    let (Some(input), Some(output)) = (child.stdout.take(), child.stdin.take()) else {
        let error = io::Error::other("the program has no pipes");
        return Err(TransportError::Io {
            op: "spawn",
            port: port.to_owned(),
            source: error,
        });
    };
    // A pipe holds its writer back, loses nothing, and ends when the program does.
    let caps = Caps::new()
        .with_hang_up(true)
        .with_back_pressure(true)
        .with_lossless(true);
    let stream = Stream::over_two(port, OwnedFd::from(input), OwnedFd::from(output), caps)?;
    Ok(Box::new(Exec {
        stream: Some(stream),
        port: port.to_owned(),
        child,
    }))
}

impl Exec {
    fn stream(&mut self) -> Result<&mut Stream, TransportError> {
        let port = &self.port;
        self.stream
            .as_mut()
            .ok_or_else(|| TransportError::Closed { port: port.clone() })
    }
}

impl Transport for Exec {
    fn caps(&self) -> Caps {
        self.stream.as_ref().map_or_else(Caps::new, Transport::caps)
    }

    fn exchange(
        &mut self,
        out: &[u8],
        inp: &mut [u8],
        timeout: Duration,
    ) -> Result<Moved, TransportError> {
        self.stream()?.exchange(out, inp, timeout)
    }

    fn drain(&mut self, timeout: Duration) -> Result<(), TransportError> {
        self.stream()?.drain(timeout)
    }
}

impl Drop for Exec {
    fn drop(&mut self) {
        drop(self.stream.take());
        let start = Instant::now();
        while start.elapsed() < GRACE {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(PAUSE),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
