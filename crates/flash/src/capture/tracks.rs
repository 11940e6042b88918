//! The two tracks of a capture: what the machine was told and did, and what came in.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use nx_transport::pcapng::{Direction, Packet, Reader as PcapngReader};

use super::record::{CaptureError, Record};
use super::recorder::{FRAMES_LINK_TYPE, RECORDS_LINK_TYPE};
use crate::wire::{Frame, Kind};

/// What happened next.
pub(super) enum Step {
    Sent { packet: u64, bytes: Vec<u8> },
    Record { packet: u64, record: Record },
}

/// Everything of the file but the inbound packets, in order.
#[derive(Debug)]
pub(super) struct Script {
    packets: Packets,
}

impl Script {
    pub(super) fn open(path: &Path) -> Result<Self, CaptureError> {
        Ok(Self {
            packets: Packets::open(path)?,
        })
    }

    pub(super) fn next(&mut self) -> Result<Option<Step>, CaptureError> {
        while let Some(packet) = self.packets.next()? {
            let number = self.packets.number;
            match packet.link_type {
                RECORDS_LINK_TYPE => {
                    let record = Record::parse(&packet.data).map_err(|source| {
                        let path = self.packets.path.clone();
                        CaptureError::Damaged {
                            path,
                            packet: number,
                            source,
                        }
                    })?;
                    return Ok(Some(Step::Record {
                        packet: number,
                        record,
                    }));
                }
                FRAMES_LINK_TYPE if packet.direction == Some(Direction::Outbound) => {
                    return Ok(Some(Step::Sent {
                        packet: number,
                        bytes: packet.data,
                    }));
                }
                _ => {}
            }
        }
        Ok(None)
    }
}

/// The inbound packets as one stream of bytes, each checked against its record.
#[derive(Debug)]
pub(super) struct Inbound {
    packets: Packets,
    bytes: VecDeque<u8>,
}

/// The bytes, or the packet that is not what was recorded, and why.
pub(super) type Taken = Result<Vec<u8>, (u64, String)>;

impl Inbound {
    pub(super) fn open(path: &Path) -> Result<Self, CaptureError> {
        Ok(Self {
            packets: Packets::open(path)?,
            bytes: VecDeque::new(),
        })
    }

    pub(super) fn take(&mut self, len: usize) -> Result<Taken, CaptureError> {
        while self.bytes.len() < len {
            let Some(packet) = self.packets.next()? else {
                let missing = len.saturating_sub(self.bytes.len());
                let number = self.packets.number;
                return Ok(Err((
                    number,
                    format!("{missing} inbound bytes are missing"),
                )));
            };
            let inbound = packet.link_type == FRAMES_LINK_TYPE
                && packet.direction == Some(Direction::Inbound);
            if !inbound {
                continue;
            }
            let number = self.packets.number;
            let crc = crc32fast::hash(&packet.data);
            if self.recorded_crc()? != Some(crc) {
                let what = format!(
                    "inbound {} is not what was recorded",
                    describe(&packet.data)
                );
                return Ok(Err((number, what)));
            }
            self.bytes.extend(packet.data);
        }
        Ok(Ok(self.bytes.drain(..len).collect()))
    }

    /// The record behind an inbound packet has the CRC of what arrived.
    fn recorded_crc(&mut self) -> Result<Option<u32>, CaptureError> {
        let record = self.packets.next()?;
        Ok(record.and_then(|packet| match Record::parse(&packet.data) {
            Ok(Record::Arrived(crc)) => Some(crc),
            _ => None,
        }))
    }
}

#[derive(Debug)]
struct Packets {
    path: PathBuf,
    reader: PcapngReader,
    number: u64,
}

impl Packets {
    fn open(path: &Path) -> Result<Self, CaptureError> {
        let reader = PcapngReader::open(path).map_err(|source| CaptureError::Unreadable {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        Ok(Self {
            path: path.to_owned(),
            reader,
            number: 0,
        })
    }

    fn next(&mut self) -> Result<Option<Packet>, CaptureError> {
        let packet = self
            .reader
            .next_packet()
            .map_err(|source| CaptureError::Unreadable {
                path: self.path.clone(),
                source: Box::new(source),
            })?;
        if packet.is_some() {
            self.number = self.number.saturating_add(1);
        }
        Ok(packet)
    }
}

/// What a packet with these bytes is, in a few words.
pub(super) fn describe(bytes: &[u8]) -> String {
    match Frame::parse(bytes) {
        Ok((frame, _)) => {
            let kind = Kind::from_number(frame.kind);
            let name = kind.map_or_else(|| frame.kind.to_string(), |kind| format!("{kind:?}"));
            format!("{name} seq {} ({} bytes)", frame.seq, bytes.len())
        }
        Err(_) => format!("{} bytes that are no frame", bytes.len()),
    }
}
