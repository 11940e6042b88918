//! One sector in the form of a GRUB environment block, all of its fields of fixed width.

use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use super::{BootRecordError, SECTOR_BYTES};
use crate::digest::Digest;
use crate::hex;

/// The first line of every environment block.
const HEADER: &[u8] = b"# GRUB Environment Block\n";
/// What fills the sector.
const PADDING: u8 = b'#';

/// A sector being written.
#[derive(Debug)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new() -> Self {
        let mut bytes = Vec::with_capacity(SECTOR_BYTES);
        bytes.extend(HEADER);
        Self(bytes)
    }

    /// Appends the line `name=value`.
    pub(super) fn line(&mut self, name: &str, value: impl fmt::Display) {
        // Appending cannot fail.
        let _ = writeln!(self, "{name}={value}");
    }

    /// CRC-32 (IEEE) of what is written so far.
    pub(super) fn crc(&self) -> u32 {
        crc32fast::hash(&self.0)
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        debug_assert!(self.0.len() <= SECTOR_BYTES, "fixed widths that fit");
        self.0.resize(SECTOR_BYTES, PADDING);
        self.0
    }
}

impl fmt::Write for Writer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend(text.as_bytes());
        Ok(())
    }
}

/// A sector being read, from the front.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, BootRecordError> {
        if bytes.len() != SECTOR_BYTES {
            return Err(BootRecordError::Length {
                got: bytes.len(),
                want: SECTOR_BYTES,
            });
        }
        let mut reader = Self { bytes, at: 0 };
        reader.literal(HEADER)?;
        Ok(reader)
    }

    /// CRC-32 (IEEE) of what is read so far.
    pub(super) fn crc(&self) -> u32 {
        crc32fast::hash(self.bytes.get(..self.at).unwrap_or_default())
    }

    /// The value of the line `name=value`: as long as its type says.
    pub(super) fn line<T: Field>(&mut self, name: &str) -> Result<T, BootRecordError> {
        self.literal(name.as_bytes())?;
        self.literal(b"=")?;
        let end = self.at.saturating_add(T::WIDTH);
        let value = self.bytes.get(self.at..end).and_then(T::read);
        let value = value.ok_or(BootRecordError::Form { offset: self.at })?;
        self.at = end;
        self.literal(b"\n")?;
        Ok(value)
    }

    /// Only padding may be left.
    pub(super) fn finish(self) -> Result<(), BootRecordError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match rest.iter().position(|byte| *byte != PADDING) {
            Some(more) => Err(BootRecordError::Form {
                offset: self.at.saturating_add(more),
            }),
            None => Ok(()),
        }
    }

    fn literal(&mut self, want: &[u8]) -> Result<(), BootRecordError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let same = rest.iter().zip(want).take_while(|(a, b)| a == b).count();
        self.at = self.at.saturating_add(same);
        match same == want.len() {
            true => Ok(()),
            false => Err(BootRecordError::Form { offset: self.at }),
        }
    }
}

/// A value of fixed width.
pub(super) trait Field: Sized {
    /// Its length, in bytes.
    const WIDTH: usize;

    /// Reads exactly that many bytes.
    fn read(bytes: &[u8]) -> Option<Self>;
}

/// Eight lower-case hex digits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hex(pub(super) u32);

impl Field for Hex {
    const WIDTH: usize = 8;

    fn read(bytes: &[u8]) -> Option<Self> {
        hex::parse(bytes).map(u32::from_be_bytes).map(Self)
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// `0x` and eight lower-case hex digits: what a boot loader takes for a number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number(pub(super) u32);

impl Field for Number {
    const WIDTH: usize = 10;

    fn read(bytes: &[u8]) -> Option<Self> {
        Hex::read(bytes.strip_prefix(b"0x")?).map(|Hex(number)| Self(number))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08x}", self.0)
    }
}

/// One printable character.
impl Field for char {
    const WIDTH: usize = 1;

    fn read(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [byte] if byte.is_ascii_graphic() => Some(Self::from(*byte)),
            _ => None,
        }
    }
}

impl Field for Digest {
    const WIDTH: usize = 64;

    fn read(bytes: &[u8]) -> Option<Self> {
        hex::parse(bytes).map(Self::from_bytes)
    }
}
