//! `VERIFY`: digests of what the medium holds.

use alloc::vec::Vec;

use nx_image::digest::{Digest, Hasher};
use nx_image::manifest::Manifest;

use crate::device::desk::{Desk, Purpose};
use crate::device::finish::{gaps, next_piece, regions};
use crate::device::keeps::Keeps;
use crate::device::request::{Outcome, Request};
use crate::device::transfer::say;
use crate::session::Channel;
use crate::wire::{Busy, BusyPhase, FromDevice, Verdict, VerifiedSegment};

/// Bytes read at once.
const READ_BYTES: u64 = 64 * 1_024;

/// A `VERIFY` that is being answered.
#[derive(Debug)]
pub(super) struct Verify {
    manifest: Manifest,
    keeps: Keeps,
    digest: Digest,
    segment: usize,
    offset: u64,
    hasher: Option<Hasher>,
    found: Vec<VerifiedSegment>,
    gaps: Vec<(u64, u64)>,
    gaps_zero: bool,
    done: u64,
}

impl Verify {
    /// Begins to digest what was installed with this manifest.
    pub(super) fn new(raw: &[u8], manifest: Manifest, keeps: Keeps, desk: &mut Desk) -> Self {
        let kept = regions(&manifest, |role| keeps.role(role));
        let mut verify = Self {
            digest: Manifest::digest_of(raw),
            gaps: gaps(&manifest, &kept),
            manifest,
            keeps,
            segment: 0,
            offset: 0,
            hasher: Some(Digest::hasher()),
            found: Vec::new(),
            gaps_zero: true,
            done: 0,
        };
        verify.next(desk);
        verify
    }

    /// What a `BUSY` says.
    pub(super) const fn busy(&self) -> Busy {
        let total = self.manifest.image.size;
        Busy {
            phase: BusyPhase::Verify,
            done: self.done,
            total,
        }
    }

    /// Takes the store's answer; returns whether everything is digested and told.
    pub(super) fn read(
        &mut self,
        outcome: Outcome,
        channel: &mut Channel,
        desk: &mut Desk,
    ) -> bool {
        match outcome {
            Outcome::Bytes(Some(bytes)) if !bytes.is_empty() => {
                let len = u64::try_from(bytes.len()).unwrap_or(0);
                if let Some(hasher) = &mut self.hasher {
                    hasher.update(&bytes);
                }
                self.offset = self.offset.saturating_add(len);
                self.done = self.done.saturating_add(len);
            }
            Outcome::Flag(zero) => self.gaps_zero &= zero,
            // The medium ends early: the digest will tell.
            _ => self.offset = u64::MAX,
        }
        if self.next(desk) {
            return false;
        }
        let unchanging = self
            .found
            .iter()
            .filter(|segment| segment.verdict != Verdict::Kept);
        let mut installed = Digest::hasher();
        unchanging.for_each(|segment| installed.update(segment.sha256.as_bytes()));
        say(
            channel,
            &FromDevice::Verified {
                manifest: self.digest,
                installed: installed.finish(),
                segments: core::mem::take(&mut self.found),
                gaps_zero: self.gaps_zero,
            },
        );
        true
    }

    /// Asks for the next bytes; returns whether there are any.
    fn next(&mut self, desk: &mut Desk) -> bool {
        while let Some(segment) = self.manifest.segments.get(self.segment) {
            let left = segment.size.saturating_sub(self.offset);
            if left > 0 {
                let offset = segment.offset.saturating_add(self.offset);
                let bytes = u32::try_from(left.min(READ_BYTES)).unwrap_or(0);
                desk.ask(Request::Read { offset, bytes }, Purpose::Verify);
                return true;
            }
            let hasher = self.hasher.replace(Digest::hasher());
            let sha256 = hasher.map_or(segment.sha256, Hasher::finish);
            let verdict = match (self.keeps.role(segment.role), sha256 == segment.sha256) {
                (true, _) => Verdict::Kept,
                (false, true) => Verdict::Matches,
                (false, false) => Verdict::Differs,
            };
            let name = segment.name.clone();
            self.found.push(VerifiedSegment {
                name,
                sha256,
                verdict,
            });
            self.segment = self.segment.saturating_add(1);
            self.offset = 0;
        }
        let Some((offset, bytes)) = next_piece(&mut self.gaps) else {
            return false;
        };
        self.done = self.done.saturating_add(bytes);
        desk.ask(Request::IsZero { offset, bytes }, Purpose::Verify);
        true
    }
}
