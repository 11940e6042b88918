//! Writes a capture while a machine runs.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nx_transport::pcapng::{Direction, Writer};

use super::record::{CaptureError, Record, Recorded, Side};
use crate::drive::Tape;
use crate::machine::{Machine, RequestId};
use crate::time::Instant;
use crate::wire::{Deframer, Piece};

/// Link type of interface 0: the frames.
pub(super) const FRAMES_LINK_TYPE: u16 = 147;
/// Link type of interface 1: the records.
pub(super) const RECORDS_LINK_TYPE: u16 = 148;

/// A [`Tape`] into a pcapng file that only its owner can read.
///
/// The first failure to write ends the capture, not the session; [`Recorder::finish`] tells.
pub struct Recorder {
    path: PathBuf,
    writer: Writer<BufWriter<File>>,
    frames: u32,
    records: u32,
    inbound: Deframer,
    now: Instant,
    round_due: bool,
    failed: Option<CaptureError>,
}

impl Recorder {
    /// Begins a capture of one side's machine, which was made from `config`.
    ///
    /// # Errors
    /// When the file exists or cannot be made.
    pub fn create(path: &Path, side: Side, config: &impl Recorded) -> Result<Self, CaptureError> {
        let failed = |op| {
            let path = path.to_owned();
            move |source: io::Error| CaptureError::Io { op, path, source }
        };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(path).map_err(failed("create"))?;
        let mut writer = Writer::new(BufWriter::new(file)).map_err(failed("write"))?;
        let frames = writer
            .add_interface(FRAMES_LINK_TYPE, "link")
            .map_err(failed("write"))?;
        let records = writer
            .add_interface(RECORDS_LINK_TYPE, "machine")
            .map_err(failed("write"))?;
        let mut recorder = Self {
            path: path.to_owned(),
            writer,
            frames,
            records,
            inbound: Deframer::new(),
            now: Instant::ZERO,
            round_due: true,
            failed: None,
        };
        let mut bytes = Vec::new();
        config.record(&mut crate::wire::Writer::new(&mut bytes));
        recorder.append(&Record::Start {
            side,
            config: bytes,
        });
        Ok(recorder)
    }

    /// The operator stopped the machine: the replay does the same.
    pub fn stopped(&mut self) {
        self.begin();
        self.append(&Record::Stop);
    }

    /// Ends the capture.
    ///
    /// # Errors
    /// The first failure to write, if there was one.
    pub fn finish(mut self) -> Result<PathBuf, CaptureError> {
        self.rest_of_inbound();
        match self.failed.take() {
            Some(error) => Err(error),
            None => match self.writer.finish() {
                Ok(_) => Ok(self.path),
                Err(source) => Err(CaptureError::Io {
                    op: "write",
                    path: self.path,
                    source,
                }),
            },
        }
    }

    fn begin(&mut self) {
        if std::mem::take(&mut self.round_due) {
            self.append(&Record::Round(self.now));
        }
    }

    fn append(&mut self, record: &Record) {
        self.packet(self.records, None, &record.to_bytes());
    }

    fn packet(&mut self, interface: u32, direction: Option<Direction>, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        let time = self.now.as_micros();
        if let Err(source) = self.writer.packet(interface, time, direction, bytes, None) {
            let path = self.path.clone();
            self.failed = Some(CaptureError::Io {
                op: "write",
                path,
                source,
            });
        }
    }

    fn arrived(&mut self, bytes: &[u8]) {
        self.packet(self.frames, Some(Direction::Inbound), bytes);
        self.append(&Record::Arrived(crc32fast::hash(bytes)));
    }

    /// Packets are whole frames, and what lies between them.
    fn cut_inbound(&mut self) {
        let mut pieces: Vec<Vec<u8>> = Vec::new();
        let mut noise: Vec<u8> = Vec::new();
        while let Some(piece) = self.inbound.next_piece() {
            match piece {
                Piece::Frame(frame) => {
                    if !noise.is_empty() {
                        pieces.push(std::mem::take(&mut noise));
                    }
                    let mut bytes = Vec::new();
                    frame.emit(&mut bytes);
                    pieces.push(bytes);
                }
                Piece::OtherVersion { .. } => noise.extend(crate::wire::MAGIC.first()),
                Piece::Noise { bytes, .. } => noise.extend_from_slice(bytes),
            }
        }
        if !noise.is_empty() {
            pieces.push(noise);
        }
        for piece in pieces {
            self.arrived(&piece);
        }
    }

    fn rest_of_inbound(&mut self) {
        let rest = self.inbound.pending().to_vec();
        if !rest.is_empty() {
            self.arrived(&rest);
            self.inbound = Deframer::new();
        }
    }
}

impl<M: Machine> Tape<M> for Recorder
where
    M::Outcome: Recorded,
{
    fn round(&mut self, now: Instant) {
        self.round_due |= now != self.now;
        self.now = now;
    }

    fn input(&mut self, mut bytes: &[u8]) {
        self.begin();
        self.append(&Record::Input(
            u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        ));
        while !bytes.is_empty() {
            let taken = self.inbound.push(bytes);
            bytes = bytes.get(taken..).unwrap_or_default();
            self.cut_inbound();
            if taken == 0 {
                self.inbound.abandon_partial();
            }
        }
    }

    fn timeout(&mut self) {
        self.begin();
        self.append(&Record::Timeout);
    }

    fn closed(&mut self) {
        self.begin();
        self.append(&Record::Closed);
        self.rest_of_inbound();
    }

    fn done(&mut self, id: RequestId, outcome: &M::Outcome) {
        self.begin();
        let mut bytes = Vec::new();
        outcome.record(&mut crate::wire::Writer::new(&mut bytes));
        self.append(&Record::Done {
            id: id.0,
            outcome: bytes,
        });
    }

    fn transmit(&mut self, frame: &[u8]) {
        self.begin();
        self.packet(self.frames, Some(Direction::Outbound), frame);
    }

    fn event(&mut self, event: &M::Event) {
        self.begin();
        self.append(&Record::Event(format!("{event:?}")));
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
