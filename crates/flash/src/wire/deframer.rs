//! Finds frames in a stream of bytes that carries rubbish too.

use alloc::vec::Vec;
use core::ops::Range;

use crate::limits::RX_BYTES_MAX;
use crate::wire::frame::{Frame, FrameError, MAGIC};

/// What the deframer found at the front of the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A whole, undamaged frame.
    Frame(Frame<'a>),
    /// A well-formed header of another layout version.
    OtherVersion {
        /// The version it names.
        version: u8,
    },
    /// Bytes that are no frame: console text, noise, the start of a damaged frame.
    Noise {
        /// The bytes.
        bytes: &'a [u8],
        /// Whether they began like a frame whose payload turned out damaged.
        damaged_frame: bool,
    },
}

/// Cuts a stream of bytes into frames and noise, in bounded memory.
///
/// After a damaged frame the search goes on with the byte after its magic, so that a frame
/// inside it, or right behind a lost piece of it, is found.
#[derive(Debug, Default)]
pub struct Deframer {
    buffer: Vec<u8>,
    start: usize,
    give_up_waiting: bool,
}

enum Step {
    Frame(usize),
    OtherVersion(u8),
    Noise { len: usize, damaged_frame: bool },
    Wait,
}

impl Deframer {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes from the link; returns how many it had room for. What did not fit is
    /// handed over again after the pieces have been taken out with [`Self::next_piece`].
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        self.buffer.drain(..self.start);
        self.start = 0;
        let room = RX_BYTES_MAX.saturating_sub(self.buffer.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.buffer.extend_from_slice(taken);
        taken.len()
    }

    /// The next piece, or nothing until more bytes have come.
    pub fn next_piece(&mut self) -> Option<Piece<'_>> {
        let step = step(self.pending(), self.give_up_waiting);
        if !matches!(step, Step::Wait) {
            self.give_up_waiting = false;
        }
        match step {
            Step::Wait => None,
            Step::Frame(len) => {
                let range = self.consume(len);
                let bytes = self.buffer.get(range)?;
                Frame::parse(bytes)
                    .ok()
                    .map(|(frame, _)| Piece::Frame(frame))
            }
            Step::OtherVersion(version) => {
                self.consume(1);
                Some(Piece::OtherVersion { version })
            }
            Step::Noise { len, damaged_frame } => {
                let range = self.consume(len);
                let bytes = self.buffer.get(range)?;
                Some(Piece::Noise {
                    bytes,
                    damaged_frame,
                })
            }
        }
    }

    /// Whether a frame has begun and not ended.
    pub fn is_waiting(&self) -> bool {
        !self.pending().is_empty()
    }

    /// Bytes waiting for the rest of their frame.
    pub fn pending(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// The rest of the frame that has begun is not coming: look behind its magic.
    pub fn abandon_partial(&mut self) {
        self.give_up_waiting = true;
    }

    fn consume(&mut self, len: usize) -> Range<usize> {
        let from = self.start;
        self.start = from.saturating_add(len).min(self.buffer.len());
        from..self.start
    }
}

fn step(bytes: &[u8], give_up_waiting: bool) -> Step {
    if bytes.is_empty() {
        return Step::Wait;
    }
    match Frame::parse(bytes) {
        Ok((_, len)) => Step::Frame(len),
        Err(FrameError::Incomplete { .. }) if !give_up_waiting => Step::Wait,
        Err(FrameError::Incomplete { .. }) => Step::Noise {
            len: 1,
            damaged_frame: true,
        },
        Err(FrameError::Version { version, .. }) => Step::OtherVersion(version),
        Err(FrameError::Magic) => Step::Noise {
            len: noise_len(bytes),
            damaged_frame: false,
        },
        Err(FrameError::Header) => Step::Noise {
            len: 1,
            damaged_frame: true,
        },
        Err(FrameError::Crc) => Step::Noise {
            len: 1,
            damaged_frame: true,
        },
    }
}

/// Bytes from the front of `bytes` (which is no magic) up to the next place where one may
/// begin.
fn noise_len(bytes: &[u8]) -> usize {
    let [first, second] = MAGIC;
    let mut from = 1_usize;
    while let Some(rest) = bytes.get(from..) {
        let Some(found) = rest.iter().position(|byte| *byte == first) else {
            return bytes.len();
        };
        let at = from.saturating_add(found);
        match bytes.get(at.saturating_add(1)) {
            None => return at,
            Some(next) if *next == second => return at,
            Some(_) => from = at.saturating_add(1),
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::kind::Kind;

    fn frame(seq: u32, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Frame::new(Kind::Message, 1, seq, payload).emit(&mut out);
        out
    }

    fn seqs(deframer: &mut Deframer) -> Vec<u32> {
        let mut found = Vec::new();
        while let Some(piece) = deframer.next_piece() {
            if let Piece::Frame(frame) = piece {
                found.push(frame.seq);
            }
        }
        found
    }

    #[test]
    fn frames_are_found_byte_by_byte_between_noise() {
        let mut stream = b"boot: hello\n\x9e".to_vec();
        stream.extend(frame(1, b"one"));
        stream.extend(b"\x9eN noise");
        stream.extend(frame(2, b"two"));
        let mut deframer = Deframer::new();
        let mut found = Vec::new();
        for byte in stream {
            deframer.push(&[byte]);
            found.extend(seqs(&mut deframer));
        }
        assert_eq!(found, [1, 2]);
    }

    #[test]
    fn a_frame_inside_a_damaged_one_is_found() {
        let inner = frame(2, b"inner");
        let mut outer = frame(1, &inner);
        let last = outer.len() - 1;
        outer[last] ^= 1;
        let mut deframer = Deframer::new();
        deframer.push(&outer);
        assert_eq!(seqs(&mut deframer), [2]);
    }

    #[test]
    fn a_frame_behind_a_cut_one_is_found_once_the_rest_is_given_up() {
        let mut stream = frame(1, &[7; 4_000]);
        stream.truncate(1_000);
        stream.extend(frame(2, b"next"));
        let mut deframer = Deframer::new();
        deframer.push(&stream);
        assert_eq!(seqs(&mut deframer), [] as [u32; 0]);
        deframer.abandon_partial();
        assert_eq!(seqs(&mut deframer), [2]);
    }

    #[test]
    fn what_is_cut_out_adds_up_to_what_went_in() {
        let mut stream = vec![0x9e; 300];
        stream.extend(frame(9, &[1; 100]));
        stream.extend(b"\x9eN\x01\x02tail");
        let mut deframer = Deframer::new();
        assert_eq!(deframer.push(&stream), stream.len());
        let mut bytes = 0;
        while let Some(piece) = deframer.next_piece() {
            bytes += match piece {
                Piece::Frame(frame) => frame.payload.len() + 20,
                Piece::OtherVersion { .. } => 1,
                Piece::Noise { bytes, .. } => bytes.len(),
            };
        }
        assert_eq!(bytes + deframer.pending().len(), stream.len());
    }

    #[test]
    fn memory_is_bounded_under_noise() {
        let mut deframer = Deframer::new();
        let noise = vec![0x9e; 3 * RX_BYTES_MAX];
        assert_eq!(deframer.push(&noise), RX_BYTES_MAX);
    }
}
