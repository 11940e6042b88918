//! A hand in the guest: a shell on a virtio-serial port of its own.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::error::{MachineError, Result};

/// Name of the port, in the guest.
pub(crate) const PORT: &str = "com.nexus.hand";

/// What a command in the guest came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Its exit code.
    pub code: i32,
    /// What it said, both outputs, without the last end of line.
    pub said: String,
}

/// Runs commands in the guest, one after another.
#[derive(Debug)]
pub struct Hand {
    stream: UnixStream,
    socket: PathBuf,
    number: u32,
}

impl Hand {
    /// Takes the host's side of the port. The guest need not run yet.
    ///
    /// # Errors
    /// [`MachineError::Io`].
    pub fn take(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).map_err(MachineError::io("connect to", socket))?;
        Ok(Self {
            stream,
            socket: socket.to_owned(),
            number: 0,
        })
    }

    /// Runs a line of shell in the guest, without input, to its end.
    ///
    /// # Errors
    /// [`MachineError::Late`] when it does not end in time; [`MachineError::Io`].
    pub fn run(&mut self, line: &str, limit: Duration) -> Result<Done> {
        self.number = self.number.wrapping_add(1);
        let mark = format!("@@{} ", self.number);
        let wrapped = format!("{{ {line}\n}} </dev/null 2>&1; echo; echo \"{mark}$?\"\n");
        self.stream
            .write_all(wrapped.as_bytes())
            .map_err(MachineError::io("write to", &self.socket))?;
        let started = Instant::now();
        let mut heard = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&heard);
            if let Some(done) = ended(&text, &mark) {
                return Ok(done);
            }
            let left = limit.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(MachineError::Late {
                    what: format!("end of `{line}` in the guest"),
                    limit,
                    last: text.into_owned(),
                });
            }
            self.hear(left, &mut heard)?;
        }
    }

    /// Runs a line that has to succeed; returns what it said.
    ///
    /// # Errors
    /// [`MachineError::Program`] if it fails, and those of [`Hand::run`].
    pub fn ok(&mut self, line: &str, limit: Duration) -> Result<String> {
        let Done { code, said } = self.run(line, limit)?;
        if code == 0 {
            return Ok(said);
        }
        Err(MachineError::Program {
            command: format!("`{line}` in the guest"),
            code,
            said,
        })
    }

    fn hear(&mut self, limit: Duration, heard: &mut Vec<u8>) -> Result<()> {
        use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
        let failed = |source| MachineError::io("read from", &self.socket)(source);
        self.stream
            .set_read_timeout(Some(limit))
            .map_err(MachineError::io("set a limit on", &self.socket))?;
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(failed(std::io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => {
                heard.extend_from_slice(buffer.get(..count).unwrap_or_default());
                Ok(())
            }
            Err(error) if matches!(error.kind(), Interrupted | TimedOut | WouldBlock) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}

/// What was said before the line that begins with `mark`, and the number on that line.
fn ended(text: &str, mark: &str) -> Option<Done> {
    let (said, rest) = text.split_once(&format!("\n{mark}"))?;
    let (code, _) = rest.split_once('\n')?;
    // What came before is of a command that was given up.
    let said = said.rsplit_once("\n@@").map_or(said, |(_, late)| late);
    Some(Done {
        code: code.trim().parse().ok()?,
        said: said.trim_end().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_only_with_the_end_of_its_line() {
        assert_eq!(ended("a\nb\n\n@@7 1", "@@7 "), None);
        let done = ended("a\nb\n\n@@7 12\n", "@@7 ").unwrap();
        assert_eq!(done.code, 12);
        assert_eq!(done.said, "a\nb");
    }

    #[test]
    fn the_end_of_another_command_is_not_taken_for_ours() {
        assert_eq!(ended("\n@@6 0\n", "@@7 "), None);
    }
}
