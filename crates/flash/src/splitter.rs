//! Tells a fault layer where the frames are, so that it can count them.

use nx_transport::{FrameSplitter, Split};

use crate::wire::{Frame, FrameError, MAGIC};

/// Splits a stream into the frames of this protocol and what lies between them.
#[derive(Debug, Default)]
pub struct FlashSplitter;

impl FlashSplitter {
    /// For [`nx_transport::OpenOptions`].
    pub fn boxed() -> Box<dyn FrameSplitter> {
        Box::new(Self)
    }
}

impl FrameSplitter for FlashSplitter {
    fn split(&mut self, bytes: &[u8]) -> Split {
        match Frame::parse(bytes) {
            Ok((_, len)) => Split::Frame(len),
            Err(FrameError::Incomplete { .. }) => Split::NeedMore,
            Err(FrameError::Magic) => {
                let start = MAGIC.first().copied();
                let next = bytes.iter().position(|byte| Some(*byte) == start);
                Split::Junk(next.filter(|at| *at > 0).unwrap_or(if next.is_some() {
                    1
                } else {
                    bytes.len()
                }))
            }
            Err(_) => Split::Junk(1),
        }
    }
}
