//! The host's machine: from `HELLO` to the end of the session.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::vec::Vec;

use crate::host::calling::Calling;
use crate::host::config::HostConfig;
use crate::host::event::{Event, Failure, Job, Outcome, Request};
use crate::host::job::Running;
use crate::host::progress::Progress;
use crate::host::speed::Speed;
use crate::limits::REMIND_AFTER;
use crate::machine::{Machine, RequestId};
use crate::session::{Channel, Handled, Incoming, Intake};
use crate::speed::SpeedChange;
use crate::time::Instant;
use crate::wire::{AbortReason, BAUD_BIT, Baud, Busy, Frame, FromDevice, Hello, Kind};

/// Where the host is.
#[derive(Debug)]
pub(super) enum State {
    /// Asking for a session.
    Calling(Calling),
    /// In one.
    Running { channel: Channel, job: Box<Running> },
    /// The job is over: telling the device.
    Leaving {
        channel: Channel,
        until: Instant,
        outcome: Box<Event>,
    },
    /// Nothing left to do.
    Ended,
}

/// The host's half of the protocol. No I/O, no clock.
#[derive(Debug)]
pub struct Host {
    pub(super) config: HostConfig,
    pub(super) nonce: u64,
    pub(super) state: State,
    intake: Intake,
    pub(super) events: VecDeque<Event>,
    pub(super) asked: BTreeMap<RequestId, Request>,
    next_request: u64,
    pub(super) last_progress: Instant,
    /// When anything of the session was heard, or the device was reminded of it.
    pub(super) last_heard: Instant,
    started: bool,
    /// Lost one soon after the other in the same boot of the device.
    pub(super) sessions_lost: u32,
    /// When the session began.
    pub(super) session_since: Instant,
    /// The device's boot, once it is known.
    pub(super) boot: Option<u32>,
    pub(super) frames_seen: bool,
    /// What this host sent came back.
    pub(super) echo_seen: bool,
    /// Of sessions that are over.
    pub(super) past: Progress,
    pub(super) received_bytes: u64,
    damaged_frames: u64,
    pub(super) speed: Speed,
}

impl Host {
    /// A host that has said nothing yet.
    pub fn new(config: HostConfig) -> Self {
        Self {
            nonce: config.nonce,
            speed: Speed::new(config.baud, &config.fast_baud),
            config,
            state: State::Calling(Calling::new(Instant::ZERO)),
            intake: Intake::new(),
            events: VecDeque::new(),
            asked: BTreeMap::new(),
            next_request: 0,
            last_progress: Instant::ZERO,
            last_heard: Instant::ZERO,
            started: false,
            sessions_lost: 0,
            session_since: Instant::ZERO,
            boot: None,
            frames_seen: false,
            echo_seen: false,
            past: Progress::default(),
            received_bytes: 0,
            damaged_frames: 0,
        }
    }

    /// The job that it was made for.
    pub const fn job(&self) -> &Job {
        &self.config.job
    }

    /// Whether the job is over, and all that is left is to tell the device.
    pub const fn is_leaving(&self) -> bool {
        matches!(self.state, State::Leaving { .. } | State::Ended)
    }

    /// The line's speed in baud, where it is known.
    pub fn baud(&self) -> Option<u32> {
        self.speed.baud()
    }

    /// How far the job is.
    pub fn progress(&self) -> Progress {
        let mut progress = self.past;
        progress.received_bytes = self.received_bytes;
        progress.damaged_frames = self.damaged_frames;
        match &self.state {
            State::Running { channel, job } => {
                progress.add_channel(channel);
                progress.add_job(job);
            }
            State::Leaving { channel, .. } => progress.add_channel(channel),
            State::Calling(_) | State::Ended => {}
        }
        progress
    }

    /// The operator stops the job: the device is told, and what was sent is kept.
    pub fn stop(&mut self, now: Instant) {
        self.fail(Failure::Stopped, now);
    }

    fn start(&mut self, now: Instant) {
        if !self.started {
            self.started = true;
            self.last_progress = now;
        }
    }

    fn incoming(&mut self, incoming: Incoming<'_>, now: Instant) {
        match incoming {
            Incoming::Frame(frame) => {
                // A terminal sends back what it gets, and so does a plug that joins the wires:
                // that is no device.
                let is_hello = frame.kind == Kind::Hello.number();
                self.frames_seen |= !is_hello;
                self.echo_seen |= is_hello
                    && Hello::parse(frame.payload).is_ok_and(|hello| hello.nonce == self.nonce);
                self.frame(&frame, now);
            }
            Incoming::OtherVersion(version) => {
                if !self.frames_seen {
                    let (min, max) = (version, version);
                    self.fail(Failure::Version { min, max }, now);
                }
            }
            // Half of a line's sides speak at another speed than the others listen.
            Incoming::Console(_) if self.speed.is_moving() => {}
            // How the job ended is the last that is told.
            Incoming::Console(_) if matches!(self.state, State::Ended) => {}
            Incoming::Console(line) => self.events.push_back(Event::Console(line)),
            Incoming::Damaged => self.damaged_frames = self.damaged_frames.saturating_add(1),
        }
    }

    fn frame(&mut self, frame: &Frame<'_>, now: Instant) {
        match Kind::from_number(frame.kind) {
            Some(Kind::Welcome) => self.welcome(frame, now),
            Some(Kind::Refuse) => self.refused(frame, now),
            _ => self.session_frame(frame, now),
        }
    }

    fn session_frame(&mut self, frame: &Frame<'_>, now: Instant) {
        match &mut self.state {
            State::Leaving { channel, .. } if frame.session == channel.session() => {
                if let Some(baud) = Baud::of(frame) {
                    self.speed.frame(baud, now);
                }
                channel.handle_frame(frame, now);
                while channel.next_message().is_some() {}
                if channel.queued() == 0 {
                    self.leave();
                }
            }
            State::Running { channel, job } if frame.session == channel.session() => {
                self.last_heard = now;
                self.speed.heard(now);
                if let Some(baud) = Baud::of(frame) {
                    self.speed.frame(baud, now);
                    return;
                }
                if Kind::from_number(frame.kind) == Some(Kind::Busy) {
                    if let Ok(busy) = Busy::parse(frame.payload) {
                        let Busy { phase, done, total } = busy;
                        if job.working.got_on(phase, done) {
                            self.last_progress = now;
                        }
                        self.events.push_back(Event::Busy { phase, done, total });
                    }
                    return;
                }
                let queued = channel.queued();
                if channel.handle_frame(frame, now) == Handled::Foreign {
                    return;
                }
                let heard = channel.queued() < queued;
                let mut ended = None;
                while let Some(body) = channel.next_message() {
                    let answer = FromDevice::parse(&body)
                        .map_err(|error| Failure::Protocol(format!("message: {error}")))
                        .and_then(|message| job.message(message, channel));
                    match answer {
                        Ok((event, false)) => self.events.extend(event),
                        Ok((Some(event), true)) => ended = Some(Ok(event)),
                        Ok((None, true)) => {}
                        Err(failure) => ended = Some(Err(failure)),
                    }
                }
                job.settle(channel);
                // Words alone get a job nowhere.
                if job.take_moved_on() || heard {
                    self.last_progress = now;
                }
                match ended {
                    Some(Ok(event)) => {
                        self.events.push_back(event);
                        self.part(AbortReason::Finished, Event::Finished, now);
                    }
                    Some(Err(failure)) => self.fail(failure, now),
                    None => {}
                }
            }
            _ => {}
        }
    }
}

impl Machine for Host {
    type Event = Event;
    type Request = Request;
    type Outcome = Outcome;

    fn handle_input(&mut self, bytes: &[u8], now: Instant) {
        self.start(now);
        let len = u64::try_from(bytes.len()).unwrap_or(0);
        self.received_bytes = self.received_bytes.saturating_add(len);
        let mut intake = core::mem::take(&mut self.intake);
        intake.feed(bytes, now, &mut |incoming| self.incoming(incoming, now));
        self.intake = intake;
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.start(now);
        let is_running = matches!(self.state, State::Running { .. });
        if is_running || self.speed.is_moving() {
            self.speed.handle_timeout(now);
            if self.speed.is_moving() {
                // That takes a bounded time, and is no fault of the job's.
                self.last_progress = now;
            }
        }
        let mut intake = core::mem::take(&mut self.intake);
        intake.handle_timeout(now, &mut |incoming| self.incoming(incoming, now));
        self.intake = intake;
        match &mut self.state {
            State::Calling(calling) => calling.handle_timeout(now),
            State::Running { channel, job } => {
                if self.last_heard.after(REMIND_AFTER) <= now && !self.speed.is_moving() {
                    self.last_heard = now;
                    channel.remind();
                }
                channel.handle_timeout(now);
                job.settle(channel);
            }
            State::Leaving { until, .. } if *until <= now => self.leave(),
            State::Leaving { channel, .. } => channel.handle_timeout(now),
            State::Ended => {}
        }
        if matches!(self.state, State::Calling(_) | State::Running { .. }) {
            self.give_up(now);
        }
    }

    fn handle_closed(&mut self, now: Instant) {
        self.start(now);
        match self.state {
            State::Leaving { .. } => self.leave(),
            State::Ended => {}
            State::Calling(_) | State::Running { .. } => {
                self.remember();
                self.state = State::Ended;
                self.events.push_back(Event::Failed(Failure::Closed));
            }
        }
    }

    fn handle_done(&mut self, id: RequestId, outcome: Outcome, now: Instant) {
        let Some(request) = self.asked.remove(&id) else {
            return;
        };
        if let Outcome::Speed { held } = outcome {
            self.speed.done(held, now);
            return;
        }
        if let State::Running { job, .. } = &mut self.state
            && let Err(failure) = job.done(&request, outcome)
        {
            self.fail(failure, now);
        }
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<usize> {
        self.start(now);
        match &mut self.state {
            State::Calling(calling) => {
                let speed = if self.speed.is_wanted() { BAUD_BIT } else { 0 };
                let codecs = self.config.codecs | speed;
                let len = calling.poll_transmit(&self.config, self.nonce, codecs, now, out)?;
                let sent = u64::try_from(len).unwrap_or(0);
                self.past.wire_bytes = self.past.wire_bytes.saturating_add(sent);
                Some(len)
            }
            State::Running { channel, .. } | State::Leaving { channel, .. }
                if self.speed.is_moving() =>
            {
                let baud = self.speed.poll_transmit(now)?;
                Some(say_baud(channel, baud, out))
            }
            State::Running { channel, job } => {
                if let Some(baud) = self.speed.poll_transmit(now) {
                    return Some(say_baud(channel, baud, out));
                }
                channel.poll_control(now, out).or_else(|| {
                    if !channel.may_send() {
                        return None;
                    }
                    let len = job.transmit(channel, now, out);
                    if len.is_none() {
                        channel.note_idle();
                    }
                    len
                })
            }
            State::Leaving { channel, .. } => {
                channel.note_idle();
                channel.poll_control(now, out)
            }
            State::Ended => None,
        }
    }

    fn poll_request(&mut self) -> Option<(RequestId, Request)> {
        let request = match (self.speed.poll_request(), &mut self.state) {
            (Some(change), _) => Request::Speed(change),
            (None, State::Running { channel, job }) => job.request(channel)?,
            (None, _) => return None,
        };
        let id = RequestId(self.next_request);
        self.next_request = self.next_request.wrapping_add(1);
        self.asked.insert(id, request.clone());
        Some((id, request))
    }

    fn speed_change(request: &Request) -> Option<SpeedChange> {
        match request {
            Request::Speed(change) => Some(*change),
            _ => None,
        }
    }

    fn speed_changed(held: bool) -> Outcome {
        Outcome::Speed { held }
    }

    fn poll_event(&mut self) -> Option<Event> {
        if let Some(baud) = self.speed.poll_news() {
            self.events.push_back(Event::BaudChanged { baud });
        }
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let patience = |since: Instant| Some(since.after(self.config.give_up_after));
        let timers = match &self.state {
            State::Ended => return None,
            State::Calling(calling) => [
                Some(calling.next_at()),
                patience(self.last_progress),
                self.intake.poll_timeout(),
                None,
                None,
            ],
            State::Running { channel, .. } => [
                channel.poll_timeout(),
                patience(self.last_progress),
                self.intake.poll_timeout(),
                self.speed.poll_timeout(),
                Some(self.last_heard.after(REMIND_AFTER)).filter(|_| !self.speed.is_moving()),
            ],
            State::Leaving { channel, until, .. } => [
                channel.poll_timeout(),
                Some(*until),
                self.intake.poll_timeout(),
                self.speed.poll_timeout().filter(|_| self.speed.is_moving()),
                None,
            ],
        };
        timers.into_iter().flatten().min()
    }

    fn is_finished(&self) -> bool {
        matches!(self.state, State::Ended) && self.events.is_empty()
    }
}

fn say_baud(channel: &mut Channel, baud: Baud, out: &mut Vec<u8>) -> usize {
    let mut payload = Vec::new();
    baud.emit(&mut payload);
    channel.send_unnumbered(Kind::Baud, &payload, out)
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "the tests' own small numbers"
)]
mod tests;
