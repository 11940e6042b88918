//! The host's half of moving to another line speed, and its way back from there.

use alloc::vec::Vec;
use core::time::Duration;

use crate::limits::{
    BAUD_ASK_EVERY, BAUD_ASKS_MAX, BAUD_CALL_EVERY, BAUD_GUARD, BAUD_KEEP_EVERY, BAUD_LADDER_MAX,
    BAUD_LOST_AFTER, BAUD_TESTS, BAUD_TESTS_MIN,
};
use crate::speed::{SpeedChange, pattern_time, silence};
use crate::time::Instant;
use crate::wire::{Baud, BaudStep};

/// Speeds that may turn out to be bad before the search ends: some adapters fail at one and
/// work at the next.
const FAILED_MAX: u32 = 2;

/// Where the move to another speed stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No move.
    Steady,
    /// The own link is asked whether it can.
    Checking(u32),
    /// The device is asked.
    Asking { baud: u32, asks: u32 },
    /// The own link goes there.
    Moving(u32),
    /// There: does the device hear?
    Calling { baud: u32, until: Instant },
    /// It does: the pattern, from this piece on.
    Testing {
        baud: u32,
        next: u32,
        until: Instant,
    },
    /// The pattern is good.
    Keeping { baud: u32, until: Instant },
    /// The own link goes back; with more to try, or not.
    Back { is_over: bool },
}

/// The speed of a host's line.
#[derive(Debug)]
pub(super) struct Speed {
    ladder: Vec<u32>,
    /// What devices are called at; none on a link without a speed.
    opening: Option<u32>,
    /// Good so far.
    base: u32,
    phase: Phase,
    /// The next of the ladder.
    next: usize,
    failed: u32,
    /// No more tries.
    is_over: bool,
    /// Speeds from this on were good once, and then lost.
    lost: Option<u32>,
    /// When something of the session was last heard.
    heard_at: Instant,
    /// When to say the next thing.
    say_at: Option<Instant>,
    ask: Option<SpeedChange>,
    /// The speed is another one now.
    news: Option<u32>,
}

impl Speed {
    /// A line opened at this speed, for which others are to be tried in this order.
    pub(super) fn new(opening: Option<u32>, ladder: &[u32]) -> Self {
        let mut ladder = ladder.to_vec();
        ladder.retain(|baud| *baud > 0);
        ladder.truncate(BAUD_LADDER_MAX);
        Self {
            ladder,
            opening,
            base: opening.unwrap_or_default(),
            phase: Phase::Steady,
            next: 0,
            failed: 0,
            is_over: false,
            lost: None,
            heard_at: Instant::ZERO,
            say_at: None,
            ask: None,
            news: None,
        }
    }

    /// Whether other speeds are to be tried.
    pub(super) fn is_wanted(&self) -> bool {
        self.opening.is_some() && !self.ladder.is_empty()
    }

    /// Whether everything else waits for the line.
    pub(super) fn is_moving(&self) -> bool {
        self.phase != Phase::Steady
    }

    /// The speed that is good so far, where there is one.
    pub(super) fn baud(&self) -> Option<u32> {
        self.opening.map(|_| self.base)
    }

    /// A session begins with a device that can.
    pub(super) fn begin(&mut self, now: Instant) {
        if self.is_wanted() && !self.is_moving() {
            self.next = 0;
            self.failed = 0;
            self.is_over = false;
            self.try_next(now);
        }
    }

    /// The device started again: what it made of the line before says nothing now.
    pub(super) const fn forget_losses(&mut self) {
        self.lost = None;
    }

    /// The session is over, or about to be: no more tries.
    pub(super) fn cancel(&mut self) {
        self.is_over = true;
        match self.phase {
            // The device may be there for good already: what it says decides.
            Phase::Steady | Phase::Moving(_) | Phase::Keeping { .. } => {}
            Phase::Checking(_) | Phase::Asking { .. } => self.settle(),
            Phase::Calling { .. } | Phase::Testing { .. } => self.go_back(true),
            Phase::Back { .. } => self.phase = Phase::Back { is_over: true },
        }
    }

    /// Devices are called at the speed of the beginning.
    pub(super) fn call_again(&mut self) {
        self.cancel();
        if self.opening.is_some_and(|opening| opening != self.base) {
            self.begin_anew();
        }
    }

    /// Something of the session arrived.
    pub(super) const fn heard(&mut self, now: Instant) {
        self.heard_at = now;
    }

    /// A `BAUD` frame of the session.
    pub(super) fn frame(&mut self, frame: Baud, now: Instant) {
        match (frame.step, self.phase) {
            (BaudStep::Able, Phase::Asking { baud, .. }) if baud == frame.baud => {
                self.phase = Phase::Moving(baud);
                self.say_at = None;
                self.ask = Some(SpeedChange {
                    baud,
                    back: None,
                    drain: true,
                });
            }
            (BaudStep::Unable, Phase::Asking { baud, .. }) if baud == frame.baud => {
                self.try_next(now);
            }
            (BaudStep::Heard(_), Phase::Calling { baud, .. }) if baud == frame.baud => {
                self.phase = Phase::Testing {
                    baud,
                    next: 0,
                    until: now.after(pattern_time(baud).saturating_add(silence(baud))),
                };
                self.say_at = Some(now);
            }
            (BaudStep::Heard(heard), Phase::Testing { baud, next, .. })
                if baud == frame.baud && next >= BAUD_TESTS =>
            {
                if heard.count_ones() >= BAUD_TESTS_MIN {
                    let until = now.after(silence(baud));
                    self.phase = Phase::Keeping { baud, until };
                    self.say_at = Some(now);
                } else if heard.leading_zeros() == 0 {
                    // The last piece arrived, and too few of those before it.
                    self.fail();
                }
            }
            (BaudStep::Kept, Phase::Keeping { baud, .. }) if baud == frame.baud => {
                self.base = baud;
                self.news = Some(baud);
                self.try_next(now);
            }
            _ => {}
        }
    }

    /// The own link answers whether it did what was asked.
    pub(super) fn done(&mut self, held: bool, now: Instant) {
        match self.phase {
            Phase::Checking(baud) if held => {
                self.phase = Phase::Asking { baud, asks: 0 };
                self.say_at = Some(now);
            }
            Phase::Checking(_) => self.try_next(now),
            Phase::Moving(_) if held && self.is_over => self.go_back(true),
            Phase::Moving(baud) if held => {
                let until = now.after(silence(baud));
                self.phase = Phase::Calling { baud, until };
                self.say_at = Some(now.after(BAUD_GUARD));
            }
            Phase::Moving(_) => self.failed_once(now),
            Phase::Back { is_over: true } => self.settle_at(now),
            Phase::Back { is_over: false } => self.failed_once(now),
            _ => {}
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        match self.phase {
            Phase::Calling { until, .. }
            | Phase::Testing { until, .. }
            | Phase::Keeping { until, .. }
                if until <= now =>
            {
                self.fail();
            }
            Phase::Asking { asks, .. }
                if asks >= BAUD_ASKS_MAX && self.say_at.is_some_and(|at| at <= now) =>
            {
                // Nobody answers, here or anywhere: what comes next finds out.
                self.settle_at(now);
            }
            Phase::Steady if self.lost_at().is_some_and(|at| at <= now) => self.lose(),
            _ => {}
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let until = match self.phase {
            Phase::Calling { until, .. }
            | Phase::Testing { until, .. }
            | Phase::Keeping { until, .. } => Some(until),
            Phase::Steady => self.lost_at(),
            _ => None,
        };
        [until, self.say_at].into_iter().flatten().min()
    }

    /// What is to be said now.
    pub(super) fn poll_transmit(&mut self, now: Instant) -> Option<Baud> {
        if self.say_at.is_none_or(|at| at > now) {
            return None;
        }
        let (baud, step, again) = match &mut self.phase {
            Phase::Asking { asks, .. } if *asks >= BAUD_ASKS_MAX => return None,
            Phase::Asking { baud, asks } => {
                *asks = asks.saturating_add(1);
                (*baud, BaudStep::Ask, BAUD_ASK_EVERY)
            }
            Phase::Calling { baud, .. } => (*baud, BaudStep::Call, BAUD_CALL_EVERY),
            Phase::Testing { baud, next, .. } => {
                let last = BAUD_TESTS.saturating_sub(1);
                let piece = (*next).min(last);
                *next = next.saturating_add(1);
                let again = if piece == last {
                    pattern_time(*baud).saturating_add(BAUD_CALL_EVERY)
                } else {
                    Duration::ZERO
                };
                let piece = u8::try_from(piece).unwrap_or(u8::MAX);
                (*baud, BaudStep::Test(piece), again)
            }
            Phase::Keeping { baud, .. } => (*baud, BaudStep::Keep, BAUD_CALL_EVERY),
            Phase::Steady => (self.base, BaudStep::Keep, BAUD_KEEP_EVERY),
            Phase::Checking(_) | Phase::Moving(_) | Phase::Back { .. } => return None,
        };
        self.say_at = Some(now.after(again));
        Some(Baud { baud, step })
    }

    /// What the own link is to do.
    pub(super) const fn poll_request(&mut self) -> Option<SpeedChange> {
        self.ask.take()
    }

    /// The new speed, when it is another one now.
    pub(super) const fn poll_news(&mut self) -> Option<u32> {
        self.news.take()
    }

    fn try_next(&mut self, now: Instant) {
        if self.is_over {
            self.settle_at(now);
            return;
        }
        let lost = self.lost;
        let base = self.base;
        let is_open = |baud: &u32| *baud != base && lost.is_none_or(|lost| *baud < lost);
        while let Some(baud) = self.ladder.get(self.next).copied() {
            self.next = self.next.saturating_add(1);
            if !is_open(&baud) {
                continue;
            }
            self.phase = Phase::Checking(baud);
            self.say_at = None;
            self.ask = Some(SpeedChange {
                baud,
                back: Some(base),
                drain: true,
            });
            return;
        }
        self.settle_at(now);
    }

    /// The speed under test is bad.
    fn fail(&mut self) {
        self.failed = self.failed.saturating_add(1);
        self.go_back(false);
    }

    fn failed_once(&mut self, now: Instant) {
        if self.failed >= FAILED_MAX {
            self.settle_at(now);
        } else {
            self.try_next(now);
        }
    }

    /// The speed that was good is lost: back to that of the beginning.
    fn lose(&mut self) {
        self.lost = Some(self.base);
        self.begin_anew();
    }

    fn begin_anew(&mut self) {
        self.base = self.opening.unwrap_or_default();
        self.news = Some(self.base);
        self.go_back(true);
    }

    fn go_back(&mut self, is_over: bool) {
        self.phase = Phase::Back { is_over };
        self.say_at = None;
        self.ask = Some(SpeedChange {
            baud: self.base,
            back: None,
            drain: false,
        });
    }

    /// The line stays as it is.
    fn settle(&mut self) {
        self.phase = Phase::Steady;
        self.ask = None;
        self.say_at = None;
    }

    fn settle_at(&mut self, now: Instant) {
        self.settle();
        self.heard_at = now;
        if self.opening.is_some_and(|opening| opening != self.base) {
            self.say_at = Some(now.after(BAUD_KEEP_EVERY));
        }
    }

    /// When a speed that was good counts as lost.
    fn lost_at(&self) -> Option<Instant> {
        let raised = self.opening.is_some_and(|opening| opening != self.base);
        raised.then(|| self.heard_at.after(BAUD_LOST_AFTER))
    }
}
