//! Reads captures.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::TransportError;
use crate::pcapng::block::{BYTE_ORDER, Block, Direction, Interface, Packet, kind, option};
use crate::pcapng::{BLOCK_BYTES_MAX, INTERFACES_MAX};

/// Fewest bytes of a block: its type and its length, twice.
const BLOCK_BYTES_MIN: u32 = 12;

/// Reads a capture block by block, of either byte order, holding one block at a time.
///
/// Yields one error and then ends when the file is damaged, cut short, or no capture.
#[derive(Debug)]
pub struct Reader<R = BufReader<File>> {
    input: R,
    name: String,
    offset: u64,
    big_endian: bool,
    interfaces: Vec<Described>,
    /// The first number of the current section's interfaces.
    base: u32,
    started: bool,
    ended: bool,
}

/// What a packet must know of its interface.
#[derive(Clone, Copy, Debug)]
struct Described {
    link_type: u16,
    resolution: Resolution,
}

/// How an interface counts time.
#[derive(Clone, Copy, Debug)]
enum Resolution {
    /// Ten to the minus this of a second.
    Decimal(u32),
    /// Two to the minus this of a second.
    Binary(u32),
}

/// Why a block is no good; the reader knows where it is.
type Damage = &'static str;

impl Reader {
    /// Opens the capture at `path`.
    ///
    /// # Errors
    /// `Io` when it cannot be opened, `BadCapture` when it is no regular file. What it holds is
    /// looked at later.
    pub fn open(path: &Path) -> Result<Self, TransportError> {
        let name = path.display().to_string();
        let failed = |error| TransportError::io("open", &name, error);
        // A pipe is not waited for.
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(TransportError::BadCapture {
                path: name,
                offset_bytes: 0,
                reason: "no regular file".to_owned(),
            });
        }
        let file = File::open(path).map_err(failed)?;
        Ok(Self::new(BufReader::new(file), &name))
    }
}

impl<R: Read> Reader<R> {
    /// Reads `input`; `name` is for messages. Hand in a buffered input.
    pub fn new(input: R, name: &str) -> Self {
        Self {
            input,
            name: name.to_owned(),
            offset: 0,
            big_endian: false,
            interfaces: Vec::new(),
            base: 0,
            started: false,
            ended: false,
        }
    }

    /// The next packet; none at the end of the file, and after an error.
    ///
    /// # Errors
    /// `BadCapture` where the file is damaged, `Io` when it cannot be read.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, TransportError> {
        while let Some(block) = self.next().transpose()? {
            if let Block::Packet(packet) = block {
                return Ok(Some(packet));
            }
        }
        Ok(None)
    }

    fn next_block(&mut self) -> Result<Option<Block>, TransportError> {
        loop {
            let start = self.offset;
            let Some((kind, body)) = self.read_block()? else {
                return Ok(None);
            };
            let parsed = match kind {
                kind::SECTION => self.start_section(&body).map(|()| None),
                kind::INTERFACE => self.parse_interface(&body).map(Some),
                kind::PACKET => self.parse_packet(&body).map(Some),
                _ => Ok(None),
            };
            match parsed {
                Ok(Some(block)) => return Ok(Some(block)),
                Ok(None) => {}
                Err(damage) => return Err(self.damaged(start, damage)),
            }
        }
    }

    /// The type and body of the next block; none at the end of the file.
    fn read_block(&mut self) -> Result<Option<(u32, Vec<u8>)>, TransportError> {
        let start = self.offset;
        let mut head = [0; 8];
        match self.fill(&mut head)? {
            0 => return Ok(None),
            8 => {}
            _ => return Err(self.damaged(start, "the file ends inside a block")),
        }
        let [a, b, c, d, e, f, g, h] = head;
        let mut body = Vec::new();
        // The type of a section header reads the same both ways, and tells how to read on.
        let is_section = u32::from_le_bytes([a, b, c, d]) == kind::SECTION;
        if is_section {
            let mut order = [0; 4];
            if self.fill(&mut order)? != order.len() {
                return Err(self.damaged(start, "the file ends inside a block"));
            }
            self.big_endian = match order {
                order if u32::from_le_bytes(order) == BYTE_ORDER => false,
                order if u32::from_be_bytes(order) == BYTE_ORDER => true,
                _ => return Err(self.damaged(start, "unknown byte order")),
            };
            body.extend(order);
            self.started = true;
        } else if !self.started {
            return Err(self.damaged(start, "it is no pcapng file"));
        }
        let kind = self.u32([a, b, c, d]);
        let length = self.u32([e, f, g, h]);
        let fits = (BLOCK_BYTES_MIN..=BLOCK_BYTES_MAX).contains(&length);
        if !fits || !length.is_multiple_of(4) {
            return Err(self.damaged(start, "impossible length of a block"));
        }
        let rest = usize::try_from(length.saturating_sub(8)).unwrap_or_default();
        if rest < body.len().saturating_add(4) {
            return Err(self.damaged(start, "impossible length of a block"));
        }
        let have = body.len();
        body.resize(rest, 0);
        let wanted = rest.saturating_sub(have);
        if self.fill(body.get_mut(have..).unwrap_or_default())? != wanted {
            return Err(self.damaged(start, "the file ends inside a block"));
        }
        let trailer = body.split_off(rest.saturating_sub(4));
        if trailer.first_chunk().map(|bytes| self.u32(*bytes)) != Some(length) {
            return Err(self.damaged(start, "the two lengths of a block differ"));
        }
        Ok(Some((kind, body)))
    }

    fn start_section(&mut self, body: &[u8]) -> Result<(), Damage> {
        let mut fields = Fields {
            bytes: body,
            big_endian: self.big_endian,
        };
        let _order = fields.u32()?;
        if fields.u16()? != 1 {
            return Err("unknown version of the format");
        }
        let sections_before = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        self.base = self.base.saturating_add(sections_before);
        self.interfaces.clear();
        Ok(())
    }

    fn parse_interface(&mut self, body: &[u8]) -> Result<Block, Damage> {
        let index = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        if index >= INTERFACES_MAX {
            return Err("too many interfaces");
        }
        let mut fields = Fields {
            bytes: body,
            big_endian: self.big_endian,
        };
        let link_type = fields.u16()?;
        let (_reserved, _most_kept) = (fields.u16()?, fields.u32()?);
        let (mut name, mut resolution) = (String::new(), Resolution::Decimal(6));
        while let Some((number, value)) = fields.option()? {
            match (number, value) {
                (option::NAME, text) => name = String::from_utf8_lossy(text).into_owned(),
                (option::RESOLUTION, [byte]) if byte & 0x80 != 0 => {
                    resolution = Resolution::Binary(u32::from(byte & 0x7F));
                }
                (option::RESOLUTION, [byte]) => resolution = Resolution::Decimal(u32::from(*byte)),
                _ => {}
            }
        }
        self.interfaces.push(Described {
            link_type,
            resolution,
        });
        let id = self.base.saturating_add(index);
        Ok(Block::Interface(Interface {
            id,
            link_type,
            name,
        }))
    }

    fn parse_packet(&self, body: &[u8]) -> Result<Block, Damage> {
        let mut fields = Fields {
            bytes: body,
            big_endian: self.big_endian,
        };
        let interface = fields.u32()?;
        let described = *usize::try_from(interface)
            .ok()
            .and_then(|index| self.interfaces.get(index))
            .ok_or("a packet of an interface that was not described")?;
        let (high, low) = (fields.u32()?, fields.u32()?);
        let time = (u64::from(high) << 32) | u64::from(low);
        let (kept, original_bytes) = (fields.u32()?, fields.u32()?);
        let data = fields
            .padded(usize::try_from(kept).unwrap_or(usize::MAX))?
            .to_vec();
        let (mut direction, mut comment) = (None, None);
        while let Some((number, value)) = fields.option()? {
            match number {
                option::FLAGS => {
                    let flags = value.first_chunk().ok_or("flags of the wrong length")?;
                    direction = Direction::from_flags(self.u32(*flags));
                }
                option::COMMENT => comment = Some(String::from_utf8_lossy(value).into_owned()),
                _ => {}
            }
        }
        let time_us = described.resolution.microseconds(time);
        let interface = self.base.saturating_add(interface);
        let link_type = described.link_type;
        Ok(Block::Packet(Packet {
            interface,
            link_type,
            time_us,
            direction,
            data,
            original_bytes,
            comment,
        }))
    }

    /// Fills the buffer as far as the input goes; returns how far.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, TransportError> {
        let mut filled = 0_usize;
        while let Some(room) = buffer.get_mut(filled..)
            && !room.is_empty()
        {
            match self.input.read(room) {
                Ok(0) => break,
                Ok(count) => filled = filled.saturating_add(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(TransportError::io("read", &self.name, error)),
            }
        }
        self.offset = self
            .offset
            .saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
        Ok(filled)
    }

    const fn u32(&self, bytes: [u8; 4]) -> u32 {
        if self.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        }
    }

    fn damaged(&self, offset_bytes: u64, reason: &str) -> TransportError {
        let (path, reason) = (self.name.clone(), reason.to_owned());
        TransportError::BadCapture {
            path,
            offset_bytes,
            reason,
        }
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Block, TransportError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.next_block().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

impl Resolution {
    fn microseconds(self, time: u64) -> u64 {
        let (time, per_second) = match self {
            Self::Decimal(power) => (u128::from(time), 10_u128.checked_pow(power)),
            Self::Binary(power) => (u128::from(time), 2_u128.checked_pow(power)),
        };
        // A unit too small for 128 bits makes every time that fits into 64 zero.
        per_second
            .and_then(|per_second| time.saturating_mul(1_000_000).checked_div(per_second))
            .map_or(0, |time| u64::try_from(time).unwrap_or(u64::MAX))
    }
}

/// Takes fields off the front of a block's body.
struct Fields<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Damage> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(count)
            .ok_or("a block is too short")?;
        self.bytes = rest;
        Ok(taken)
    }

    /// Takes so many bytes and the padding behind them.
    fn padded(&mut self, count: usize) -> Result<&'a [u8], Damage> {
        let padded = count
            .checked_next_multiple_of(4)
            .ok_or("a block is too short")?;
        self.take(padded)?
            .get(..count)
            .ok_or("a block is too short")
    }

    fn u16(&mut self) -> Result<u16, Damage> {
        let bytes = *self.take(2)?.first_chunk().ok_or("a block is too short")?;
        Ok(if self.big_endian {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        })
    }

    fn u32(&mut self) -> Result<u32, Damage> {
        let bytes = *self.take(4)?.first_chunk().ok_or("a block is too short")?;
        Ok(if self.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    /// The next option; none at their end, which may be the end of the block.
    fn option(&mut self) -> Result<Option<(u16, &'a [u8])>, Damage> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let (number, length) = (self.u16()?, self.u16()?);
        let value = self.padded(usize::from(length))?;
        Ok((number != option::END).then_some((number, value)))
    }
}
