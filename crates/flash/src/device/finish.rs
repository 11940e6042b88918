//! The end of a transfer: copy what was present, read everything back, install.

use alloc::string::ToString as _;
use alloc::vec::Vec;
use core::time::Duration;

use nx_image::manifest::{Manifest, Role};

use crate::blocks::Block;
use crate::device::desk::{Desk, Purpose};
use crate::device::event::Event;
use crate::device::offer::Refused;
use crate::device::read_back::REPAIR_BLOCKS_MAX;
use crate::device::request::{Outcome, Request};
use crate::device::transfer::{Transfer, say};
use crate::limits::REPAIR_ROUNDS_MAX;
use crate::session::Channel;
use crate::time::Instant;
use crate::wire::{Busy, BusyPhase, FromDevice, RejectCode};

/// Bytes of a gap or of the device's state that one request covers, so that the device can
/// tell how far it is.
const PIECE_BYTES: u64 = 4 * 1_048_576;

/// Where the end of a transfer is.
#[derive(Debug)]
pub(super) struct Finish {
    pub(super) step: Step,
    pub(super) cursor: u32,
    pub(super) done: u64,
    total: u64,
    /// Blocks that were not what they should be.
    pub(super) bad: Vec<Block>,
    /// Ranges that the step has yet to go through.
    left: Vec<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Every block is in the installed image: are the gaps zero there?
    Same,
    /// They are: whatever is staged is of no use.
    Discard,
    /// Copying blocks that were found in the installed image.
    Adopt,
    /// Making everything durable before it is read back.
    Sync,
    /// The store is asked for a page of digests.
    Page,
    /// So many blocks are being digested from the medium.
    Blocks(u32),
    /// Bytes between the segments.
    Gap,
    /// The device's own state.
    Carry,
    /// The last step.
    Install,
}

/// Time without data after which a host that said `DONE` is asked for what is missing. It
/// repeats what is lost long before.
const ASK_AFTER: Duration = Duration::from_secs(5);

/// What [`Transfer::finished`] came to.
pub(super) enum Finished {
    /// There is more to do.
    NotYet,
    /// Installed, or it was all along.
    Installed,
}

impl Finish {
    fn next_piece(&mut self) -> Option<(u64, u64)> {
        let (offset, bytes) = next_piece(&mut self.left)?;
        self.done = self.done.saturating_add(bytes);
        Some((offset, bytes))
    }

    /// What a `BUSY` says.
    pub(super) const fn busy(&self) -> Busy {
        let phase = match self.step {
            Step::Install | Step::Carry => BusyPhase::Install,
            _ => BusyPhase::ReadBack,
        };
        Busy {
            phase,
            done: self.done,
            total: self.total,
        }
    }
}

impl Transfer {
    /// The host says that it sent everything.
    pub(super) fn done(&mut self, desk: &mut Desk) {
        if self.finish.is_some() {
            return;
        }
        self.done_waits = self.is_taking_in();
        if self.done_waits {
            return;
        }
        if !self.missing(1).is_empty() {
            // It is under way, and goes out again until it arrives.
            self.done_held = true;
            return;
        }
        self.done_held = false;
        let present = self.present.len().saturating_add(self.kept_blocks());
        let unchanged = self.same_as_installed && present == self.map.block_count();
        self.finish = Some(Finish {
            step: Step::Same,
            cursor: 0,
            done: 0,
            total: self.offer.manifest.image.size,
            bad: Vec::new(),
            left: gaps(&self.offer.manifest, &self.kept_regions()),
        });
        if !unchanged || !self.look_at_next_gap(desk) {
            self.adopt_next(desk);
        }
    }

    /// What `DONE` has to wait for may be over now.
    pub(super) fn go_on(&mut self, desk: &mut Desk) {
        if (self.done_waits || self.done_held) && !self.is_taking_in() {
            self.done(desk);
        }
    }

    /// When a host that said `DONE` and sends nothing more is asked for what is missing.
    pub(super) fn ask_at(&self) -> Option<Instant> {
        self.done_held.then(|| self.data_at.after(ASK_AFTER))
    }

    /// Asks for what is missing still, after `DONE`.
    pub(super) fn ask_for_missing(&mut self, channel: &mut Channel) {
        self.done_held = false;
        let missing = self.missing(REPAIR_BLOCKS_MAX);
        self.need_again(&missing, channel);
    }

    /// Asks whether the next gap of the installed image is zero; returns whether there is one.
    fn look_at_next_gap(&mut self, desk: &mut Desk) -> bool {
        let next = self.finish.as_mut().and_then(Finish::next_piece);
        if let Some((offset, bytes)) = next {
            desk.ask(Request::IsZero { offset, bytes }, Purpose::Finish);
        }
        next.is_some()
    }

    fn kept_blocks(&self) -> u32 {
        let blocks = |segment: &u8| {
            let segments = &self.offer.manifest.segments;
            let segment = segments.get(usize::from(*segment));
            segment.map_or(0, |segment| segment.block_count(self.map.block_bytes()))
        };
        self.kept.iter().map(blocks).fold(0, u32::saturating_add)
    }

    fn kept_regions(&self) -> Vec<(u64, u64)> {
        let start = |segment: &u8| self.map.in_segment(*segment, 0).map(|block| block.offset);
        let region = |segment: &u8| Some((start(segment)?, self.region_end(*segment)));
        self.kept.iter().filter_map(region).collect()
    }

    fn step(&mut self, step: Step) {
        if let Some(finish) = &mut self.finish {
            finish.step = step;
        }
    }

    fn adopt_next(&mut self, desk: &mut Desk) {
        self.step(Step::Adopt);
        let from = self.finish.as_ref().map_or(0, |finish| finish.cursor);
        let next = self
            .present
            .next_from(from)
            .and_then(|number| self.map.by_number(number));
        match next {
            Some(block) => {
                if let Some(finish) = &mut self.finish {
                    finish.cursor = block.number;
                }
                let (offset, bytes) = (block.offset, block.bytes);
                desk.ask(Request::Adopt { offset, bytes }, Purpose::Finish);
            }
            None => {
                self.step(Step::Sync);
                desk.ask(Request::Sync, Purpose::Finish);
            }
        }
    }

    /// Takes the store's answer.
    pub(super) fn finished(
        &mut self,
        outcome: Outcome,
        channel: &mut Channel,
        desk: &mut Desk,
    ) -> Result<Finished, Refused> {
        let Some(finish) = &mut self.finish else {
            return Ok(Finished::NotYet);
        };
        match (finish.step, outcome) {
            (Step::Same, Outcome::Flag(true)) => {
                if !self.look_at_next_gap(desk) {
                    desk.tell(Event::VerifyOk);
                    self.step(Step::Discard);
                    desk.ask(Request::Discard, Purpose::Finish);
                }
            }
            (Step::Same, _) => self.adopt_next(desk),
            (Step::Adopt, _) => {
                let number = finish.cursor;
                self.present.remove(number);
                if let Some(block) = self.map.by_number(number) {
                    self.have(&block, desk);
                }
                self.adopt_next(desk);
            }
            (Step::Sync, _) => {
                finish.cursor = 0;
                self.durable = self.received;
                self.read_back(desk);
            }
            (Step::Page, outcome) => {
                let number = finish.cursor;
                let block = self.map.by_number(number);
                let good = match (block, outcome) {
                    (Some(block), Outcome::Bytes(Some(bytes))) => {
                        self.take_page(block.segment, block.page(), bytes)
                    }
                    _ => false,
                };
                if !good {
                    let what = "the device lost a page of block digests";
                    return Err((RejectCode::Storage, what.to_string()));
                }
                self.read_back(desk);
            }
            (Step::Blocks(count), Outcome::Digests(got)) => {
                self.were_read(count, &got);
                self.read_back(desk);
            }
            (Step::Gap, _) => self.next_gap(desk),
            (Step::Carry, _) => self.carry_next(desk),
            (Step::Discard | Step::Install, _) => {
                self.finish = None;
                return Ok(Finished::Installed);
            }
            (Step::Blocks(_), _) => {}
        }
        if self
            .finish
            .as_ref()
            .is_some_and(|finish| self.is_read(finish))
        {
            self.mend_or_go_on(channel, desk)?;
        }
        Ok(Finished::NotYet)
    }

    /// Every block is read: asks for those that differ, or goes on with the gaps.
    fn mend_or_go_on(&mut self, channel: &mut Channel, desk: &mut Desk) -> Result<(), Refused> {
        let gaps = gaps(&self.offer.manifest, &self.kept_regions());
        let Some(finish) = &mut self.finish else {
            return Ok(());
        };
        if finish.bad.is_empty() {
            finish.left = gaps;
            self.next_gap(desk);
            return Ok(());
        }
        let bad = core::mem::take(&mut finish.bad);
        self.finish = None;
        self.repairs = self.repairs.saturating_add(1);
        if self.repairs > REPAIR_ROUNDS_MAX {
            let what = "blocks differ each time that they are read back";
            return Err((RejectCode::ReadBack, what.to_string()));
        }
        self.need_again(&bad, channel);
        Ok(())
    }

    fn next_gap(&mut self, desk: &mut Desk) {
        self.step(Step::Gap);
        if let Some((offset, bytes)) = self.finish.as_mut().and_then(Finish::next_piece) {
            desk.ask(Request::ZeroGap { offset, bytes }, Purpose::Finish);
            return;
        }
        desk.tell(Event::VerifyOk);
        let kept = self.kept_regions();
        if let Some(finish) = &mut self.finish {
            finish.left = kept;
        }
        self.carry_next(desk);
    }

    fn carry_next(&mut self, desk: &mut Desk) {
        self.step(Step::Carry);
        if let Some((offset, bytes)) = self.finish.as_mut().and_then(Finish::next_piece) {
            desk.ask(Request::Carry { offset, bytes }, Purpose::Finish);
            return;
        }
        self.step(Step::Install);
        desk.ask(Request::Install, Purpose::Finish);
    }
}

/// Takes a piece off the ranges that are left: its offset and its length, in bytes.
pub(super) fn next_piece(left: &mut Vec<(u64, u64)>) -> Option<(u64, u64)> {
    let (offset, end) = left.pop()?;
    let bytes = end.saturating_sub(offset).min(PIECE_BYTES);
    let next = offset.saturating_add(bytes);
    if next < end {
        left.push((next, end));
    }
    Some((offset, bytes))
}

/// The ranges of an image that belong to no segment and to none of these regions.
pub(super) fn gaps(manifest: &Manifest, without: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut taken: Vec<(u64, u64)> = manifest
        .segments
        .iter()
        .map(|segment| (segment.offset, segment.end()))
        .collect();
    taken.extend_from_slice(without);
    taken.sort_unstable();
    let mut gaps = Vec::new();
    let mut at = 0;
    for (start, end) in taken {
        if start > at {
            gaps.push((at, start));
        }
        at = at.max(end);
    }
    if manifest.image.size > at {
        gaps.push((at, manifest.image.size));
    }
    gaps
}

/// The regions of the segments with some roles, each up to the next segment or the image's end,
/// as the byte where it begins and the byte behind it.
pub(super) fn regions(manifest: &Manifest, which: impl Fn(Role) -> bool) -> Vec<(u64, u64)> {
    let starts = manifest.segments.iter().map(|segment| segment.offset);
    let ends = starts.skip(1).chain([manifest.image.size]);
    let segments = manifest.segments.iter().zip(ends);
    segments
        .filter(|(segment, _)| which(segment.role))
        .map(|(segment, end)| (segment.offset, end))
        .collect()
}

/// The region of the state segment.
pub(super) fn state_region(manifest: &Manifest) -> Option<(u64, u64)> {
    regions(manifest, |role| role == Role::State).pop()
}

/// Answers `DONE`.
pub(super) fn say_installed(transfer: &Transfer, channel: &mut Channel) {
    say(
        channel,
        &FromDevice::Installed {
            manifest: transfer.offer.digest,
            installed: transfer.offer.manifest.installed_digest(),
            state_kept: transfer.keeps_state(),
        },
    );
}
