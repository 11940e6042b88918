//! The host's machine: from `HELLO` to the end of the session.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use crate::host::config::HostConfig;
use crate::host::event::{Event, Failure, Job, Outcome, Request};
use crate::host::job::{Running, queue};
use crate::limits::PROBE_AFTER_MIN;
use crate::machine::{Machine, RequestId};
use crate::session::{Channel, Handled, Incoming, Intake};
use crate::time::Instant;
use crate::wire::{
    AbortReason, Busy, Frame, FromDevice, FromHost, Hello, Kind, Refusal, RejectCode, VERSION,
    Welcome,
};

/// Longest time between two `HELLO`s.
const HELLO_EVERY_MAX: Duration = Duration::from_secs(2);
/// Sessions that may be lost to another host before this one leaves it the device.
const SESSIONS_LOST_MAX: u32 = 3;
/// A session that lasted so long was not taken by a host that fights for the device.
const SESSION_LASTS: Duration = Duration::from_secs(10);
/// How long the end of a session is waited for.
const FAREWELL: Duration = Duration::from_secs(3);

/// How far a job is, and what it cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Image data sent for the first time, in bytes.
    pub payload_bytes: u64,
    /// Bytes of all frames sent.
    pub wire_bytes: u64,
    /// Bytes of frames that were lost and had to be sent again.
    pub retransmitted_bytes: u64,
    /// Bytes that came in.
    pub received_bytes: u64,
    /// Blocks of the image.
    pub blocks_total: u32,
    /// Blocks that the device asked for so far.
    pub blocks_needed: u32,
    /// Blocks that arrived.
    pub blocks_sent: u32,
    /// Frames that arrived damaged.
    pub damaged_frames: u64,
}

#[derive(Debug)]
enum State {
    /// Asking for a session.
    Calling {
        tries: u32,
        next_at: Instant,
        wait: Duration,
    },
    /// In one.
    Running { channel: Channel, job: Running },
    /// The job is over: telling the device.
    Leaving {
        channel: Channel,
        until: Instant,
        outcome: Event,
    },
    /// Nothing left to do.
    Ended,
}

/// The host's half of the protocol. No I/O, no clock.
#[derive(Debug)]
pub struct Host {
    config: HostConfig,
    nonce: u64,
    state: State,
    intake: Intake,
    events: VecDeque<Event>,
    asked: BTreeMap<RequestId, Request>,
    next_request: u64,
    last_progress: Instant,
    started: bool,
    /// Lost one soon after the other in the same boot of the device.
    sessions_lost: u32,
    /// When the session began.
    session_since: Instant,
    /// The device's boot, once it is known.
    boot: Option<u32>,
    frames_seen: bool,
    busy_done: u64,
    /// Of sessions that are over.
    past: Progress,
    received_bytes: u64,
    damaged_frames: u64,
    hello_due: bool,
}

impl Host {
    /// A host that has said nothing yet.
    pub fn new(config: HostConfig) -> Self {
        Self {
            nonce: config.nonce,
            config,
            state: State::Calling {
                tries: 0,
                next_at: Instant::ZERO,
                wait: PROBE_AFTER_MIN,
            },
            intake: Intake::new(),
            events: VecDeque::new(),
            asked: BTreeMap::new(),
            next_request: 0,
            last_progress: Instant::ZERO,
            started: false,
            sessions_lost: 0,
            session_since: Instant::ZERO,
            boot: None,
            frames_seen: false,
            busy_done: 0,
            past: Progress::default(),
            received_bytes: 0,
            damaged_frames: 0,
            hello_due: true,
        }
    }

    /// How far the job is.
    pub fn progress(&self) -> Progress {
        let mut progress = self.past;
        progress.received_bytes = self.received_bytes;
        progress.damaged_frames = self.damaged_frames;
        match &self.state {
            State::Running { channel, job } => {
                add_channel(&mut progress, channel);
                add_plan(&mut progress, job);
            }
            State::Leaving { channel, .. } => add_channel(&mut progress, channel),
            State::Calling { .. } | State::Ended => {}
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

    fn call_again(&mut self, now: Instant) {
        self.remember();
        // What is still missing is asked for again in the next session.
        self.past.blocks_needed = self.past.blocks_sent;
        self.nonce = self.nonce.wrapping_add(1);
        self.asked.clear();
        self.hello_due = true;
        self.state = State::Calling {
            tries: 0,
            next_at: now,
            wait: PROBE_AFTER_MIN,
        };
    }

    /// Keeps what a session cost when it ends.
    fn remember(&mut self) {
        let progress = self.progress();
        self.past = progress;
    }

    fn incoming(&mut self, incoming: Incoming<'_>, now: Instant) {
        match incoming {
            Incoming::Frame(frame) => {
                self.frames_seen = true;
                self.frame(&frame, now);
            }
            Incoming::OtherVersion(version) => {
                if !self.frames_seen {
                    let (min, max) = (version, version);
                    self.fail(Failure::Version { min, max }, now);
                }
            }
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

    fn welcome(&mut self, frame: &Frame<'_>, now: Instant) {
        let State::Calling { .. } = self.state else {
            return;
        };
        let Ok(welcome) = Welcome::parse(frame.payload) else {
            return;
        };
        if welcome.nonce != self.nonce {
            return;
        }
        if welcome.version != VERSION {
            let (min, max) = (welcome.version, welcome.version);
            self.fail(Failure::Version { min, max }, now);
            return;
        }
        self.last_progress = now;
        self.session_since = now;
        if self.boot.replace(welcome.boot) != Some(welcome.boot) {
            // It restarted: nobody took it.
            self.sessions_lost = 0;
        }
        let mut channel = Channel::new(welcome.session, now);
        let job = Running::begin(
            &self.config.job,
            &mut channel,
            welcome.slice_max,
            welcome.window,
        );
        self.state = State::Running { channel, job };
        self.events.push_back(Event::Connected {
            session: welcome.session,
            boot: welcome.boot,
            board: welcome.board,
        });
    }

    fn refused(&mut self, frame: &Frame<'_>, now: Instant) {
        let Ok(refusal) = Refusal::parse(frame.payload) else {
            return;
        };
        match (&self.state, refusal.known_code()) {
            (State::Calling { .. }, Some(RejectCode::Version))
                if refusal.nonce == self.nonce || refusal.nonce == 0 =>
            {
                let (min, max) = (refusal.version_min, refusal.version_max);
                self.fail(Failure::Version { min, max }, now);
            }
            (State::Running { channel, .. }, Some(RejectCode::Session))
                if refusal.session == channel.session() =>
            {
                if now.since(self.session_since) >= SESSION_LASTS {
                    self.sessions_lost = 0;
                }
                self.sessions_lost = self.sessions_lost.saturating_add(1);
                if self.sessions_lost > SESSIONS_LOST_MAX {
                    self.remember();
                    self.state = State::Ended;
                    self.events.push_back(Event::Failed(Failure::TakenOver));
                } else {
                    self.events.push_back(Event::SessionLost);
                    self.call_again(now);
                }
            }
            (State::Leaving { channel, .. }, Some(RejectCode::Session))
                if refusal.session == channel.session() =>
            {
                self.leave();
            }
            _ => {}
        }
    }

    fn session_frame(&mut self, frame: &Frame<'_>, now: Instant) {
        match &mut self.state {
            State::Leaving { channel, .. } if frame.session == channel.session() => {
                channel.handle_frame(frame, now);
                while channel.next_message().is_some() {}
                if channel.queued() == 0 {
                    self.leave();
                }
            }
            State::Running { channel, job } if frame.session == channel.session() => {
                if Kind::from_number(frame.kind) == Some(Kind::Busy) {
                    if let Ok(busy) = Busy::parse(frame.payload) {
                        let Busy { phase, done, total } = busy;
                        if done != self.busy_done {
                            self.busy_done = done;
                            channel.note_progress(now);
                        }
                        self.events.push_back(Event::Busy { phase, done, total });
                    }
                    return;
                }
                if channel.handle_frame(frame, now) == Handled::Foreign {
                    return;
                }
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

    /// The job is over: tells the device, if there is a session.
    fn part(&mut self, reason: AbortReason, outcome: Event, now: Instant) {
        self.asked.clear();
        self.remember();
        match core::mem::replace(&mut self.state, State::Ended) {
            State::Running { mut channel, .. } => {
                self.past.wire_bytes = self.past.wire_bytes.saturating_sub(channel.wire_bytes());
                self.past.retransmitted_bytes = self
                    .past
                    .retransmitted_bytes
                    .saturating_sub(channel.retransmitted_bytes());
                queue(&mut channel, &FromHost::Abort { reason });
                self.state = State::Leaving {
                    channel,
                    until: now.after(FAREWELL),
                    outcome,
                };
            }
            State::Leaving {
                channel,
                until,
                outcome,
            } => {
                self.state = State::Leaving {
                    channel,
                    until,
                    outcome,
                };
            }
            State::Calling { .. } => self.events.push_back(outcome),
            State::Ended => {}
        }
    }

    fn leave(&mut self) {
        if let State::Leaving {
            channel, outcome, ..
        } = core::mem::replace(&mut self.state, State::Ended)
        {
            add_channel(&mut self.past, &channel);
            self.events.push_back(outcome);
        }
    }

    fn fail(&mut self, failure: Failure, now: Instant) {
        let reason = match failure {
            Failure::Stopped => AbortReason::Operator,
            _ => AbortReason::Failed,
        };
        self.part(reason, Event::Failed(failure), now);
    }

    fn give_up(&mut self, now: Instant) {
        let since = match &self.state {
            State::Running { channel, .. } => self.last_progress.max(channel.last_progress()),
            _ => self.last_progress,
        };
        let waited = now.since(since);
        if waited < self.config.give_up_after {
            return;
        }
        let millis = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        let failure = match (&self.state, self.received_bytes) {
            (State::Calling { .. }, 0) => Failure::Silent { millis },
            (State::Calling { .. }, bytes) if !self.frames_seen => Failure::NotADevice { bytes },
            _ => Failure::Stalled { millis },
        };
        // Nobody listens: there is nobody to part from.
        self.remember();
        self.asked.clear();
        self.state = State::Ended;
        self.events.push_back(Event::Failed(failure));
    }
}

/// The wait after this one.
fn later(wait: Duration) -> Duration {
    let half_more = wait.saturating_mul(3).checked_div(2);
    half_more.unwrap_or(HELLO_EVERY_MAX).min(HELLO_EVERY_MAX)
}

fn add_channel(progress: &mut Progress, channel: &Channel) {
    progress.wire_bytes = progress.wire_bytes.saturating_add(channel.wire_bytes());
    progress.retransmitted_bytes = progress
        .retransmitted_bytes
        .saturating_add(channel.retransmitted_bytes());
}

fn add_plan(progress: &mut Progress, job: &Running) {
    if let Some(plan) = &job.plan {
        progress.payload_bytes = progress.payload_bytes.saturating_add(plan.payload_bytes());
        progress.blocks_total = plan.map().block_count();
        progress.blocks_needed = progress.blocks_needed.saturating_add(plan.blocks_needed());
        progress.blocks_sent = progress.blocks_sent.saturating_add(plan.blocks_sent());
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
        let mut intake = core::mem::take(&mut self.intake);
        intake.handle_timeout(now, &mut |incoming| self.incoming(incoming, now));
        self.intake = intake;
        match &mut self.state {
            State::Calling { next_at, wait, .. } if *next_at <= now => {
                self.hello_due = true;
                *next_at = now.after(*wait);
                let half = wait.checked_div(2).unwrap_or(*wait);
                *wait = wait.saturating_add(half).min(HELLO_EVERY_MAX);
            }
            State::Running { channel, job } => {
                channel.handle_timeout(now);
                job.settle(channel);
            }
            State::Leaving { until, .. } if *until <= now => self.leave(),
            State::Leaving { channel, .. } => channel.handle_timeout(now),
            State::Calling { .. } | State::Ended => {}
        }
        if matches!(self.state, State::Calling { .. } | State::Running { .. }) {
            self.give_up(now);
        }
    }

    fn handle_closed(&mut self, now: Instant) {
        self.start(now);
        match self.state {
            State::Leaving { .. } => self.leave(),
            State::Ended => {}
            State::Calling { .. } | State::Running { .. } => {
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
        if let State::Running { job, .. } = &mut self.state
            && let Err(failure) = job.done(&request, outcome)
        {
            self.fail(failure, now);
        }
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<usize> {
        self.start(now);
        match &mut self.state {
            State::Calling {
                tries,
                next_at,
                wait,
            } => {
                if !core::mem::take(&mut self.hello_due) {
                    return None;
                }
                if *tries == 0 {
                    *next_at = now.after(*wait);
                    *wait = later(*wait);
                }
                let hello = Hello {
                    version_min: VERSION,
                    version_max: VERSION,
                    nonce: self.nonce,
                    codecs: 0,
                    host: self.config.name.clone(),
                };
                let mut payload = Vec::new();
                hello.emit(&mut payload);
                let len = Frame::new(Kind::Hello, 0, *tries, &payload).emit(out);
                *tries = tries.saturating_add(1);
                let sent = u64::try_from(len).unwrap_or(0);
                self.past.wire_bytes = self.past.wire_bytes.saturating_add(sent);
                Some(len)
            }
            State::Running { channel, job } => channel.poll_control(now, out).or_else(|| {
                if channel.may_send() {
                    job.transmit(channel, now, out)
                } else {
                    None
                }
            }),
            State::Leaving { channel, .. } => channel.poll_control(now, out),
            State::Ended => None,
        }
    }

    fn poll_request(&mut self) -> Option<(RequestId, Request)> {
        let State::Running { channel, job } = &mut self.state else {
            return None;
        };
        let request = job.request(channel)?;
        let id = RequestId(self.next_request);
        self.next_request = self.next_request.wrapping_add(1);
        self.asked.insert(id, request.clone());
        Some((id, request))
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let patience = |since: Instant| Some(since.after(self.config.give_up_after));
        let timers = match &self.state {
            State::Ended => return None,
            State::Calling { next_at, .. } => [
                Some(*next_at),
                patience(self.last_progress),
                self.intake.poll_timeout(),
            ],
            State::Running { channel, .. } => [
                channel.poll_timeout(),
                patience(self.last_progress.max(channel.last_progress())),
                self.intake.poll_timeout(),
            ],
            State::Leaving { channel, until, .. } => [
                channel.poll_timeout(),
                Some(*until),
                self.intake.poll_timeout(),
            ],
        };
        timers.into_iter().flatten().min()
    }

    fn is_finished(&self) -> bool {
        matches!(self.state, State::Ended) && self.events.is_empty()
    }
}

impl Host {
    /// The job that it was made for.
    pub const fn job(&self) -> &Job {
        &self.config.job
    }
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "the tests' own small numbers"
)]
mod tests;
