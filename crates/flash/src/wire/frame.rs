//! The frame: magic, header, seq, len, payload, CRC-32.

use alloc::vec::Vec;

use crate::limits::{FRAME_OVERHEAD_BYTES, HEADER_BYTES, PAYLOAD_BYTES_MAX, TRAILER_BYTES};
use crate::wire::codec::{Reader, Writer};
use crate::wire::kind::Kind;

/// The first two bytes of every frame.
///
/// The first is no ASCII and no UTF-8 start, so that console text never begins a frame.
pub const MAGIC: [u8; 2] = [0x9e, b'N'];
/// The version of the frame layout, in the low half of the third byte.
pub const VERSION: u8 = 1;

/// Check of the header: CRC-16/IBM-3740 (polynomial 0x1021, start 0xffff, not reflected).
const HEADER_CHECK: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_IBM_3740);
/// Bytes that the header check covers.
const HEADER_CHECKED_BYTES: usize = 14;

/// What one frame says. The payload stays in the buffer it arrived in.
///
/// ```text
/// offset 0      2               3     4        8    12   14            16       16+len
///        magic  version|flags   kind  session  seq  len  header check  payload  crc32
/// ```
///
/// Integers are little-endian. The header check covers bytes 0 to 13, the CRC-32 (IEEE)
/// everything in front of it. Normative: `docs/provisioning/protocol.md`, "Frames".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the frame is; a number that is no known kind is kept as it came.
    pub kind: u8,
    /// The session it belongs to; zero outside any.
    pub session: u32,
    /// Its number in its direction of the session, never used again for other bytes.
    pub seq: u32,
    /// At most 65,535 bytes.
    pub payload: &'a [u8],
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// More bytes are needed; this many in all.
    #[error("frame is not complete: it takes {needed} bytes")]
    Incomplete {
        /// Length in bytes after which another try makes sense.
        needed: usize,
    },
    /// No magic at the front.
    #[error("no magic")]
    Magic,
    /// The header's check does not match: a damaged header, or no header at all.
    #[error("header check does not match")]
    Header,
    /// A header of another layout version, or with reserved flags set.
    #[error("frame layout version {version} with flags {flags:#x}")]
    Version {
        /// The version it names.
        version: u8,
        /// Its reserved flags.
        flags: u8,
    },
    /// The CRC-32 does not match: a damaged payload.
    #[error("crc does not match")]
    Crc,
}

impl<'a> Frame<'a> {
    /// A frame of a known kind.
    pub const fn new(kind: Kind, session: u32, seq: u32, payload: &'a [u8]) -> Self {
        Self {
            kind: kind.number(),
            session,
            seq,
            payload,
        }
    }

    /// Reads the frame at the front of `bytes`; returns it and its length in bytes.
    ///
    /// # Errors
    /// `Incomplete` says how many bytes to wait for. Any other error means: go on looking
    /// for the magic one byte later.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, usize), FrameError> {
        let known = bytes.len().min(MAGIC.len());
        if bytes.get(..known) != MAGIC.get(..known) {
            return Err(FrameError::Magic);
        }
        let Some(header) = bytes.get(..HEADER_BYTES) else {
            return Err(FrameError::Incomplete {
                needed: HEADER_BYTES,
            });
        };
        let mut fields = Reader::new(header);
        let short = |_| FrameError::Header;
        fields.bytes(MAGIC.len()).map_err(short)?;
        let version_and_flags = fields.u8().map_err(short)?;
        let kind = fields.u8().map_err(short)?;
        let session = fields.u32().map_err(short)?;
        let seq = fields.u32().map_err(short)?;
        let len = usize::from(fields.u16().map_err(short)?);
        let check = fields.u16().map_err(short)?;
        let checked = header.get(..HEADER_CHECKED_BYTES).unwrap_or_default();
        if HEADER_CHECK.checksum(checked) != check {
            return Err(FrameError::Header);
        }
        let (version, flags) = (version_and_flags & 0x0f, version_and_flags >> 4);
        if version != VERSION || flags != 0 {
            return Err(FrameError::Version { version, flags });
        }
        let total = len.saturating_add(FRAME_OVERHEAD_BYTES);
        let Some(whole) = bytes.get(..total) else {
            return Err(FrameError::Incomplete { needed: total });
        };
        let (covered, trailer) = whole.split_at(total.saturating_sub(TRAILER_BYTES));
        if crc32fast::hash(covered).to_le_bytes() != trailer {
            return Err(FrameError::Crc);
        }
        let payload = covered.get(HEADER_BYTES..).unwrap_or_default();
        Ok((
            Self {
                kind,
                session,
                seq,
                payload,
            },
            total,
        ))
    }

    /// Appends the frame to `out` and returns its length in bytes; parsing those bytes
    /// gives the frame back. A payload over the limit is cut, which no caller here does.
    pub fn emit(&self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        let payload = self
            .payload
            .get(..PAYLOAD_BYTES_MAX)
            .unwrap_or(self.payload);
        out.reserve(payload.len().saturating_add(FRAME_OVERHEAD_BYTES));
        let len = u16::try_from(payload.len()).unwrap_or(u16::MAX);
        Writer::new(out)
            .bytes(&MAGIC)
            .u8(VERSION)
            .u8(self.kind)
            .u32(self.session)
            .u32(self.seq)
            .u16(len);
        let check = HEADER_CHECK.checksum(out.get(start..).unwrap_or_default());
        Writer::new(out).u16(check).bytes(payload);
        let crc = crc32fast::hash(out.get(start..).unwrap_or_default());
        Writer::new(out).u32(crc);
        out.len().saturating_sub(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsing_gives_back_what_was_emitted() {
        let mut bytes = Vec::new();
        let frame = Frame::new(Kind::Data, 7, 9, b"payload");
        let len = frame.emit(&mut bytes);
        assert_eq!(len, bytes.len());
        assert_eq!(Frame::parse(&bytes), Ok((frame, len)));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let mut bytes = Vec::new();
        Frame::new(Kind::Message, 0x1234_5678, 3, b"twelve bytes").emit(&mut bytes);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(
                Frame::parse(&damaged).is_err(),
                "bit {bit} flipped and nobody noticed"
            );
        }
    }

    #[test]
    fn a_prefix_says_how_much_is_missing() {
        let mut bytes = Vec::new();
        Frame::new(Kind::Ack, 1, 2, &[5; 40]).emit(&mut bytes);
        for len in 0..bytes.len() {
            let needed = if len < HEADER_BYTES {
                HEADER_BYTES
            } else {
                bytes.len()
            };
            assert_eq!(
                Frame::parse(&bytes[..len]),
                Err(FrameError::Incomplete { needed }),
                "{len} bytes"
            );
        }
    }

    #[test]
    fn crc_is_the_ieee_one() {
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
        assert_eq!(HEADER_CHECK.checksum(b"123456789"), 0x29b1);
    }
}
