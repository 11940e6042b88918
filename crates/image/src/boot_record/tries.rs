use alloc::vec::Vec;
use core::num::NonZeroU32;

use super::BootRecordError;
use super::sector::{Hex, Reader, Writer};

/// How often a slot on trial may still be booted: the one sector that a boot loader writes.
///
/// It has no checksum, because a boot loader cannot compute one. What tells a torn sector is
/// its number, at the front and at the end; a count that changes changes one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries {
    /// Which trial they are of: [`BootRecord::trial`](super::BootRecord::trial).
    pub number: NonZeroU32,
    /// How many are left: at most [`Tries::MOST`].
    pub left: u8,
}

impl Tries {
    /// What a slot on trial starts with.
    pub const MOST: u8 = 3;

    /// All the tries of the trial with this number.
    pub const fn all(number: NonZeroU32) -> Self {
        Self {
            number,
            left: Self::MOST,
        }
    }

    /// Reads the sector.
    ///
    /// # Errors
    /// When it is torn, damaged, or in another form: then no try is left.
    pub fn parse(bytes: &[u8]) -> Result<Self, BootRecordError> {
        let mut lines = Reader::new(bytes)?;
        let Hex(front) = lines.line("nx_try_gen")?;
        let left = lines.line::<char>("nx_tries")?;
        let Hex(end) = lines.line("nx_try_end")?;
        lines.finish()?;
        if end != front {
            return Err(BootRecordError::Torn { front, end });
        }
        let contents = |what| BootRecordError::Contents { what };
        let left = left
            .to_digit(10)
            .and_then(|left| u8::try_from(left).ok())
            .filter(|left| *left <= Self::MOST)
            .ok_or(contents("its tries are not 0 to 3"))?;
        let number = NonZeroU32::new(front).ok_or(contents("its number is 0"))?;
        Ok(Self { number, left })
    }

    /// The bytes of the sector.
    pub fn encode(&self) -> Vec<u8> {
        let mut lines = Writer::new();
        lines.line("nx_try_gen", Hex(self.number.get()));
        lines.line("nx_tries", self.left.min(Self::MOST));
        lines.line("nx_try_end", Hex(self.number.get()));
        lines.finish()
    }
}
