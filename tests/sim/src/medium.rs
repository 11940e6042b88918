//! What a medium holds for good, and what a power cut may take or tear.
//!
//! Nothing is durable before its sync, and without one everything may be lost by itself, in any
//! order: a sector of a file, its length, a name in a folder. That is harsher than any one file
//! system. Two things are taken as given, because every file system gives them: a rename is one
//! step, and a folder that is gone for good was empty for good.

use std::sync::Arc;

use crate::tree::{Inode, SECTOR_BYTES, Step, Tree};

/// A change that no sync has made durable.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    /// What it does, cut to one sector.
    pub(crate) step: Step,
    /// What has to be synced for it to be durable.
    awaits: Vec<Inode>,
    /// A sync of it failed: what the cache still shows may never reach the medium, whatever later
    /// syncs say.
    pub(crate) doomed: bool,
}

impl Pending {
    /// Durable, and waits only for an earlier change of the same folders.
    fn is_settled(&self) -> bool {
        self.awaits.is_empty()
    }

    fn folders(&self) -> [Option<Inode>; 2] {
        match &self.step {
            Step::MakeFolder { folder, .. }
            | Step::MakeFile { folder, .. }
            | Step::Remove { folder, .. }
            | Step::RemoveFolder { folder, .. } => [Some(*folder), None],
            Step::Rename { from, to } => [Some(from.0), Some(to.0)],
            Step::Write { .. } | Step::SetLen { .. } => [None, None],
        }
    }

    fn shares_a_folder(&self, other: &Self) -> bool {
        let theirs = other.folders();
        self.folders()
            .iter()
            .flatten()
            .any(|folder| theirs.contains(&Some(*folder)))
    }
}

/// What a power cut does to a pending change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Kept,
    Lost,
    /// Of the sector, so many bytes at its front are new.
    Front(usize),
    /// Of the sector, so many bytes at its end are new.
    Back(usize),
    /// The sector holds neither what was nor what came, but bytes that follow from this.
    Garbage(u64),
}

impl Fate {
    /// Whether a sector is neither as it was nor as it should be.
    pub(crate) const fn is_torn(self) -> bool {
        !matches!(self, Self::Kept | Self::Lost)
    }
}

/// A medium with a cache before it.
#[derive(Clone, Debug)]
pub(crate) struct Medium {
    pub(crate) durable: Tree,
    pub(crate) pending: Vec<Pending>,
}

impl Medium {
    pub(crate) const fn of(durable: Tree) -> Self {
        Self {
            durable,
            pending: Vec::new(),
        }
    }

    /// A change is made, in the cache.
    pub(crate) fn change(&mut self, step: &Step) {
        match step {
            Step::Write {
                file,
                offset,
                bytes,
            } => {
                let mut from = 0;
                while from < bytes.len() {
                    let at = offset + from;
                    let room = SECTOR_BYTES - at % SECTOR_BYTES;
                    let to = bytes.len().min(from + room);
                    let part = Step::Write {
                        file: *file,
                        offset: at,
                        bytes: Arc::new(bytes[from..to].to_vec()),
                    };
                    self.pending
                        .retain(|pending| !(pending.doomed && is_covered(&pending.step, &part)));
                    // The sector waits to be written again, and goes as a whole.
                    for pending in &mut self.pending {
                        pending.doomed &= !shares_a_sector(&pending.step, *file, at);
                    }
                    self.wait_for(part, vec![*file]);
                    from = to;
                }
            }
            Step::SetLen { file, .. } => self.wait_for(step.clone(), vec![*file]),
            Step::Rename { from, to } if from.0 == to.0 => {
                self.wait_for(step.clone(), vec![from.0]);
            }
            Step::Rename { from, to } => self.wait_for(step.clone(), vec![from.0, to.0]),
            Step::MakeFolder { folder, .. }
            | Step::MakeFile { folder, .. }
            | Step::Remove { folder, .. }
            | Step::RemoveFolder { folder, .. } => self.wait_for(step.clone(), vec![*folder]),
        }
    }

    fn wait_for(&mut self, step: Step, awaits: Vec<Inode>) {
        self.pending.push(Pending {
            step,
            awaits,
            doomed: false,
        });
    }

    /// A file or folder was synced.
    pub(crate) fn sync(&mut self, inode: Inode) {
        for pending in self.pending.iter_mut().filter(|pending| !pending.doomed) {
            pending.awaits.retain(|awaited| *awaited != inode);
        }
        let mut waiting: Vec<Pending> = Vec::new();
        for pending in self.pending.drain(..) {
            let may_go = pending.is_settled()
                && !waiting
                    .iter()
                    .any(|earlier| earlier.shares_a_folder(&pending));
            if may_go {
                self.durable.make(&pending.step);
            } else {
                waiting.push(pending);
            }
        }
        self.pending = waiting;
    }

    /// A sync of a file failed: the bytes that it was for count as written from now on, and may
    /// not be.
    pub(crate) fn sync_failed(&mut self, inode: Inode) {
        for pending in &mut self.pending {
            pending.doomed |= matches!(pending.step, Step::Write { file, .. } if file == inode);
        }
    }

    /// The cache lets go of a file, and with it of what a failed sync left there; returns whether
    /// there was anything.
    pub(crate) fn forget(&mut self, inode: Inode) -> bool {
        let before = self.pending.len();
        self.pending.retain(|pending| {
            let its = matches!(pending.step, Step::Write { file, .. } if file == inode);
            !(pending.doomed && its)
        });
        self.pending.len() < before
    }

    /// The pending changes that a power cut may take.
    pub(crate) fn open(&self) -> Vec<&Pending> {
        let is_open = |pending: &&Pending| !pending.is_settled();
        self.pending.iter().filter(is_open).collect()
    }

    /// What is left after a power cut that treats the [open](Self::open) changes like this.
    pub(crate) fn after_cut(&self, fates: &[Fate]) -> Tree {
        let mut fates = fates.iter().copied();
        let mut fate = |pending: &Pending| {
            if pending.is_settled() {
                Fate::Kept
            } else {
                fates.next().unwrap_or(Fate::Lost)
            }
        };
        let fates: Vec<Fate> = self.pending.iter().map(&mut fate).collect();
        let mut tree = self.durable.clone();
        for (pending, fate) in self.pending.iter().zip(consistent(&self.pending, &fates)) {
            match (&pending.step, fate) {
                (_, Fate::Lost) => {}
                (
                    Step::Write {
                        file,
                        offset,
                        bytes,
                    },
                    fate,
                ) if fate.is_torn() => {
                    let (from, bytes) = torn(bytes, fate);
                    tree.write(*file, offset + from, &bytes);
                }
                (step, _) => tree.make(step),
            }
        }
        tree
    }
}

/// What of a sector's new bytes is there, and from where on.
fn torn(bytes: &[u8], fate: Fate) -> (usize, Vec<u8>) {
    match fate {
        Fate::Front(len) => (0, bytes[..len.min(bytes.len())].to_vec()),
        Fate::Back(len) => {
            let from = bytes.len() - len.min(bytes.len());
            (from, bytes[from..].to_vec())
        }
        Fate::Garbage(seed) => (
            0,
            nx_image::test_image::random_bytes(bytes.len(), seed.wrapping_add(1)),
        ),
        Fate::Kept | Fate::Lost => (0, bytes.to_vec()),
    }
}

/// No file system keeps the removal of a folder and loses what had emptied it.
fn consistent(pending: &[Pending], fates: &[Fate]) -> Vec<Fate> {
    let mut fates = fates.to_vec();
    for at in (0..pending.len()).rev() {
        if fates[at] == Fate::Lost {
            continue;
        }
        if let Step::Rename { from, .. } = &pending[at].step {
            // It moves the file that it moved, which has to be there: not one that had its name.
            for earlier in 0..at {
                if names(&pending[earlier].step, from) {
                    fates[earlier] = Fate::Kept;
                }
            }
        }
        let Step::RemoveFolder { gone, .. } = &pending[at].step else {
            continue;
        };
        for earlier in 0..at {
            let touches = pending[earlier].folders().contains(&Some(*gone));
            if touches {
                fates[earlier] = Fate::Kept;
            }
        }
    }
    fates
}

/// Whether a step makes or removes this name.
fn names(step: &Step, (folder, name): &(Inode, String)) -> bool {
    match step {
        Step::MakeFile {
            folder: its,
            name: called,
            ..
        }
        | Step::Remove {
            folder: its,
            name: called,
        } => its == folder && called == name,
        _ => false,
    }
}

/// Whether a step wrote to the sector of a file that holds the byte at `at`.
fn shares_a_sector(step: &Step, in_file: Inode, at: usize) -> bool {
    match step {
        Step::Write { file, offset, .. } => {
            *file == in_file && offset / SECTOR_BYTES == at / SECTOR_BYTES
        }
        _ => false,
    }
}

/// Whether all that `earlier` wrote is written again.
fn is_covered(earlier: &Step, later: &Step) -> bool {
    match (earlier, later) {
        (
            Step::Write {
                file,
                offset,
                bytes,
            },
            Step::Write {
                file: same,
                offset: from,
                bytes: new,
            },
        ) => file == same && from <= offset && offset + bytes.len() <= from + new.len(),
        _ => false,
    }
}
