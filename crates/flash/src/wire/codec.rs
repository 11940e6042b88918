//! Little-endian fields, read with bounds and written in order.

use alloc::string::String;
use alloc::vec::Vec;

use nx_image::digest::Digest;

use crate::limits::TEXT_BYTES_MAX;

/// A payload that is not what its kind promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It ends before a field does.
    #[error("payload ends before its last field")]
    Short,
    /// It goes on after its last field.
    #[error("payload goes on after its last field")]
    Trailing,
    /// A field holds a value that the protocol does not allow.
    #[error("field holds a value that the protocol does not allow")]
    Value,
}

/// Reads fields from the front of a payload.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the front of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// `Short` when there are fewer.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(DecodeError::Short)?;
        self.rest = rest;
        Ok(head)
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.bytes(N)?.try_into().map_err(|_| DecodeError::Short)
    }

    /// The next byte.
    ///
    /// # Errors
    /// `Short` when there is none.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    /// The next two bytes.
    ///
    /// # Errors
    /// `Short` when there are fewer.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// The next four bytes.
    ///
    /// # Errors
    /// `Short` when there are fewer.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// The next eight bytes.
    ///
    /// # Errors
    /// `Short` when there are fewer.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A SHA-256 digest.
    ///
    /// # Errors
    /// `Short` when fewer than 32 bytes are left.
    pub fn digest(&mut self) -> Result<Digest, DecodeError> {
        Ok(Digest::from_bytes(self.array()?))
    }

    /// A number in 7-bit groups, least first, at most five bytes.
    ///
    /// # Errors
    /// `Short` at the end, `Value` over 32 bits.
    pub fn varint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0_u64;
        for shift in [0_u32, 7, 14, 21, 28] {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| DecodeError::Value);
            }
        }
        Err(DecodeError::Value)
    }

    /// Text: a length byte and that many bytes of printable ASCII.
    ///
    /// # Errors
    /// `Short` at the end, `Value` for anything but printable ASCII or for over 200 bytes.
    pub fn text(&mut self) -> Result<String, DecodeError> {
        let len = usize::from(self.u8()?);
        let bytes = self.bytes(len)?;
        if len > TEXT_BYTES_MAX || bytes.iter().any(|byte| !(0x20..0x7f).contains(byte)) {
            return Err(DecodeError::Value);
        }
        Ok(bytes.iter().map(|byte| char::from(*byte)).collect())
    }

    /// Bytes with a 16-bit length in front.
    ///
    /// # Errors
    /// `Short` at the end.
    pub fn blob(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = usize::from(self.u16()?);
        self.bytes(len)
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// `Trailing` when something is.
    pub const fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Trailing)
        }
    }
}

/// Appends fields to a payload.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// A writer that appends to `out`.
    pub const fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Appends bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    /// Appends one byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends two bytes.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends four bytes.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends eight bytes.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends a digest.
    pub fn digest(&mut self, digest: &Digest) -> &mut Self {
        self.bytes(digest.as_bytes())
    }

    /// Appends a number in 7-bit groups, least first.
    pub fn varint(&mut self, mut value: u32) -> &mut Self {
        loop {
            let low = u8::try_from(value & 0x7f).unwrap_or(0);
            value >>= 7;
            if value == 0 {
                return self.u8(low);
            }
            self.u8(low | 0x80);
        }
    }

    /// Appends text: printable ASCII is kept, the rest becomes `?`, what is over 200 bytes
    /// is cut off.
    pub fn text(&mut self, text: &str) -> &mut Self {
        let bytes: Vec<u8> = text
            .chars()
            .take(TEXT_BYTES_MAX)
            .map(|c| {
                u8::try_from(c)
                    .ok()
                    .filter(|b| (0x20..0x7f).contains(b))
                    .unwrap_or(b'?')
            })
            .collect();
        self.u8(u8::try_from(bytes.len()).unwrap_or(u8::MAX))
            .bytes(&bytes)
    }

    /// Appends bytes with a 16-bit length in front; at most 65,535.
    pub fn blob(&mut self, bytes: &[u8]) -> &mut Self {
        let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        let kept = bytes.get(..usize::from(len)).unwrap_or_default();
        self.u16(len).bytes(kept)
    }
}
