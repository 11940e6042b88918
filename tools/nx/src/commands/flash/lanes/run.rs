//! Runs the lanes, and takes devices as they come.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use super::arrivals::{Arrival, Arrivals, End};
use super::plan::{LANES_MAX, Many};
use super::summary::{Device, finish};
use super::wanted::Found;
use crate::cli::Ran;
use crate::commands::flash::transfer::{Sent, Transfer};
use crate::error::NxError;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::Ui;
use crate::progress::Lanes;
use crate::reason::Reason;

/// How often what is there is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Sends the image to all of them at once.
///
/// # Errors
/// The first failure among the devices. None of them keeps another from going on.
pub(crate) fn run(many: &Many, transfer: &Transfer, interrupt: &Interrupt, ui: &mut Ui) -> Ran {
    let bars = Lanes::new(ui);
    let (sender, ended) = channel();
    let devices = thread::scope(|scope| {
        let floor = Floor {
            many,
            transfer,
            interrupt,
            bars: &bars,
            sender,
            started: Instant::now(),
            arrivals: Arrivals::default(),
            told: BTreeMap::new(),
            lanes: 0,
            under_way: 0,
            done: Vec::new(),
        };
        floor.work(scope, &ended, ui)
    });
    finish(devices, transfer, ui)
}

/// How a lane ended.
struct Ended {
    lane: u32,
    found: Found,
    result: Result<Sent, NxError>,
}

/// Where the lanes are.
struct Floor<'f> {
    many: &'f Many,
    transfer: &'f Transfer,
    interrupt: &'f Interrupt,
    bars: &'f Lanes,
    sender: Sender<Ended>,
    started: Instant,
    arrivals: Arrivals,
    /// Ports without a device, of which that has been said, and why.
    told: BTreeMap<String, Reason>,
    lanes: u32,
    under_way: usize,
    done: Vec<Device>,
}

impl<'f> Floor<'f> {
    fn work<'scope>(
        mut self,
        scope: &'scope Scope<'scope, 'f>,
        ended: &Receiver<Ended>,
        ui: &mut Ui,
    ) -> Vec<Device>
    where
        'f: 'scope,
    {
        match &self.many.fixed {
            Some(fixed) => {
                for found in fixed {
                    self.begin(found.clone(), scope, ui);
                }
            }
            None => self.say_what_is_waited_for(ui),
        }
        loop {
            let waits = self.many.fixed.is_none() && !self.is_enough();
            if waits {
                self.take_what_came(scope, ui);
            } else if self.under_way == 0 {
                return self.done;
            }
            match ended.recv_timeout(LOOK_EVERY) {
                Ok(ended) => self.end(ended, ui),
                // There is always a sender: ours.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }

    /// Whether no other device is to be taken.
    fn is_enough(&self) -> bool {
        let wanted = self.many.wait_for.and_then(|n| usize::try_from(n).ok());
        self.interrupt.is_wanted() || wanted.is_some_and(|wanted| self.done.len() >= wanted)
    }

    fn say_what_is_waited_for(&self, ui: &mut Ui) {
        let ports = self.many.wanted.iter().map(|wanted| wanted.text());
        let ports = ports.collect::<Vec<_>>().join(", ");
        ui.note(format!("waiting for devices at {ports}; Ctrl-C ends it"));
    }

    fn take_what_came<'scope>(&mut self, scope: &'scope Scope<'scope, 'f>, ui: &mut Ui)
    where
        'f: 'scope,
    {
        let found: Vec<Found> = self.many.wanted.iter().flat_map(|w| w.look()).collect();
        self.told
            .retain(|place, _| found.iter().any(|found| found.place == *place));
        let room = LANES_MAX.saturating_sub(self.under_way);
        let now = self.started.elapsed();
        for arrival in self.arrivals.look(found, now, room, Found::usb) {
            match arrival {
                Arrival::New(found) => self.begin(found, scope, ui),
                Arrival::Known(found) => self.say(
                    ui,
                    &found.port,
                    "the device that is back here is done already",
                ),
            }
        }
    }

    /// Begins a lane in a thread of its own.
    fn begin<'scope>(&mut self, found: Found, scope: &'scope Scope<'scope, 'f>, ui: &Ui)
    where
        'f: 'scope,
    {
        self.lanes = self.lanes.saturating_add(1);
        let lane = self.lanes;
        let port = self.many.device(lane, &found);
        let mut ui = ui.lane(&found.port, self.bars);
        let (transfer, interrupt) = (self.transfer, self.interrupt);
        let (sender, name) = (self.sender.clone(), found.clone());
        let thread = thread::Builder::new().name(format!("lane {lane}"));
        let spawned = thread.spawn_scoped(scope, move || {
            let result = transfer.send(&port, interrupt, &mut ui);
            // The bar goes before the line that says how it ended.
            drop(ui);
            let ended = Ended {
                lane,
                found,
                result,
            };
            // The other side outlives every lane.
            let _ = sender.send(ended);
        });
        self.under_way = self.under_way.saturating_add(1);
        if let Err(error) = spawned {
            let text = format!("cannot start a thread: {error}");
            let result = Err(NxError::new(Reason::InternalUnexpected, text));
            let ended = Ended {
                lane,
                found: name,
                result,
            };
            let _ = self.sender.send(ended);
        }
    }

    fn end(&mut self, ended: Ended, ui: &mut Ui) {
        self.under_way = self.under_way.saturating_sub(1);
        let Ended {
            lane,
            found,
            result,
        } = ended;
        let waits = self.many.fixed.is_none();
        let end = match &result {
            _ if waits && nobody_there(&result) => End::NobodyThere,
            Ok(sent) if sent.result.is_ok() => End::Written,
            _ => End::Failed,
        };
        if waits {
            let (node, now) = (found.again(), self.started.elapsed());
            self.arrivals.ended(&found.place, node, end, now);
        }
        if end == End::NobodyThere {
            // The number is free if nobody came after.
            if self.lanes == lane {
                self.lanes = lane.saturating_sub(1);
            }
            self.say_why_nobody(&found, &result, ui);
            return;
        }
        self.told.remove(&found.place);
        let device = Device::new(lane, found.port, result);
        self.say(ui, &device.port, &device.line());
        self.done.push(device);
        if self.is_enough() {
            self.interrupt.enough();
        }
    }

    /// Once for each reason, while it stays.
    fn say_why_nobody(&mut self, found: &Found, result: &Result<Sent, NxError>, ui: &mut Ui) {
        let Some(error) = error_of(result) else {
            return;
        };
        let reason = error.reason();
        let known = self.told.insert(found.place.clone(), reason);
        if known != Some(reason) && reason != Reason::RunInterrupted {
            let text = format!("no device yet: {}", error.message());
            self.say(ui, &found.port, &text);
        }
    }

    fn say(&self, ui: &mut Ui, port: &str, what: &str) {
        self.bars.aside(|| ui.note(format!("{port}: {what}")));
    }
}

fn error_of(result: &Result<Sent, NxError>) -> Option<&NxError> {
    match result {
        Ok(sent) => sent.result.as_ref().err(),
        Err(error) => Some(error),
    }
}

/// Whether there was no device at all, and one may still come.
fn nobody_there(result: &Result<Sent, NxError>) -> bool {
    let met = matches!(result, Ok(sent) if sent.met);
    let may_come = |error: &NxError| {
        matches!(
            error.exit(),
            Exit::MissingDependency | Exit::DelegateFailure
        ) || error.reason() == Reason::RunInterrupted
    };
    !met && error_of(result).is_some_and(may_come)
}
