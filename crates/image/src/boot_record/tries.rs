use alloc::{format, vec, vec::Vec};
use core::num::NonZeroU32;

use super::sector::{Hex, Reader, Writer};
use super::{BootRecordError, SECTOR_BYTES};

/// How often a slot on trial may still be booted: the one sector that a boot loader writes.
///
/// It is the content of the only file of a tar archive that begins where the partition does,
/// because GRUB reads block lists but writes only files. The archive's header is one sector,
/// always the same, and without it no try is left.
///
/// The sector has no checksum, because a boot loader cannot compute one. What tells a torn one is
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
    /// Where header and sector are, in bytes from the partition's start.
    pub const OFFSET: u64 = 0;
    /// Length of header and sector, in bytes.
    pub const BYTES: usize = 2 * SECTOR_BYTES;
    /// The name of the file.
    pub const FILE: &str = "tries";

    /// All the tries of the trial with this number.
    pub const fn all(number: NonZeroU32) -> Self {
        Self {
            number,
            left: Self::MOST,
        }
    }

    /// Reads header and sector: [`Tries::BYTES`] at [`Tries::OFFSET`].
    ///
    /// # Errors
    /// When they are torn, damaged, or in another form: then no try is left.
    pub fn parse(bytes: &[u8]) -> Result<Self, BootRecordError> {
        if bytes.len() != Self::BYTES {
            return Err(BootRecordError::Length {
                got: bytes.len(),
                want: Self::BYTES,
            });
        }
        let (header, sector) = bytes.split_at_checked(SECTOR_BYTES).unwrap_or_default();
        let want = header_sector();
        if header != want {
            let same = header.iter().zip(&want).take_while(|(a, b)| a == b);
            return Err(BootRecordError::Form {
                offset: same.count(),
            });
        }
        let mut lines = Reader::new(sector)?;
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

    /// Header and sector: [`Tries::BYTES`] to be written at [`Tries::OFFSET`].
    pub fn encode(&self) -> Vec<u8> {
        let mut lines = Writer::new();
        lines.line("nx_try_gen", Hex(self.number.get()));
        lines.line("nx_tries", self.left.min(Self::MOST));
        lines.line("nx_try_end", Hex(self.number.get()));
        let mut bytes = header_sector();
        bytes.extend(lines.finish());
        bytes
    }
}

/// The header of a tar archive (POSIX.1-1988, "ustar") with the file.
pub(super) fn header_sector() -> Vec<u8> {
    let mut header = vec![0; SECTOR_BYTES];
    let mut put = |at: usize, bytes: &[u8]| {
        let field = header.get_mut(at..at.saturating_add(bytes.len()));
        if let Some(field) = field {
            field.copy_from_slice(bytes);
        }
    };
    let number = |value: u32| format!("{value:07o}\0");
    put(0, Tries::FILE.as_bytes());
    put(100, number(0o600).as_bytes());
    put(108, number(0).as_bytes());
    put(116, number(0).as_bytes());
    put(124, format!("{SECTOR_BYTES:011o}\0").as_bytes());
    put(136, format!("{:011o}\0", 0).as_bytes());
    // The checksum is that of a header with spaces in its place.
    put(148, &[b' '; 8]);
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    if let Some(field) = header.get_mut(148..156) {
        field.copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    header
}
