//! QEMU's monitor: what it counts.
//!
//! The protocol is QMP: one JSON object a line.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};

use crate::error::{MachineError, Result};

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What has been written to a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Writes {
    /// How many writes.
    pub operations: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A conversation with QEMU.
#[derive(Debug)]
pub struct Monitor {
    stream: BufReader<UnixStream>,
    socket: PathBuf,
}

impl Monitor {
    /// Over the stream on which QEMU has called `socket`.
    ///
    /// # Errors
    /// [`MachineError::Io`]; [`MachineError::Broken`] if it speaks something else.
    pub(crate) fn over(stream: UnixStream, socket: &Path) -> Result<Self> {
        stream
            .set_read_timeout(Some(PATIENCE))
            .map_err(MachineError::io("set a limit on", socket))?;
        let mut monitor = Self {
            stream: BufReader::new(stream),
            socket: socket.to_owned(),
        };
        monitor.line()?;
        // Until then only capabilities are spoken of.
        monitor.ask("qmp_capabilities")?;
        Ok(monitor)
    }

    /// What the guest has written to its disk since the start.
    ///
    /// # Errors
    /// [`MachineError::Io`], [`MachineError::Broken`].
    pub fn disk_writes(&mut self) -> Result<Writes> {
        let stats = self.ask("query-blockstats")?;
        writes_of_devices(&stats)
            .ok_or_else(|| MachineError::broken("QEMU counts writes", stats.to_string()))
    }

    fn ask(&mut self, command: &str) -> Result<Value> {
        let text = format!("{}\n", json!({ "execute": command }));
        self.stream
            .get_mut()
            .write_all(text.as_bytes())
            .map_err(MachineError::io("write to", &self.socket))?;
        loop {
            let line = self.line()?;
            let answer: Value = serde_json::from_str(&line)
                .map_err(|error| MachineError::broken("QEMU speaks JSON", error.to_string()))?;
            if let Some(result) = answer.get("return") {
                return Ok(result.clone());
            }
            if answer.get("error").is_some() {
                return Err(MachineError::broken(format!("QEMU does `{command}`"), line));
            }
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line);
        read.map_err(MachineError::io("read from", &self.socket))?;
        Ok(line)
    }
}

/// The sum over the devices that have a name in the guest: firmware flash has none.
fn writes_of_devices(stats: &Value) -> Option<Writes> {
    let devices = stats.as_array()?.iter();
    let named = devices.filter(|device| {
        let qdev = device.get("qdev").and_then(Value::as_str);
        qdev.is_some_and(|qdev| !qdev.is_empty())
    });
    let mut sum = Writes::default();
    for device in named {
        let number = |member| device.get("stats")?.get(member)?.as_u64();
        sum.operations = sum.operations.saturating_add(number("wr_operations")?);
        sum.bytes = sum.bytes.saturating_add(number("wr_bytes")?);
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_of_the_firmware_do_not_count() {
        let stats = json!([
            {"device": "pflash1", "stats": {"wr_operations": 9, "wr_bytes": 900}},
            {"qdev": "/machine/peripheral/disk", "stats": {"wr_operations": 4, "wr_bytes": 400}},
            {"qdev": "/machine/peripheral/log", "stats": {"wr_operations": 2, "wr_bytes": 100}},
        ]);
        assert_eq!(
            writes_of_devices(&stats),
            Some(Writes {
                operations: 6,
                bytes: 500
            })
        );
        assert_eq!(
            writes_of_devices(&json!([{"qdev": "x", "stats": {}}])),
            None
        );
    }
}
