//! The front of a `PACKED` frame: what the slice behind it belongs to, and how it was packed.

use crate::wire::codec::{DecodeError, Reader, Writer};

/// How a block is packed. The number is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    /// One raw DEFLATE stream (RFC 1951), nothing around it.
    Deflate = 1,
}

impl Codec {
    /// Every codec, the best last.
    pub const ALL: [Self; 1] = [Self::Deflate];

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The codec with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.number() == number)
    }

    /// Its bit in the codecs of `HELLO` and `WELCOME`.
    pub const fn bit(self) -> u32 {
        match self {
            Self::Deflate => 1,
        }
    }

    /// The bits of every codec.
    pub fn bits() -> u32 {
        Self::ALL
            .into_iter()
            .fold(0, |bits, codec| bits | codec.bit())
    }

    /// The best of those whose bits are set.
    pub fn best_of(bits: u32) -> Option<Self> {
        let has = |codec: &Self| bits & codec.bit() != 0;
        Self::ALL.into_iter().rev().find(has)
    }
}

/// What is in front of the bytes in the payload of `PACKED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The block's address and, added to it, the slice's place in the packed block, both in units
    /// of 64 bytes. A packed block is shorter than the block: this still lies in the block.
    pub address: u32,
    /// How the block is packed.
    pub codec: Codec,
    /// Length of the whole packed block, in bytes: 1 to 2^24 - 1.
    pub bytes: u32,
}

impl Packed {
    /// Reads it.
    ///
    /// # Errors
    /// `Short` when there is not all of it, `Value` for a codec that is not known or no bytes.
    pub fn parse(fields: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let address = fields.u32()?;
        let [low, middle, high, number] = fields.u32()?.to_le_bytes();
        let codec = Codec::from_number(number).ok_or(DecodeError::Value)?;
        let bytes = u32::from_le_bytes([low, middle, high, 0]);
        if bytes == 0 {
            return Err(DecodeError::Value);
        }
        Ok(Self {
            address,
            codec,
            bytes,
        })
    }

    /// Appends it.
    pub fn emit(&self, out: &mut Writer<'_>) {
        let [low, middle, high, _] = self.bytes.to_le_bytes();
        let form = u32::from_le_bytes([low, middle, high, self.codec.number()]);
        out.u32(self.address).u32(form);
    }
}
