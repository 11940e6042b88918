//! Writes captures.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crate::pcapng::block::{BYTE_ORDER, kind, option};
use crate::pcapng::{BLOCK_BYTES_MAX, Direction, INTERFACES_MAX};

/// Writes a capture, one whole block at a time, little-endian, times in microseconds.
///
/// Nothing is held back: after a crash the file holds every packet whose call returned.
#[derive(Debug)]
pub struct Writer<W = File> {
    out: W,
    interfaces: u32,
    block: Vec<u8>,
}

impl Writer<File> {
    /// Starts a capture in a new file, which only its owner may read.
    ///
    /// # Errors
    /// `AlreadyExists` when there is something at `path`, and what the system says.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Self::new(options.open(path)?)
    }
}

impl<W: Write> Writer<W> {
    /// Starts a capture.
    ///
    /// # Errors
    /// What `out` says.
    pub fn new(out: W) -> io::Result<Self> {
        let mut writer = Self {
            out,
            interfaces: 0,
            block: Vec::new(),
        };
        writer.block.extend(BYTE_ORDER.to_le_bytes());
        writer.block.extend(1_u16.to_le_bytes());
        writer.block.extend(0_u16.to_le_bytes());
        // The length of the section is not known yet.
        writer.block.extend(u64::MAX.to_le_bytes());
        writer.push_option(option::APPLICATION, b"nx")?;
        writer.push_option(option::END, &[])?;
        writer.finish_block(kind::SECTION)?;
        Ok(writer)
    }

    /// Describes an interface and returns its number.
    ///
    /// # Errors
    /// `InvalidInput` beyond [`INTERFACES_MAX`] or for a name over 65,535 bytes, and what the
    /// output says.
    pub fn add_interface(&mut self, link_type: u16, name: &str) -> io::Result<u32> {
        if self.interfaces >= INTERFACES_MAX {
            return Err(invalid("too many interfaces in one capture"));
        }
        self.block.clear();
        self.block.extend(link_type.to_le_bytes());
        self.block.extend(0_u16.to_le_bytes());
        // Packets are kept however long they are.
        self.block.extend(0_u32.to_le_bytes());
        self.push_option(option::NAME, name.as_bytes())?;
        self.push_option(option::RESOLUTION, &[6])?;
        self.push_option(option::END, &[])?;
        self.finish_block(kind::INTERFACE)?;
        let id = self.interfaces;
        self.interfaces = id.saturating_add(1);
        Ok(id)
    }

    /// Adds a packet that is kept whole.
    ///
    /// # Errors
    /// `InvalidInput` for an interface that was not added, a block over [`BLOCK_BYTES_MAX`] or a
    /// comment over 65,535 bytes, and what the output says.
    pub fn packet(
        &mut self,
        interface: u32,
        time_us: u64,
        direction: Option<Direction>,
        data: &[u8],
        comment: Option<&str>,
    ) -> io::Result<()> {
        let original = u32::try_from(data.len()).map_err(|_| invalid("packet too long"))?;
        self.packet_cut(interface, time_us, direction, data, original, comment)
    }

    /// Adds a packet of which only the first bytes, `data`, of `original_bytes` are kept.
    ///
    /// # Errors
    /// As [`packet`](Self::packet).
    pub fn packet_cut(
        &mut self,
        interface: u32,
        time_us: u64,
        direction: Option<Direction>,
        data: &[u8],
        original_bytes: u32,
        comment: Option<&str>,
    ) -> io::Result<()> {
        if interface >= self.interfaces {
            return Err(invalid("no such interface in this capture"));
        }
        let kept = u32::try_from(data.len())
            .ok()
            .filter(|kept| *kept < BLOCK_BYTES_MAX)
            .ok_or_else(|| invalid("packet too long"))?;
        self.block.clear();
        self.block.extend(interface.to_le_bytes());
        let [a, b, c, d, e, f, g, h] = time_us.to_le_bytes();
        self.block.extend([e, f, g, h, a, b, c, d]);
        self.block.extend(kept.to_le_bytes());
        self.block.extend(original_bytes.max(kept).to_le_bytes());
        self.block.extend(data);
        self.pad();
        self.push_option(
            option::FLAGS,
            &direction.map_or(0, Direction::flags).to_le_bytes(),
        )?;
        if let Some(comment) = comment {
            self.push_option(option::COMMENT, comment.as_bytes())?;
        }
        self.push_option(option::END, &[])?;
        self.finish_block(kind::PACKET)
    }

    /// The output, with everything written to it.
    pub fn get_ref(&self) -> &W {
        &self.out
    }

    /// Ends the capture and gives the output back.
    ///
    /// # Errors
    /// What the output says.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn push_option(&mut self, number: u16, value: &[u8]) -> io::Result<()> {
        let length = u16::try_from(value.len()).map_err(|_| invalid("text too long"))?;
        self.block.extend(number.to_le_bytes());
        self.block.extend(length.to_le_bytes());
        self.block.extend(value);
        self.pad();
        Ok(())
    }

    fn pad(&mut self) {
        let padded = self.block.len().next_multiple_of(4);
        self.block.resize(padded, 0);
    }

    fn finish_block(&mut self, kind: u32) -> io::Result<()> {
        const AROUND: u32 = 12;
        let length = u32::try_from(self.block.len())
            .ok()
            .and_then(|length| length.checked_add(AROUND))
            .filter(|length| *length <= BLOCK_BYTES_MAX)
            .ok_or_else(|| invalid("block too long"))?;
        let body = std::mem::take(&mut self.block);
        let mut whole = Vec::with_capacity(body.len().saturating_add(12));
        whole.extend(kind.to_le_bytes());
        whole.extend(length.to_le_bytes());
        whole.extend(&body);
        whole.extend(length.to_le_bytes());
        self.block = body;
        self.out.write_all(&whole)
    }
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}
