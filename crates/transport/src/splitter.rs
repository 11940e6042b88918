//! How a caller tells a layer where frames begin and end.

use std::fmt;

/// Finds the frames in a stream of bytes, for layers that act on whole frames.
///
/// One splitter sees one direction of one link, from its first byte on.
pub trait FrameSplitter: fmt::Debug + Send {
    /// Says what stands at the front of `bytes`.
    ///
    /// Called again with the same bytes and more behind them after [`Split::NeedMore`], and with
    /// what follows after anything else. A length of zero, or one beyond `bytes`, is taken as
    /// `NeedMore`.
    fn split(&mut self, bytes: &[u8]) -> Split;
}

/// What stands at the front of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// The beginning of something that is not whole yet.
    NeedMore,
    /// One whole frame of this many bytes.
    Frame(usize),
    /// This many bytes that belong to no frame.
    Junk(usize),
}
