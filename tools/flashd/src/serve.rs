//! Serves one session after another.

use std::io::{self, Stdout, Write as _};
use std::time::Duration;

use nx_flash::capture::{Recorder, Side};
use nx_flash::device::{Device, DeviceConfig, Event, Outcome, Request};
use nx_flash::drive::{Driver, NoTape, Round, Shell, Tape};
use nx_flash::machine::{Machine as _, RequestId};
use nx_flash::splitter::FlashSplitter;
use nx_flash::storage::{Store, Worker};
use nx_flash::time::Instant;
use nx_flash::wire::AbortReason;
use nx_reset::hold;
use nx_transport::{Clock, OpenOptions, PortSpec, Transport, TransportError, open};

use crate::anchors;
use crate::args::Args;
use crate::backing::{self, Backing};
use crate::error::FlashdError;
use crate::markers::Markers;
use crate::stop::Stop;

/// Pause before a port that went away is opened again.
const REOPEN_EVERY: Duration = Duration::from_millis(500);
/// How long the last words to a host may take to leave.
const FAREWELL: Duration = Duration::from_secs(1);
/// Time after which an answer of the store is waited for once more.
const SETTLE: Duration = Duration::from_secs(1);

/// Serves until told to stop; with `--once`, until the first session has ended.
pub(crate) fn serve(args: &Args) -> Result<(), FlashdError> {
    let port = args.port.as_ref().ok_or(FlashdError::NoPort)?;
    let keys = anchors::read(&args.keys, args.anchors.as_deref())?;
    let _hold = args.state.as_deref().map(hold).transpose()?;
    let Backing {
        store,
        boot,
        fell_back,
    } = backing::open(args)?;
    let mut config = DeviceConfig::new(keys, boot);
    let store = Worker::start(store).map_err(FlashdError::Thread)?;
    config.board.clone_from(&args.board);
    config.profile = args.profile.into();
    config.policy = args.policy.into();
    let mut options = OpenOptions::new()
        .with_splitter(FlashSplitter::boxed)
        .with_remote(args.allow_remote);
    options.connect_timeout = Duration::from_secs(5);
    let stop = Stop::watch()?;
    let link = open(port, &options)?;
    // Hosts call at the speed that it is opened at.
    config.baud = link.caps().baud;
    let recorder = match &args.capture {
        Some(path) if args.capture_elide => {
            Some(Recorder::create_elided(path, Side::Device, &config)?)
        }
        Some(path) => Some(Recorder::create(path, Side::Device, &config)?),
        None => None,
    };
    let mut served = Served {
        machine: Device::new(config),
        shell: DeviceShell::new(store, !link.caps().virtual_time),
        recorder,
        driver: Driver::new(),
        capture_lost: false,
    };
    if let Some(slot) = fell_back {
        served.shell.markers.fell_back(slot);
    }
    served.shell.markers.ready();
    let result = served.run(link, port, &options, args.once, &stop);
    let captured = match served.recorder.take() {
        Some(recorder) => recorder.finish().map(drop),
        None => Ok(()),
    };
    result?;
    captured?;
    Ok(())
}

/// A device at work.
struct Served {
    machine: Device,
    shell: DeviceShell,
    recorder: Option<Recorder>,
    driver: Driver,
    /// That the capture failed has been said.
    capture_lost: bool,
}

impl Served {
    fn run(
        &mut self,
        mut link: Box<dyn Transport>,
        port: &PortSpec,
        options: &OpenOptions,
        once: bool,
        stop: &Stop,
    ) -> Result<(), FlashdError> {
        loop {
            if stop.is_wanted() {
                self.stop(&link.clock());
                return Ok(());
            }
            let gone = match self.round(&mut *link) {
                Ok(Round::Going) => false,
                Ok(Round::Finished | Round::Closed) => true,
                Err(error) => {
                    self.lost(&link.clock());
                    self.shell.warn(&chain(&error));
                    true
                }
            };
            self.tell_lost_capture();
            if once && let Some(end) = self.shell.ended {
                if !gone {
                    self.part(&mut *link);
                }
                return end.judge();
            }
            // A link that listens waits for the next peer by itself; virtual time ends with its
            // only peer.
            let caps = link.caps();
            if gone && caps.virtual_time {
                return Ok(());
            }
            if gone && !caps.serves_next_peer {
                // What is open exclusively has to be closed first.
                drop(link);
                match self.reopen(port, options, stop)? {
                    Some(opened) => link = opened,
                    None => return Ok(()),
                }
            }
        }
    }

    /// A capture that ends early is told while there is time to make another.
    fn tell_lost_capture(&mut self) {
        let failure = self.recorder.as_ref().and_then(Recorder::failure);
        if let Some(error) = failure.filter(|_| !self.capture_lost) {
            self.capture_lost = true;
            self.shell
                .warn(&format!("the capture ends here: {}", chain(error)));
        }
    }

    fn round(&mut self, link: &mut dyn Transport) -> Result<Round, TransportError> {
        let mut none = NoTape;
        let tape: &mut dyn Tape<Device> = match &mut self.recorder {
            Some(recorder) => recorder,
            None => &mut none,
        };
        self.driver
            .round(link, &mut self.machine, &mut self.shell, tape)
    }

    /// The link failed: the session is over, and what was received is made durable.
    fn lost(&mut self, clock: &Clock) {
        let now = Instant::from(clock.now());
        self.driver.forget();
        if let Some(recorder) = &mut self.recorder {
            Tape::<Device>::round(recorder, now);
            Tape::<Device>::closed(recorder);
        }
        self.machine.handle_closed(now);
        self.settle(now);
    }

    /// Told to stop: the session is over, and what was received is made durable.
    fn stop(&mut self, clock: &Clock) {
        let now = Instant::from(clock.now());
        if let Some(recorder) = &mut self.recorder {
            Tape::<Device>::round(recorder, now);
            recorder.stopped();
        }
        self.machine.stop();
        self.settle(now);
    }

    /// Answers what is still asked, and tells what is still to be told.
    fn settle(&mut self, now: Instant) {
        loop {
            let answer = if let Some((id, request)) = self.machine.poll_request() {
                let outcome = self.shell.take(id, request);
                if outcome.is_none()
                    && let Some(recorder) = &mut self.recorder
                {
                    Tape::<Device>::asked(recorder, id);
                }
                outcome.map(|outcome| (id, outcome))
            } else if self.shell.owes_answers() {
                self.shell.answer(SETTLE)
            } else {
                break;
            };
            if let Some((id, outcome)) = answer {
                if let Some(recorder) = &mut self.recorder {
                    Tape::<Device>::done(recorder, id, &outcome);
                }
                self.machine.handle_done(id, outcome, now);
            }
        }
        while let Some(event) = self.machine.poll_event() {
            if let Some(recorder) = &mut self.recorder {
                Tape::<Device>::event(recorder, &event);
            }
            self.shell.event(event, &self.machine);
        }
    }

    /// Sees to it that the last acknowledgement reaches the host.
    fn part(&mut self, link: &mut dyn Transport) {
        let clock = link.clock();
        let until = clock.now().saturating_add(FAREWELL);
        while clock.now() < until {
            match self.round(link) {
                Ok(Round::Going) => {}
                // It has heard, and is gone.
                Ok(Round::Finished | Round::Closed) | Err(_) => return,
            }
        }
        // Nothing more can be done for a host that does not listen.
        let _ = link.drain(FAREWELL);
    }

    /// Waits for a port to come back; none if told to stop meanwhile.
    fn reopen(
        &mut self,
        port: &PortSpec,
        options: &OpenOptions,
        stop: &Stop,
    ) -> Result<Option<Box<dyn Transport>>, FlashdError> {
        let clock = Clock::monotonic();
        let mut said = false;
        loop {
            if stop.is_wanted() {
                self.stop(&clock);
                return Ok(None);
            }
            match open(port, options) {
                Ok(link) => return Ok(Some(link)),
                Err(error) if may_come_back(&error) => {
                    if !std::mem::replace(&mut said, true) {
                        self.shell
                            .warn(&format!("waiting for the port: {}", chain(&error)));
                    }
                }
                Err(error) => return Err(error.into()),
            }
            clock.sleep_until(clock.now().saturating_add(REOPEN_EVERY));
        }
    }
}

/// A port that was there once: an adapter may be plugged in again, a peer may start again.
fn may_come_back(error: &TransportError) -> bool {
    error.is_retryable()
        || matches!(
            error,
            TransportError::NotFound { .. }
                | TransportError::Busy { .. }
                | TransportError::Permission { .. }
                | TransportError::Io { .. }
        )
}

fn chain(error: &dyn std::error::Error) -> String {
    let source = error.source();
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The host was done, or its operator stopped it.
    Done,
    /// The host was done after a refusal.
    Refused,
    /// It fell silent, went away or gave up.
    BrokenOff,
}

impl End {
    const fn judge(self) -> Result<(), FlashdError> {
        match self {
            Self::Done => Ok(()),
            Self::Refused => Err(FlashdError::Refused),
            Self::BrokenOff => Err(FlashdError::BrokenOff),
        }
    }
}

/// What surrounds the device's machine.
struct DeviceShell {
    store: Worker<Box<dyn Store>>,
    /// The store may take its own time.
    in_real_time: bool,
    markers: Markers<Stdout>,
    /// Something was refused in this session.
    refused: bool,
    /// How the newest session ended, if it has.
    ended: Option<End>,
}

impl DeviceShell {
    fn new(store: Worker<Box<dyn Store>>, in_real_time: bool) -> Self {
        Self {
            store,
            in_real_time,
            markers: Markers::to(io::stdout()),
            refused: false,
            ended: None,
        }
    }

    fn tell_failure(&self, outcome: &Outcome) {
        if let Outcome::Failed(error) = outcome {
            self.warn(&format!("storage: {error}"));
        }
    }

    fn warn(&self, text: &str) {
        // There is nowhere else to say it.
        let _ = writeln!(io::stderr(), "flashd: {}", text.escape_debug());
    }
}

impl Shell<Device> for DeviceShell {
    fn serve(&mut self, request: Request) -> Outcome {
        let outcome = self.store.serve(request);
        self.tell_failure(&outcome);
        outcome
    }

    fn take(&mut self, id: RequestId, request: Request) -> Option<Outcome> {
        if !self.in_real_time {
            return Some(self.serve(request));
        }
        let outcome = self.store.take(id, request)?;
        self.tell_failure(&outcome);
        Some(outcome)
    }

    fn answer(&mut self, patience: Duration) -> Option<(RequestId, Outcome)> {
        let (id, outcome) = self.store.answer(patience)?;
        self.tell_failure(&outcome);
        Some((id, outcome))
    }

    fn owes_answers(&self) -> bool {
        self.store.owes_answers()
    }

    fn event(&mut self, event: Event, _machine: &Device) {
        self.markers.event(&event);
        match event {
            Event::Hello { .. } => {
                self.refused = false;
                self.ended = None;
            }
            Event::Rejected { .. } => self.refused = true,
            Event::Tolerated(code) => {
                self.warn(&format!(
                    "the policy lets pass what a strict one refuses: {code}"
                ));
            }
            Event::Ended(_) if self.refused => self.ended = Some(End::Refused),
            Event::Ended(AbortReason::Failed) | Event::TimedOut | Event::Closed => {
                self.ended = Some(End::BrokenOff);
            }
            Event::Ended(AbortReason::Finished | AbortReason::Operator) => {
                self.ended = Some(End::Done);
            }
            _ => {}
        }
    }
}
