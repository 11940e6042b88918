//! A store on a disk with two slots: an update is written to the one that is not in use.
//!
//! Everything lies on the disk: there is no journal. What it does there, and in which order, is
//! `docs/decisions/0009-ab-disk.md`. A disk that is not provisioned is written as a whole, and
//! becomes a disk with its last sector.

mod boot;
mod confirm;
mod contents;
mod extent;
mod install;
mod job;
mod open;
mod table;
mod view;

use std::io;
use std::path::PathBuf;

use nx_image::boot_record::Slot;
use nx_image::manifest::{Manifest, SegmentKind};

use self::boot::Provisioned;
use self::contents::Installed;
use self::job::Job;
use self::table::Found;
use self::view::View;
use super::Store;
use super::disk::Disk;
use super::error::StorageError;
use super::pages::Pages;
use super::places::Places;
use super::search::Search;
use crate::device::{Outcome, Request, SlotStatus, StoreError, StoreStatus};
use crate::wire::{BootTarget, LAYOUT_AB, SlotsInfo};

pub use confirm::Confirmed;
pub use open::{AbConfig, Opened};

/// What runs on the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// The slot that it was started from; nothing where it comes from elsewhere, or is not known.
    pub slot: Option<Slot>,
    /// It is the recovery, which leaves the state alone.
    pub recovery: bool,
}

/// A device's storage on a disk with two slots.
#[derive(Debug)]
pub struct AbStore {
    disk: Box<dyn Disk>,
    /// Digests of blocks, which prove themselves.
    pages: Box<dyn Pages>,
    running: Running,
    /// For messages.
    path: PathBuf,
    /// What is being transferred.
    job: Option<Job>,
    /// What is installed, once it was read.
    installed: Option<Installed>,
    /// Where the installed image has its blocks, once that was asked.
    places: Option<Places>,
    /// The search for blocks at any offset of it.
    search: Option<Search>,
}

impl AbStore {
    /// For `map_err`: names what was done.
    fn io(&self, op: &'static str) -> impl Fn(io::Error) -> StorageError + '_ {
        StorageError::io(op, &self.path)
    }

    /// The slot that holds what is installed: what boots next, or runs.
    fn active(&self, disk: &Provisioned) -> Slot {
        let record = &disk.record;
        let is_over = disk.tries_left() == Some(0) && self.running.slot != Some(record.slot);
        if is_over {
            record.confirmed()
        } else {
            record.slot
        }
    }

    fn status(&self) -> Result<StoreStatus, StorageError> {
        let status = StoreStatus {
            capacity: self.disk.size(),
            layout: LAYOUT_AB.to_owned(),
            slots: Some(Box::default()),
            ..StoreStatus::default()
        };
        let Some(disk) = self.look()? else {
            return Ok(StoreStatus {
                staged: self.job.as_ref().map(Job::digest),
                ..status
            });
        };
        let record = &disk.record;
        let active = self.active(&disk);
        let idle = record.confirmed().other();
        let staged = if record.names(idle) {
            None
        } else {
            self.held(disk.at, idle)?
        };
        Ok(StoreStatus {
            installed: self.named(&disk, active)?,
            staged: staged.map(|raw| Manifest::digest_of(&raw)),
            slots: Some(Box::new(SlotStatus {
                told: Some(self.told(&disk)),
                rooms: rooms(&disk, idle),
                unconfirmed: self.unconfirmed(&disk),
                state_in_use: self.running.slot.is_some() && !self.running.recovery,
            })),
            ..status
        })
    }

    fn told(&self, disk: &Provisioned) -> SlotsInfo {
        let record = &disk.record;
        let choice = disk.choice();
        SlotsInfo {
            running: self.running.slot,
            confirmed: record.confirmed(),
            boots: choice.slot,
            fallback: record.fallback,
            tries: disk.tries_left(),
            next: if record.recovery {
                BootTarget::Recovery
            } else {
                BootTarget::Normal
            },
            a: record.a.manifest,
            b: record.b.manifest,
        }
    }

    /// Why the slot that an update goes to may not be written.
    fn unconfirmed(&self, disk: &Provisioned) -> Option<String> {
        let confirmed = disk.record.confirmed();
        let running = self.running.slot.filter(|running| *running != confirmed)?;
        Some(format!(
            "slot {running} runs, and slot {confirmed} is the confirmed one"
        ))
    }

    fn set_boot(&mut self, target: BootTarget) -> Result<(), StoreError> {
        let none = || StoreError::Unsupported("the disk is not provisioned".to_owned());
        self.disk.claim()?;
        let result = self.look()?.ok_or_else(none).and_then(|disk| {
            let record = disk.record.with_recovery(target == BootTarget::Recovery);
            match record.map_err(StorageError::from)? {
                Some(record) => Ok(self.write_record(&disk, &record)?),
                None => Ok(()),
            }
        });
        if self.job.as_ref().is_none_or(|job| !job.is_begun()) {
            self.disk.release();
        }
        result
    }

    fn answer(&mut self, request: Request) -> Result<Outcome, StoreError> {
        Ok(match request {
            Request::Status => {
                // Another process may have written meanwhile.
                self.installed = None;
                Outcome::Status(self.status()?)
            }
            Request::Begin {
                manifest,
                signature,
                restart,
                ..
            } => Outcome::Began {
                resumed: self.begin(manifest, signature, restart)?,
            },
            Request::LoadDirectory { root } => Outcome::Bytes(self.pages.load(&root, None)),
            Request::StoreDirectory { root, bytes } => {
                self.pages.store(&root, None, &bytes)?;
                Outcome::Done
            }
            Request::LoadPage { root, page } => Outcome::Bytes(self.pages.load(&root, Some(page))),
            Request::StorePage { root, page, bytes } => {
                self.pages.store(&root, Some(page), &bytes)?;
                Outcome::Done
            }
            Request::Digest {
                area,
                offset,
                bytes,
            } => Outcome::Digest(self.digest(area, offset, bytes)?),
            Request::ReadBack {
                offset,
                bytes,
                block_bytes,
            } => Outcome::Digests(self.read_back(offset, bytes, block_bytes)?),
            Request::Adopt { offset, bytes } => {
                self.adopt(offset, bytes)?;
                Outcome::Done
            }
            Request::MaySearch => Outcome::Flag(self.may_search()),
            Request::Learn {
                offset,
                block_bytes,
                sums,
            } => {
                self.search
                    .get_or_insert_with(|| Search::new(block_bytes))
                    .learn(offset, &sums);
                Outcome::Done
            }
            Request::Search => Outcome::Flag(self.search_on()?),
            Request::Gather {
                digest,
                offset,
                bytes,
            } => Outcome::Flag(self.gather(&digest, offset, bytes)?),
            Request::Write { offset, bytes } => {
                self.write(offset, bytes)?;
                Outcome::Done
            }
            Request::Sync => {
                self.disk.sync().map_err(self.io("sync"))?;
                Outcome::Done
            }
            Request::ZeroGap { offset, bytes } => {
                self.zero_gap(offset, bytes)?;
                Outcome::Done
            }
            Request::IsZero { offset, bytes } => {
                Outcome::Flag(self.installed_is_zero(offset, bytes)?)
            }
            // What is kept stays where it is.
            Request::Carry { .. } => Outcome::Done,
            Request::Discard => {
                self.end_job();
                Outcome::Done
            }
            Request::Install => {
                self.install()?;
                Outcome::Done
            }
            Request::Read { offset, bytes } => Outcome::Bytes(self.read(offset, bytes)?),
            Request::SetBoot(target) => {
                self.set_boot(target)?;
                Outcome::Done
            }
            // No store's matter.
            Request::Speed(_) => Outcome::Speed { held: false },
        })
    }

    fn end_job(&mut self) {
        self.job = None;
        self.installed = None;
        self.places = None;
        self.search = None;
        self.disk.release();
    }
}

impl Store for AbStore {
    fn serve(&mut self, request: Request) -> Outcome {
        self.answer(request).unwrap_or_else(Outcome::Failed)
    }
}

/// Room in the partitions that an update may write, by the names of the segments.
fn rooms(disk: &Provisioned, idle: Slot) -> Vec<(String, u64)> {
    let kinds = SegmentKind::ALL.into_iter();
    kinds
        .filter_map(|kind| {
            let name = nx_image::boot_record::partition_name(kind, idle);
            Some((kind.as_str().to_owned(), disk.partitions.room(&name)?))
        })
        .collect()
}
