//! Runs one job on a device, and shows what happens.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use nx_flash::capture::{Recorder, Side, first_nonce};
use nx_flash::drive::{Driver, NoTape, Round, Shell, Tape};
use nx_flash::host::{Event, Failure, Host, HostConfig, Job, Outcome, Progress as Cost, Request};
use nx_flash::time::Instant;
use nx_flash::wire::BusyPhase;
use nx_image::PublicKey;
use nx_transport::{Clock, Transport as _};

use super::console::Console;
use super::device_port::DevicePort;
use super::events::EventStream;
use super::lasting::{Lasting, News};
use super::shared_image::SharedImage;
use crate::error::{self, NxError};
use crate::interrupt::Interrupt;
use crate::output::Ui;
use crate::progress::Progress;
use crate::reason::Reason;

/// Time between two lines of progress among the events.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// How a job ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The device's answer, or why there is none.
    pub(crate) result: Result<Event, NxError>,
    /// The device's board, or empty.
    pub(crate) board: String,
    /// What it cost.
    pub(crate) cost: Cost,
    /// From the first byte to the last, on the link's clock.
    pub(crate) elapsed: Duration,
    /// Segments of which the device keeps its own content.
    pub(crate) kept: Vec<u8>,
    /// Whether a device was there at all.
    pub(crate) met: bool,
    /// How often the link closed and was opened again.
    pub(crate) reconnects: u32,
    /// Speed of the line in the end, in baud, if it has one.
    pub(crate) baud: Option<u32>,
}

/// Runs a job on the device behind `port`; a device in this process trusts `keys`.
///
/// # Errors
/// What is in the way of a session: the port, the capture, the events. How a session ended is no
/// error here.
pub(crate) fn run(
    port: &DevicePort,
    keys: &[PublicKey],
    job: Job,
    source: Option<&SharedImage>,
    interrupt: &Interrupt,
    ui: &mut Ui,
) -> Result<Ended, NxError> {
    if port.options.events_to_stdout() && ui.is_json() {
        let text = "--events - and --json both want standard output";
        let error = NxError::new(Reason::UsageArguments, text);
        return Err(error.hint("`--events FILE`"));
    }
    // A device that was told to start again is told once.
    let reconnects = port.options.reconnects() && !matches!(job, Job::Reboot(_));
    let mut config = HostConfig::new(nonce(port)?, job);
    config.give_up_after = port.options.patience();
    let mut events = EventStream::open(port.options.events.as_deref())?;
    let mut link = port.open(keys)?;
    config.baud = link.caps().baud;
    if let Some(fast) = port.options.fast_baud {
        match config.baud {
            Some(baud) => config.fast_baud = fast.ladder(baud),
            None => ui.note("the port has no speed that could be changed"),
        }
    }
    let mut recorder = match &port.options.capture {
        Some(path) if port.options.capture_elide => {
            Some(Recorder::create_elided(path, Side::Host, &config)?)
        }
        Some(path) => Some(Recorder::create(path, Side::Host, &config)?),
        None => None,
    };
    let clock = link.clock();
    let started = clock.now();
    let mut machine = Host::new(config);
    let mut shell = HostShell {
        source,
        ui,
        events: &mut events,
        bars: Bars::default(),
        clock: clock.clone(),
        started,
        told_at: started,
        seen: Seen::default(),
    };
    let driven = Session {
        link: &mut link,
        reconnects,
        interrupt,
    }
    .drive(&mut machine, &mut shell, recorder.as_mut());
    shell.bars.clear();
    if let Some(rest) = shell.seen.console.rest() {
        shell.ui.note(rest);
    }
    let seen = std::mem::take(&mut shell.seen);
    let captured = recorder.map_or(Ok(()), |recorder| recorder.finish().map(drop));
    let told = events.finish();
    Ok(Ended {
        board: seen.board,
        cost: machine.progress(),
        elapsed: clock.now().saturating_sub(started),
        kept: seen.kept,
        met: seen.connected,
        reconnects: seen.reconnects,
        baud: machine.baud(),
        result: match (driven, seen.failure, seen.answer) {
            (Err(error), ..) => Err(error),
            (_, Some(failure), _) => Err(match link.down() {
                Some(why) => error::link_lost(&failure, why),
                None => error::failed(&failure),
            }),
            (_, None, Some(answer)) => captured
                .map_err(NxError::from)
                .and(told)
                .map_err(NxError::job_done)
                .map(|()| answer),
            (_, None, None) => {
                let text = "the session ended without an answer";
                Err(NxError::new(Reason::InternalUnexpected, text))
            }
        },
    })
}

/// A job under way on a link.
struct Session<'s, 'l> {
    link: &'s mut Lasting<'l>,
    /// A link that closes under the job is opened again.
    reconnects: bool,
    interrupt: &'s Interrupt,
}

impl Session<'_, '_> {
    fn drive(
        &mut self,
        machine: &mut Host,
        shell: &mut HostShell<'_>,
        mut recorder: Option<&mut Recorder>,
    ) -> Result<(), NxError> {
        let mut driver = Driver::new();
        let mut none = NoTape;
        let mut stopped = false;
        loop {
            let unwanted = if shell.seen.connected {
                self.interrupt.is_wanted()
            } else {
                self.interrupt.is_wanted_unbegun()
            };
            if unwanted && !stopped {
                stopped = true;
                let now = Instant::from(self.link.clock().now());
                if let Some(recorder) = &mut recorder {
                    Tape::<Host>::round(*recorder, now);
                    recorder.stopped();
                }
                machine.stop(now);
            }
            // Whether there is a device at all is seen without opening a port again and again.
            let going = shell.seen.connected && !machine.is_leaving();
            self.link.last(self.reconnects && going);
            let tape: &mut dyn Tape<Host> = match &mut recorder {
                Some(recorder) => *recorder,
                None => &mut none,
            };
            match driver.round(self.link, machine, shell, tape)? {
                Round::Going => {}
                Round::Finished | Round::Closed => return Ok(()),
            }
            while let Some(news) = self.link.news() {
                driver.forget();
                shell.link(news);
            }
        }
    }
}

/// What tells this attempt from others: of a capture that is played back the recorded one, for
/// which its answers are, and else any number that was not used lately.
fn nonce(port: &DevicePort) -> Result<u64, NxError> {
    let spec = port.spec()?;
    let recorded = match spec.scheme.as_str() {
        // What is wrong with the file is told when it is opened as a port.
        "replay" => first_nonce(spec.target.as_ref()).ok().flatten(),
        _ => None,
    };
    Ok(recorded.unwrap_or_else(|| RandomState::new().build_hasher().finish()))
}

/// What the machine told that decides how the run ends.
#[derive(Default)]
struct Seen {
    answer: Option<Event>,
    /// The newest speed of the line, if it is not that of the beginning.
    baud: Option<u32>,
    board: String,
    connected: bool,
    console: Console,
    /// The link closed since the device named the session.
    link_closed: bool,
    reconnects: u32,
    failure: Option<Failure>,
    kept: Vec<u8>,
}

struct HostShell<'a> {
    source: Option<&'a SharedImage>,
    ui: &'a mut Ui,
    events: &'a mut EventStream,
    bars: Bars,
    clock: Clock,
    started: Duration,
    told_at: Duration,
    seen: Seen,
}

impl HostShell<'_> {
    /// Something became of the link.
    fn link(&mut self, news: News) {
        let at = self.clock.now().saturating_sub(self.started);
        self.events.link(at, news);
        let note = match news {
            News::Lost => {
                self.seen.link_closed = true;
                "the link closed; waiting for it to come back"
            }
            News::Back => {
                self.seen.reconnects = self.seen.reconnects.saturating_add(1);
                "the link is back; going on"
            }
        };
        self.note(note);
    }

    fn note(&mut self, note: &str) {
        let ui = &mut *self.ui;
        self.bars.aside(|| ui.note(note));
    }
}

impl Shell<Host> for HostShell<'_> {
    fn serve(&mut self, request: Request) -> Outcome {
        match self.source {
            Some(source) => source.serve(&request),
            None => Outcome::Failed("there is no image in this job".to_owned()),
        }
    }

    fn event(&mut self, event: Event, _machine: &Host) {
        let at = self.clock.now().saturating_sub(self.started);
        self.events.event(at, &event);
        match event {
            Event::Connected { board, .. } => {
                self.seen.board = board;
                self.seen.connected = true;
                self.seen.link_closed = false;
            }
            Event::SessionLost => {
                // The next session plans anew.
                self.seen.kept.clear();
                // Of a link that closed it is known already.
                if self.seen.link_closed {
                    return;
                }
                let note = "the device started again, or another host came: going on";
                let ui = &mut *self.ui;
                self.bars.aside(|| ui.note(note));
            }
            Event::Planned { segment, kept } => {
                if kept {
                    self.seen.kept.push(segment);
                }
            }
            Event::Busy { phase, done, total } => self.bars.busy(self.ui, phase, done, total),
            Event::Console(line) if self.seen.console.shows(at) => {
                let ui = &mut *self.ui;
                self.bars.aside(|| ui.device(&line));
            }
            Event::Failed(failure) => self.seen.failure = Some(failure),
            Event::Installed { .. }
            | Event::Verified { .. }
            | Event::Info(..)
            | Event::Rebooting(_) => self.seen.answer = Some(event),
            Event::BaudChanged { baud } => {
                let before = self.seen.baud.replace(baud);
                if before.is_some_and(|before| baud < before) {
                    self.note(&format!("the line is back at {baud} baud"));
                }
            }
            Event::Accepted => {
                if let Some(baud) = self.seen.baud {
                    self.note(&format!("the line runs at {baud} baud"));
                }
            }
            Event::Console(_) | Event::Finished => {}
        }
    }

    fn tick(&mut self, machine: &mut Host, _now: Instant) {
        let now = self.clock.now();
        if now.saturating_sub(self.told_at) < PROGRESS_EVERY {
            return;
        }
        self.told_at = now;
        let cost = machine.progress();
        if cost.blocks_needed > 0 {
            self.events
                .progress(now.saturating_sub(self.started), &cost);
            let block = self.source.map_or(0, |source| source.map().block_bytes());
            let bytes = |blocks: u32| u64::from(blocks).saturating_mul(u64::from(block));
            let (sent, needed) = (bytes(cost.blocks_sent), bytes(cost.blocks_needed));
            self.bars.sending(self.ui, sent, needed);
        }
    }
}

/// The one step that is drawn now.
#[derive(Default)]
struct Bars {
    drawn: Option<(Step, Progress)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Sending,
    Busy(BusyPhase),
}

impl Step {
    const fn text(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Busy(BusyPhase::Survey) => "device looks at what it has",
            Self::Busy(BusyPhase::ReadBack) => "device reads back",
            Self::Busy(BusyPhase::Install) => "device installs",
            Self::Busy(BusyPhase::Verify) => "device digests",
        }
    }
}

impl Bars {
    fn sending(&mut self, ui: &Ui, sent: u64, needed: u64) {
        // The device says by itself when it does something else.
        if sent < needed || self.drawn.is_none() {
            self.draw(ui, Step::Sending, sent, needed);
        }
    }

    fn busy(&mut self, ui: &Ui, phase: BusyPhase, done: u64, total: u64) {
        self.draw(ui, Step::Busy(phase), done, total);
    }

    fn draw(&mut self, ui: &Ui, step: Step, at: u64, total: u64) {
        let same = matches!(&self.drawn, Some((drawn, _)) if *drawn == step);
        if !same {
            self.clear();
        }
        let fresh = || (step, Progress::bytes(ui, step.text(), total));
        self.drawn.get_or_insert_with(fresh).1.at_of(at, total);
    }

    fn aside(&self, print: impl FnOnce()) {
        match &self.drawn {
            Some((_, progress)) => progress.aside(print),
            None => print(),
        }
    }

    fn clear(&mut self) {
        if let Some((_, progress)) = self.drawn.take() {
            progress.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_that_is_kept_in_a_session_and_in_the_next_is_kept_once() {
        let (mut ui, mut events) = (Ui::stdio(false), EventStream::open(None).unwrap());
        let clock = Clock::monotonic();
        let mut shell = HostShell {
            source: None,
            ui: &mut ui,
            events: &mut events,
            bars: Bars::default(),
            started: clock.now(),
            told_at: clock.now(),
            clock,
            seen: Seen::default(),
        };
        let host = Host::new(HostConfig::new(1, Job::Info));
        let planned = |segment, kept| Event::Planned { segment, kept };
        for link_closed in [false, true] {
            shell.seen.link_closed = link_closed;
            shell.event(planned(0, false), &host);
            shell.event(planned(3, true), &host);
            shell.event(Event::SessionLost, &host);
        }
        shell.event(planned(3, true), &host);
        assert_eq!(shell.seen.kept, [3]);
    }
}
