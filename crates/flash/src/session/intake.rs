//! From the bytes of a link to frames and console lines.

use alloc::string::String;

use crate::limits::FRAME_STALL;
use crate::session::console::Console;
use crate::time::Instant;
use crate::wire::{Deframer, Frame, Piece};

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A whole, undamaged frame.
    Frame(Frame<'a>),
    /// A header of another layout version.
    OtherVersion(u8),
    /// A printable line that is no part of a frame.
    Console(String),
    /// A frame arrived damaged.
    Damaged,
}

/// Takes bytes in any pieces and tells what they are, in bounded memory.
#[derive(Debug, Default)]
pub struct Intake {
    deframer: Deframer,
    console: Console,
    stalled_at: Option<Instant>,
}

impl Intake {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes from the link and hands over what they complete.
    pub fn feed(&mut self, mut bytes: &[u8], now: Instant, each: &mut dyn FnMut(Incoming<'_>)) {
        while !bytes.is_empty() {
            let taken = self.deframer.push(bytes);
            bytes = bytes.get(taken..).unwrap_or_default();
            self.drain(each);
            if taken == 0 {
                // Only a frame larger than the limits could fill the buffer.
                self.deframer.abandon_partial();
            }
        }
        self.arm(now);
    }

    /// A frame that stopped in the middle is given up when its time has come.
    pub fn handle_timeout(&mut self, now: Instant, each: &mut dyn FnMut(Incoming<'_>)) {
        if self.stalled_at.is_some_and(|at| at <= now) {
            self.deframer.abandon_partial();
            self.drain(each);
            self.arm(now);
        }
    }

    /// When the frame that has begun is given up.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.stalled_at
    }

    fn arm(&mut self, now: Instant) {
        self.stalled_at = self.deframer.is_waiting().then(|| now.after(FRAME_STALL));
    }

    fn drain(&mut self, each: &mut dyn FnMut(Incoming<'_>)) {
        while let Some(piece) = self.deframer.next_piece() {
            match piece {
                Piece::Frame(frame) => each(Incoming::Frame(frame)),
                Piece::OtherVersion { version } => each(Incoming::OtherVersion(version)),
                Piece::Noise {
                    bytes,
                    damaged_frame,
                } => {
                    if damaged_frame {
                        each(Incoming::Damaged);
                    }
                    for byte in bytes {
                        if let Some(line) = self.console.take(*byte) {
                            each(Incoming::Console(line));
                        }
                    }
                }
            }
        }
    }
}
