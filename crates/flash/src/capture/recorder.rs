//! Writes a capture while a machine runs.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nx_image::digest::Digest;
use nx_transport::pcapng::{Direction, Writer};

use super::record::{CaptureError, Record, Recorded, Side};
use crate::drive::Tape;
use crate::limits::{DATA_ADDRESS_BYTES, HEADER_BYTES, PACKED_FRONT_BYTES};
use crate::machine::{Machine, RequestId};
use crate::time::Instant;
use crate::wire::{Deframer, Frame, Kind, Piece};

/// Link type of interface 0: the frames.
pub(super) const FRAMES_LINK_TYPE: u16 = 147;
/// Link type of interface 1: the records.
pub(super) const RECORDS_LINK_TYPE: u16 = 148;

/// Of the record of an answer: its kind and the request's id.
const DONE_HEAD_BYTES: usize = 9;

/// A [`Tape`] into a pcapng file that only its owner can read.
///
/// The first failure to write ends the capture, not the session; [`Recorder::finish`] tells.
pub struct Recorder {
    path: PathBuf,
    writer: Writer<BufWriter<File>>,
    frames: u32,
    records: u32,
    inbound: Deframer,
    side: Side,
    elides: bool,
    now: Instant,
    round_due: bool,
    /// Something happened since the machine last had nothing to say.
    idle_due: bool,
    failed: Option<CaptureError>,
}

impl Recorder {
    /// Begins a capture of one side's machine, which was made from `config`.
    ///
    /// # Errors
    /// When the file exists or cannot be made.
    pub fn create(path: &Path, side: Side, config: &impl Recorded) -> Result<Self, CaptureError> {
        Self::begin_file(path, side, config, false)
    }

    /// The same, for a capture without image data, from which no machine can be run again.
    ///
    /// Of every `DATA` frame and every answer that has bytes, and on the device's side of what is
    /// no frame, only the head is kept; the packet's comment has the number and the SHA-256 of the
    /// bytes left out.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_elided(
        path: &Path,
        side: Side,
        config: &impl Recorded,
    ) -> Result<Self, CaptureError> {
        Self::begin_file(path, side, config, true)
    }

    fn begin_file(
        path: &Path,
        side: Side,
        config: &impl Recorded,
        elides: bool,
    ) -> Result<Self, CaptureError> {
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
            side,
            elides,
            now: Instant::ZERO,
            round_due: true,
            idle_due: true,
            failed: None,
        };
        let mut bytes = Vec::new();
        config.record(&mut crate::wire::Writer::new(&mut bytes));
        recorder.append(&Record::Start {
            side,
            elided: elides,
            config: bytes,
        });
        Ok(recorder)
    }

    /// The first failure to write, which ended the capture.
    pub const fn failure(&self) -> Option<&CaptureError> {
        self.failed.as_ref()
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
        self.idle_due = true;
        if std::mem::take(&mut self.round_due) {
            self.append(&Record::Round(self.now));
        }
    }

    fn append(&mut self, record: &Record) {
        self.packet(self.records, None, &record.to_bytes(), usize::MAX);
    }

    /// Adds a packet, of which the first `keep` bytes are no image data.
    fn packet(&mut self, interface: u32, direction: Option<Direction>, bytes: &[u8], keep: usize) {
        if self.failed.is_some() {
            return;
        }
        let time = self.now.as_micros();
        let written = match bytes.split_at_checked(keep) {
            Some((head, rest)) if self.elides && !rest.is_empty() => {
                let comment = format!(
                    "{} bytes left out, SHA-256 {}",
                    rest.len(),
                    Digest::of(rest)
                );
                let whole = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                let comment = Some(comment.as_str());
                self.writer
                    .packet_cut(interface, time, direction, head, whole, comment)
            }
            _ => self.writer.packet(interface, time, direction, bytes, None),
        };
        if let Err(source) = written {
            let path = self.path.clone();
            self.failed = Some(CaptureError::Io {
                op: "write",
                path,
                source,
            });
        }
    }

    fn arrived(&mut self, bytes: &[u8], keep: usize) {
        self.packet(self.frames, Some(Direction::Inbound), bytes, keep);
        self.append(&Record::Arrived(crc32fast::hash(bytes)));
    }

    /// Packets are whole frames, and what lies between them.
    fn cut_inbound(&mut self) {
        let mut pieces: Vec<(Vec<u8>, usize)> = Vec::new();
        let keep = self.kept_of_noise();
        let mut noise: Vec<u8> = Vec::new();
        while let Some(piece) = self.inbound.next_piece() {
            match piece {
                Piece::Frame(frame) => {
                    if !noise.is_empty() {
                        pieces.push((std::mem::take(&mut noise), keep));
                    }
                    let mut bytes = Vec::new();
                    frame.emit(&mut bytes);
                    let keep = kept_of_frame(&bytes);
                    pieces.push((bytes, keep));
                }
                Piece::OtherVersion { .. } => noise.extend(crate::wire::MAGIC.first()),
                Piece::Noise { bytes, .. } => noise.extend_from_slice(bytes),
            }
        }
        if !noise.is_empty() {
            pieces.push((noise, keep));
        }
        for (piece, keep) in pieces {
            self.arrived(&piece, keep);
        }
    }

    /// What reaches a device and is no frame may be what is left of one with image data.
    const fn kept_of_noise(&self) -> usize {
        match self.side {
            Side::Host => usize::MAX,
            Side::Device => 0,
        }
    }

    fn rest_of_inbound(&mut self) {
        let rest = self.inbound.pending().to_vec();
        if !rest.is_empty() {
            self.arrived(&rest, self.kept_of_noise());
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

    fn asked(&mut self, id: RequestId) {
        self.begin();
        self.append(&Record::Asked(id.0));
    }

    fn done(&mut self, id: RequestId, outcome: &M::Outcome) {
        self.begin();
        let mut bytes = Vec::new();
        outcome.record(&mut crate::wire::Writer::new(&mut bytes));
        let record = Record::Done {
            id: id.0,
            outcome: bytes,
        };
        let keep = if outcome.has_image_data() {
            DONE_HEAD_BYTES
        } else {
            usize::MAX
        };
        self.packet(self.records, None, &record.to_bytes(), keep);
    }

    fn transmit(&mut self, frame: &[u8]) {
        self.begin();
        let keep = kept_of_frame(frame);
        self.packet(self.frames, Some(Direction::Outbound), frame, keep);
    }

    fn idle(&mut self) {
        // A machine that had nothing to say and was told nothing since has nothing to say.
        if self.idle_due {
            self.begin();
            self.append(&Record::Idle);
            self.idle_due = false;
        }
    }

    fn event(&mut self, event: &M::Event) {
        self.begin();
        self.append(&Record::Event(format!("{event:?}")));
    }
}

/// A frame's header, and what is in front of image data.
fn kept_of_frame(frame: &[u8]) -> usize {
    let kind = Frame::parse(frame).map(|(frame, _)| frame.kind);
    match kind.ok().and_then(Kind::from_number) {
        Some(Kind::Data) => HEADER_BYTES.saturating_add(DATA_ADDRESS_BYTES),
        Some(Kind::Packed) => HEADER_BYTES.saturating_add(PACKED_FRONT_BYTES),
        _ => usize::MAX,
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
