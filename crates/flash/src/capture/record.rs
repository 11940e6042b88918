//! The records beside the frames.

use std::io;
use std::path::PathBuf;

use crate::time::Instant;
use crate::wire::{DecodeError, Reader, Writer};

/// Version of the records; another one is refused.
const FORMAT: u16 = 1;

/// Something that a capture holds and a replay gives back.
pub trait Recorded: Sized {
    /// Appends the value.
    fn record(&self, fields: &mut Writer<'_>);
    /// Reads it back.
    ///
    /// # Errors
    /// When the bytes are not what `record` writes.
    fn restore(fields: &mut Reader<'_>) -> Result<Self, DecodeError>;
    /// Whether it may hold bytes of an image, which a capture can be asked to leave out.
    fn has_image_data(&self) -> bool {
        false
    }
}

/// Whose machine was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The host's: `nx`.
    Host,
    /// The device's: `flashd`.
    Device,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The first: whose machine it is, and its recorded configuration.
    Start {
        /// Whose.
        side: Side,
        /// Image data is left out.
        elided: bool,
        /// What `Recorded::record` of the configuration wrote.
        config: Vec<u8>,
    },
    /// All calls from here on are made at this time.
    Round(Instant),
    /// `handle_input` with the next so many bytes of the inbound packets.
    Input(u32),
    /// `handle_timeout`
    Timeout,
    /// `handle_closed`
    Closed,
    /// `poll_request` gave this id, and the answer came later.
    Asked(u64),
    /// `handle_done` of this id with its recorded answer; before it, but for what was asked
    /// before, `poll_request` gave it.
    Done {
        /// The request's id.
        id: u64,
        /// What `Recorded::record` of the outcome wrote.
        outcome: Vec<u8>,
    },
    /// `poll_event` gave this, as its `Debug` text.
    Event(String),
    /// The inbound packet in front of this has this CRC-32.
    Arrived(u32),
    /// The operator stopped the machine.
    Stop,
    /// `poll_transmit` gave nothing.
    Idle,
}

impl Record {
    /// Reads a record.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Reader::new(bytes);
        Ok(match fields.u8()? {
            0 => {
                if fields.u16()? != FORMAT {
                    return Err(DecodeError::Value);
                }
                let (side, elided) = match fields.u8()? {
                    0 => (Side::Host, false),
                    1 => (Side::Device, false),
                    2 => (Side::Host, true),
                    3 => (Side::Device, true),
                    _ => return Err(DecodeError::Value),
                };
                Self::Start {
                    side,
                    elided,
                    config: fields.rest().to_vec(),
                }
            }
            1 => Self::Round(Instant::from_micros(fields.u64()?)),
            2 => Self::Input(fields.u32()?),
            3 => Self::Timeout,
            4 => Self::Closed,
            5 => Self::Done {
                id: fields.u64()?,
                outcome: fields.rest().to_vec(),
            },
            6 => Self::Event(String::from_utf8_lossy(fields.rest()).into_owned()),
            7 => Self::Arrived(fields.u32()?),
            8 => Self::Stop,
            9 => Self::Idle,
            10 => Self::Asked(fields.u64()?),
            _ => return Err(DecodeError::Value),
        })
    }

    /// The record as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut fields = Writer::new(&mut out);
        match self {
            Self::Start {
                side,
                elided,
                config,
            } => {
                let side = match (side, elided) {
                    (Side::Host, false) => 0,
                    (Side::Device, false) => 1,
                    (Side::Host, true) => 2,
                    (Side::Device, true) => 3,
                };
                fields.u8(0).u16(FORMAT).u8(side).bytes(config)
            }
            Self::Round(now) => fields.u8(1).u64(now.as_micros()),
            Self::Input(len) => fields.u8(2).u32(*len),
            Self::Timeout => fields.u8(3),
            Self::Closed => fields.u8(4),
            Self::Done { id, outcome } => fields.u8(5).u64(*id).bytes(outcome),
            Self::Event(text) => fields.u8(6).bytes(text.as_bytes()),
            Self::Arrived(crc) => fields.u8(7).u32(*crc),
            Self::Stop => fields.u8(8),
            Self::Idle => fields.u8(9),
            Self::Asked(id) => fields.u8(10).u64(*id),
        };
        out
    }
}

/// Why a capture cannot be written or replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file is a capture, and not one that a machine can be replayed from.
    #[error("{} holds no machine's records that this version can replay", path.display())]
    NoMachine {
        /// The file.
        path: PathBuf,
    },
    /// The image data was left out when it was made.
    #[error("{} holds no image data, so the machine cannot be run on it again", path.display())]
    Elided {
        /// The file.
        path: PathBuf,
    },
    /// The file says something that no capture says.
    #[error("{} is damaged: packet {packet} is no record of a machine", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The packet's number in the file, from 1.
        packet: u64,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The file is no pcapng file, or ends in the middle.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The operating system refused.
    #[error("{op} {} failed", path.display())]
    Io {
        /// What was done.
        op: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}
