//! Runs a machine again from its capture, and finds where it does otherwise.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use super::record::{CaptureError, Record, Recorded, Side};
use super::tracks::{Inbound, Script, Step, describe};
use crate::machine::{Machine, RequestId};
use crate::time::Instant;
use crate::wire::Reader;

/// What a replay found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Frames that the machine sent, and that were compared.
    pub frames_sent: u64,
    /// Inbound packets: frames, and what lay between them.
    pub packets_received: u64,
    /// Events that were compared.
    pub events: u64,
    /// Time that the session took, in microseconds.
    pub micros: u64,
    /// Where the machine, or the file, first differs from what was recorded.
    pub divergence: Option<Divergence>,
}

/// The first difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Number of the packet in the file, from 1, as Wireshark counts.
    pub packet: u64,
    /// Time in the session, in microseconds.
    pub micros: u64,
    /// What differs.
    pub what: String,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.micros / 1_000_000;
        let rest = self.micros % 1_000_000;
        write!(
            f,
            "packet {} at {seconds}.{rest:06} s: {}",
            self.packet, self.what
        )
    }
}

/// A capture, opened for a replay.
#[derive(Debug)]
pub struct Replay {
    path: PathBuf,
    script: Script,
    config: Vec<u8>,
    side: Side,
    elided: bool,
}

/// Reads whose machine a capture holds.
///
/// # Errors
/// When it is no capture of a machine.
pub fn side_of(path: &Path) -> Result<Side, CaptureError> {
    Replay::open(path).map(|replay| replay.side)
}

impl Replay {
    /// Opens a capture.
    ///
    /// # Errors
    /// When the file is no capture of a machine.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let mut script = Script::open(path)?;
        let none = || CaptureError::NoMachine {
            path: path.to_owned(),
        };
        match script.next()? {
            Some(Step::Record {
                record:
                    Record::Start {
                        side,
                        elided,
                        config,
                    },
                ..
            }) => Ok(Self {
                path: path.to_owned(),
                script,
                config,
                side,
                elided,
            }),
            _ => Err(none()),
        }
    }

    /// Whose machine was captured.
    pub const fn side(&self) -> Side {
        self.side
    }

    /// Whether the image data was left out, so that the machine cannot be run again.
    pub const fn is_elided(&self) -> bool {
        self.elided
    }

    /// Gives the recorded events, as they were told, with their times; runs no machine.
    ///
    /// # Errors
    /// When the file cannot be read to its end.
    pub fn events(mut self, each: &mut dyn FnMut(Instant, &str)) -> Result<(), CaptureError> {
        let mut now = Instant::ZERO;
        while let Some(step) = self.script.next()? {
            match step {
                Step::Record {
                    record: Record::Round(at),
                    ..
                } => now = at,
                Step::Record {
                    record: Record::Event(text),
                    ..
                } => each(now, &text),
                _ => {}
            }
        }
        Ok(())
    }

    /// The configuration that the machine was made from.
    ///
    /// # Errors
    /// When the recorded bytes are none.
    pub fn config<C: Recorded>(&self) -> Result<C, CaptureError> {
        let mut fields = Reader::new(&self.config);
        C::restore(&mut fields).map_err(|source| CaptureError::Damaged {
            path: self.path.clone(),
            packet: 1,
            source,
        })
    }

    /// Runs the machine; `stop` is what the operator did, `each` sees every event.
    ///
    /// # Errors
    /// `Elided` when there is nothing to run it on; when the file cannot be read to its end.
    pub fn run<M: Machine>(
        mut self,
        machine: &mut M,
        stop: &mut dyn FnMut(&mut M, Instant),
        each: &mut dyn FnMut(Instant, &M::Event),
    ) -> Result<Replayed, CaptureError>
    where
        M::Outcome: Recorded,
    {
        if self.elided {
            let path = self.path;
            return Err(CaptureError::Elided { path });
        }
        let mut inbound = Inbound::open(&self.path)?;
        let mut found = Replayed {
            frames_sent: 0,
            packets_received: 0,
            events: 0,
            micros: 0,
            divergence: None,
        };
        let mut now = Instant::ZERO;
        let mut owed = BTreeSet::new();
        while let Some(step) = self.script.next()? {
            found.micros = now.as_micros();
            let outcome = match step {
                Step::Sent { packet, bytes } => {
                    found.frames_sent = found.frames_sent.saturating_add(1);
                    sent(machine, now, &bytes).map_err(|what| (packet, what))
                }
                Step::Record { packet, record } => match record {
                    Record::Round(at) => {
                        now = at;
                        Ok(())
                    }
                    Record::Input(len) => {
                        let wanted = usize::try_from(len).unwrap_or(usize::MAX);
                        inbound
                            .take(wanted)?
                            .map(|bytes| machine.handle_input(&bytes, now))
                    }
                    Record::Timeout => {
                        machine.handle_timeout(now);
                        Ok(())
                    }
                    Record::Closed => {
                        machine.handle_closed(now);
                        Ok(())
                    }
                    Record::Asked(id) => {
                        owed.insert(id);
                        asked(machine, id).map_err(|what| (packet, what))
                    }
                    Record::Done { id, outcome } => {
                        let was_asked = owed.remove(&id);
                        done(machine, now, id, was_asked, &outcome).map_err(|what| (packet, what))
                    }
                    Record::Event(text) => {
                        found.events = found.events.saturating_add(1);
                        event(machine, now, &text, each).map_err(|what| (packet, what))
                    }
                    Record::Idle => idle(machine, now).map_err(|what| (packet, what)),
                    Record::Stop => {
                        stop(machine, now);
                        Ok(())
                    }
                    Record::Arrived(_) => {
                        found.packets_received = found.packets_received.saturating_add(1);
                        Ok(())
                    }
                    Record::Start { .. } => {
                        Err((packet, "a second machine begins here".to_owned()))
                    }
                },
            };
            if let Err((packet, what)) = outcome {
                let micros = now.as_micros();
                found.divergence = Some(Divergence {
                    packet,
                    micros,
                    what,
                });
                break;
            }
        }
        Ok(found)
    }
}

fn sent<M: Machine>(machine: &mut M, now: Instant, recorded: &[u8]) -> Result<(), String> {
    let mut bytes = Vec::new();
    if machine.poll_transmit(now, &mut bytes).is_none() {
        return Err(format!(
            "recorded {}, now nothing is sent",
            describe(recorded)
        ));
    }
    if bytes == recorded {
        return Ok(());
    }
    let at = bytes
        .iter()
        .zip(recorded)
        .take_while(|(a, b)| a == b)
        .count();
    Err(format!(
        "recorded {}, now {} is sent; they differ from byte {at} on",
        describe(recorded),
        describe(&bytes)
    ))
}

fn idle<M: Machine>(machine: &mut M, now: Instant) -> Result<(), String> {
    let mut bytes = Vec::new();
    match machine.poll_transmit(now, &mut bytes) {
        None => Ok(()),
        Some(_) => Err(format!("nothing was sent, now {} is", describe(&bytes))),
    }
}

fn asked<M: Machine>(machine: &mut M, id: u64) -> Result<(), String> {
    let Some((asked, request)) = machine.poll_request() else {
        return Err(format!("request {id} was recorded, now there is none"));
    };
    if asked.0 != id {
        return Err(format!(
            "request {id} was recorded, now it is {}: {request:?}",
            asked.0
        ));
    }
    Ok(())
}

fn done<M: Machine>(
    machine: &mut M,
    now: Instant,
    id: u64,
    was_asked: bool,
    outcome: &[u8],
) -> Result<(), String>
where
    M::Outcome: Recorded,
{
    if !was_asked {
        asked(machine, id)?;
    }
    let outcome = M::Outcome::restore(&mut Reader::new(outcome))
        .map_err(|error| format!("the answer to request {id} is damaged: {error}"))?;
    machine.handle_done(RequestId(id), outcome, now);
    Ok(())
}

fn event<M: Machine>(
    machine: &mut M,
    now: Instant,
    recorded: &str,
    each: &mut dyn FnMut(Instant, &M::Event),
) -> Result<(), String> {
    let Some(event) = machine.poll_event() else {
        return Err(format!("event {recorded} was recorded, now there is none"));
    };
    let got = format!("{event:?}");
    if got != recorded {
        return Err(format!("event {recorded} was recorded, now it is {got}"));
    }
    each(now, &event);
    Ok(())
}
