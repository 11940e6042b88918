//! The device's half of moving to another line speed, and its way back from there.

use core::time::Duration;

use crate::limits::{BAUD_LINGER, BAUD_LOST_AFTER, BAUD_TESTS};
use crate::speed::{SpeedChange, silence};
use crate::time::Instant;
use crate::wire::{Baud, BaudStep};

/// Pieces of the pattern are reported when the last one came, or none for so long.
const REPORT_AFTER: Duration = Duration::from_millis(50);

/// Where the move to another speed stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No move.
    Steady,
    /// The link is asked whether it can.
    Checking(u32),
    /// It can: the answer goes out.
    Answering(u32),
    /// The link goes there.
    Moving(u32),
    /// There, as long as something good is heard.
    Testing {
        baud: u32,
        heard: u32,
        report_at: Option<Instant>,
    },
    /// The link goes back.
    Back,
}

/// The speed of a device's line.
#[derive(Debug)]
pub(super) struct Speed {
    /// What hosts call at; none on a link without a speed.
    opening: Option<u32>,
    /// Good so far.
    base: u32,
    phase: Phase,
    /// When something of the session was last heard.
    heard_at: Instant,
    say: Option<Baud>,
    ask: Option<SpeedChange>,
    /// The speed is another one now.
    news: Option<u32>,
}

impl Speed {
    pub(super) fn new(opening: Option<u32>) -> Self {
        Self {
            opening,
            base: opening.unwrap_or_default(),
            phase: Phase::Steady,
            heard_at: Instant::ZERO,
            say: None,
            ask: None,
            news: None,
        }
    }

    /// Whether the line's speed can be changed at all.
    pub(super) const fn is_known(&self) -> bool {
        self.opening.is_some()
    }

    /// The link is gone; the next one begins at the speed that hosts call at.
    pub(super) fn closed(&mut self) {
        *self = Self::new(self.opening);
    }

    /// Something of the session arrived.
    pub(super) const fn heard(&mut self, now: Instant) {
        self.heard_at = now;
    }

    /// A `BAUD` frame of the session.
    pub(super) fn frame(&mut self, frame: Baud, now: Instant) {
        let Baud { baud, step } = frame;
        match (step, &mut self.phase) {
            (BaudStep::Ask, Phase::Steady) if self.opening.is_none() || baud == self.base => {
                let step = BaudStep::Unable;
                self.say = Some(Baud { baud, step });
            }
            (BaudStep::Ask, Phase::Steady) => {
                self.phase = Phase::Checking(baud);
                self.ask = Some(SpeedChange {
                    baud,
                    back: Some(self.base),
                    drain: true,
                });
            }
            (
                BaudStep::Call,
                Phase::Testing {
                    baud: tested,
                    heard,
                    ..
                },
            ) if *tested == baud => {
                let step = BaudStep::Heard(*heard);
                self.say = Some(Baud { baud, step });
            }
            (
                BaudStep::Test(piece),
                Phase::Testing {
                    baud: tested,
                    heard,
                    report_at,
                },
            ) if *tested == baud => {
                *heard |= 1_u32.checked_shl(u32::from(piece)).unwrap_or(0);
                let is_last = u32::from(piece).saturating_add(1) == BAUD_TESTS;
                *report_at = Some(if is_last {
                    now
                } else {
                    now.after(REPORT_AFTER)
                });
            }
            (BaudStep::Keep, Phase::Testing { baud: tested, .. }) if *tested == baud => {
                self.phase = Phase::Steady;
                self.base = baud;
                self.news = Some(baud);
                let step = BaudStep::Kept;
                self.say = Some(Baud { baud, step });
            }
            (BaudStep::Keep, Phase::Steady) if self.base == baud => {
                let step = BaudStep::Kept;
                self.say = Some(Baud { baud, step });
            }
            _ => {}
        }
        self.handle_timeout(true, now);
    }

    /// The link answers whether it did what was asked.
    pub(super) fn done(&mut self, held: bool, now: Instant) {
        self.phase = match self.phase {
            Phase::Checking(baud) => {
                let step = if held {
                    BaudStep::Able
                } else {
                    BaudStep::Unable
                };
                self.say = Some(Baud { baud, step });
                if held {
                    Phase::Answering(baud)
                } else {
                    Phase::Steady
                }
            }
            Phase::Moving(baud) if held => {
                self.heard_at = now;
                Phase::Testing {
                    baud,
                    heard: 0,
                    report_at: None,
                }
            }
            // The host hears nothing where it is, and comes back.
            Phase::Moving(_) | Phase::Back => Phase::Steady,
            other => other,
        };
    }

    pub(super) fn handle_timeout(&mut self, has_session: bool, now: Instant) {
        if let Phase::Testing {
            baud,
            heard,
            report_at,
        } = &mut self.phase
            && report_at.is_some_and(|at| at <= now)
        {
            *report_at = None;
            let step = BaudStep::Heard(*heard);
            self.say = Some(Baud { baud: *baud, step });
        }
        if self.leave_at(has_session).is_none_or(|at| at > now) {
            return;
        }
        if self.phase == Phase::Steady {
            self.base = self.opening.unwrap_or_default();
            self.news = Some(self.base);
        }
        self.phase = Phase::Back;
        self.say = None;
        self.ask = Some(SpeedChange {
            baud: self.base,
            back: None,
            drain: false,
        });
    }

    pub(super) fn poll_timeout(&self, has_session: bool) -> Option<Instant> {
        let report_at = match self.phase {
            Phase::Testing { report_at, .. } => report_at,
            _ => None,
        };
        let timers = [report_at, self.leave_at(has_session)];
        timers.into_iter().flatten().min()
    }

    /// What is to be said now.
    pub(super) fn poll_transmit(&mut self) -> Option<Baud> {
        let said = self.say.take()?;
        if let Phase::Answering(baud) = self.phase {
            self.phase = Phase::Moving(baud);
            self.ask = Some(SpeedChange {
                baud,
                back: None,
                drain: true,
            });
        }
        Some(said)
    }

    /// What the link is to do.
    pub(super) const fn poll_request(&mut self) -> Option<SpeedChange> {
        self.ask.take()
    }

    /// The new speed, when it is another one now.
    pub(super) const fn poll_news(&mut self) -> Option<u32> {
        self.news.take()
    }

    /// When this speed is left if nothing is heard.
    fn leave_at(&self, has_session: bool) -> Option<Instant> {
        let patience = match self.phase {
            Phase::Testing { baud, .. } => silence(baud),
            Phase::Steady if self.opening.is_none_or(|opening| opening == self.base) => {
                return None;
            }
            Phase::Steady if has_session => BAUD_LOST_AFTER,
            Phase::Steady => BAUD_LINGER,
            _ => return None,
        };
        Some(self.heard_at.after(patience))
    }
}
