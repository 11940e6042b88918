//! `replay:FILE`, which plays the other side of a captured session.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{self, File};
use std::io::{BufReader, ErrorKind};
use std::time::Duration;

use crate::pcapng::{Direction, LINK_BYTES, Packet, Reader};
use crate::registry::{Driver, DriverRequest, Key};
use crate::{Caps, Clock, Moved, Party, Transport, TransportError, VirtualClock};

inventory::submit! {
    Driver::new("replay", open)
        .summary("plays the other side of a captured session, on virtual time")
        .syntax("replay:FILE")
        .keys(&[Key::new(
            "side",
            "whose part is ours: host (the default) gets what came in, device what went out",
        )])
}

/// How much longer than in the capture an answer waits for what it answers.
const GRACE: Duration = Duration::from_secs(1);

/// Plays the other side of a captured session, on a virtual clock of its own.
///
/// A packet of the other side that answers something of ours is delivered once as many of our
/// bytes have been taken as went before it in the capture; should we send fewer this time, once
/// [`GRACE`] more than the recorded time since its last packet has passed. A packet that answers
/// nothing new comes after the recorded time. Our bytes are counted and otherwise ignored. The
/// end of the capture closes the link in the same way.
struct Replay {
    port: String,
    party: Party,
    script: Reader,
    /// The direction of the packets that are ours.
    ours: Direction,
    /// The next of the other side's packets; none before it has been looked for, and at the end.
    next: Option<Cue>,
    ended: bool,
    /// Bytes of ours up to where the script has been read.
    ours_recorded: u64,
    /// Bytes of ours that went before the packet found last.
    ours_answered: u64,
    ours_taken: u64,
    /// When the last packet was delivered, and the time recorded for it.
    last_delivered: Duration,
    last_recorded_us: Option<u64>,
    /// Recorded time of the last packet of either side.
    newest_us: u64,
    arrived: VecDeque<u8>,
}

/// A packet and what must happen before it.
struct Cue {
    packet: Option<Packet>,
    /// Bytes of ours that it answers; none when it answers nothing new.
    answers: Option<u64>,
    due: Duration,
}

fn open(request: &DriverRequest<'_>) -> Result<Box<dyn Transport>, TransportError> {
    let port = request.port.to_owned();
    let ours = match request.params.get("side") {
        None | Some("host") => Direction::Outbound,
        Some("device") => Direction::Inbound,
        Some(_) => return Err(request.params.bad("side", "host or device")),
    };
    // A pipe would keep us waiting for its other end.
    if fs::metadata(request.target).is_ok_and(|found| !found.is_file()) {
        return Err(TransportError::NotAPort {
            port,
            what: "no regular file".to_owned(),
        });
    }
    let file = File::open(request.target).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            TransportError::NotFound { port: port.clone() }
        }
        ErrorKind::PermissionDenied => TransportError::Permission {
            port: port.clone(),
            group: None,
        },
        _ => TransportError::io("open", &port, error),
    })?;
    let mut replay = Replay {
        party: VirtualClock::new().register(&port),
        script: Reader::new(BufReader::new(file), request.target),
        port,
        ours,
        next: None,
        ended: false,
        ours_recorded: 0,
        ours_answered: 0,
        ours_taken: 0,
        last_delivered: Duration::ZERO,
        last_recorded_us: None,
        newest_us: 0,
        arrived: VecDeque::new(),
    };
    // Looked at now, so that what is no capture is found on opening.
    replay.look_ahead()?;
    Ok(Box::new(replay))
}

impl Replay {
    /// Finds the next of the other side's packets, or the end.
    fn look_ahead(&mut self) -> Result<(), TransportError> {
        while self.next.is_none() && !self.ended {
            let Some(packet) = self.script.next_packet()? else {
                self.next = Some(self.cue(None, self.newest_us));
                self.ended = true;
                return Ok(());
            };
            if packet.link_type != LINK_BYTES {
                continue;
            }
            self.newest_us = self.newest_us.max(packet.time_us);
            self.last_recorded_us.get_or_insert(packet.time_us);
            let length = u64::from(packet.original_bytes);
            if packet.direction == Some(self.ours) {
                self.ours_recorded = self.ours_recorded.saturating_add(length);
            } else if packet.direction.is_some() {
                if u64::try_from(packet.data.len()) != Ok(length) {
                    return Err(TransportError::Unsupported {
                        port: self.port.clone(),
                        what: "replaying a capture without its payloads".to_owned(),
                    });
                }
                let recorded_us = packet.time_us;
                self.next = Some(self.cue(Some(packet), recorded_us));
            }
        }
        Ok(())
    }

    fn cue(&mut self, packet: Option<Packet>, recorded_us: u64) -> Cue {
        let before = self
            .last_recorded_us
            .replace(recorded_us)
            .unwrap_or(recorded_us);
        let gap = Duration::from_micros(recorded_us.saturating_sub(before));
        let due = self.last_delivered.saturating_add(gap);
        let is_answer = self.ours_recorded > self.ours_answered;
        self.ours_answered = self.ours_recorded;
        if is_answer {
            Cue {
                packet,
                answers: Some(self.ours_recorded),
                due: due.saturating_add(GRACE),
            }
        } else {
            Cue {
                packet,
                answers: None,
                due,
            }
        }
    }

    /// Delivers every packet whose time has come; says whether that was the last.
    fn deliver(&mut self, now: Duration) -> Result<bool, TransportError> {
        // One packet at a time: what is not read yet holds the next one back.
        while self.arrived.is_empty() {
            self.look_ahead()?;
            let Some(cue) = self.next.take() else {
                return Ok(true);
            };
            let is_answered = cue.answers.is_some_and(|bytes| self.ours_taken >= bytes);
            if !is_answered && now < cue.due {
                self.next = Some(cue);
                break;
            }
            self.last_delivered = now;
            let Some(packet) = cue.packet else {
                return Ok(true);
            };
            self.arrived.extend(packet.data);
        }
        Ok(false)
    }
}

impl Transport for Replay {
    fn caps(&self) -> Caps {
        Caps::new()
            .with_hang_up(true)
            .with_lossless(true)
            .with_virtual_time(true)
    }

    fn exchange(
        &mut self,
        out: &[u8],
        inp: &mut [u8],
        timeout: Duration,
    ) -> Result<Moved, TransportError> {
        let until = self.party.take_turn_for(timeout)?;
        // What is sent after the end goes nowhere; what brings the end about is still taken.
        if self.ended && self.next.is_none() && self.arrived.is_empty() {
            return Err(TransportError::closed(&self.port));
        }
        let sent = out.len();
        self.ours_taken = self
            .ours_taken
            .saturating_add(u64::try_from(sent).unwrap_or(u64::MAX));
        loop {
            let now = self.party.now();
            let is_over = self.deliver(now)?;
            let received = self.arrived.len().min(inp.len());
            for (slot, byte) in inp.iter_mut().zip(self.arrived.drain(..received)) {
                *slot = byte;
            }
            if sent > 0 || received > 0 || now >= until {
                return Ok(Moved { sent, received });
            }
            if is_over && self.arrived.is_empty() {
                return Err(TransportError::closed(&self.port));
            }
            let due = self
                .next
                .as_ref()
                .map(|cue| cue.due)
                .filter(|due| *due > now);
            self.party.wait(due.map_or(until, |due| due.min(until)))?;
        }
    }

    /// Returns at once: what was taken has been counted.
    fn drain(&mut self, _timeout: Duration) -> Result<(), TransportError> {
        Ok(())
    }

    fn clock(&self) -> Clock {
        self.party.clock()
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}
