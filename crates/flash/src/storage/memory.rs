//! A store in memory, for devices in a test or a demonstration.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use nx_image::digest::Digest;
use nx_image::manifest::Manifest;

use super::Store;
use super::places::Places;
use crate::device::{Area, Outcome, Request, StoreStatus};
use crate::wire::BootTarget;

/// What a [`MemoryStore`] holds.
#[derive(Clone, Debug, Default)]
struct Held {
    installed: Option<(Vec<u8>, Vec<u8>)>,
    staged: Option<(Vec<u8>, Vec<u8>)>,
    digests: BTreeMap<(Digest, Option<u16>), Vec<u8>>,
    boot: Option<BootTarget>,
    writes: u64,
}

/// A store in memory. Clones share what it holds, so that a device can restart on it.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<Held>>);

impl MemoryStore {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The installed image.
    pub fn installed(&self) -> Option<Vec<u8>> {
        self.with(|held| held.installed.as_ref().map(|(_, image)| image.clone()))
    }

    /// What the next boot is set to.
    pub fn next_boot(&self) -> Option<BootTarget> {
        self.with(|held| held.boot)
    }

    /// Blocks that were written since it was made.
    pub fn writes(&self) -> u64 {
        self.with(|held| held.writes)
    }

    /// Changes a byte of what is staged, as a medium that rots would.
    pub fn rot_staged(&self, offset: usize) {
        self.with(|held| {
            let staged = held.staged.as_mut().map(|(_, image)| image);
            if let Some(byte) = staged.and_then(|image| image.get_mut(offset)) {
                *byte ^= 0x80;
            }
        });
    }

    /// Writes to the installed image behind the device's back, as a running system does to its
    /// state.
    pub fn write_installed(&self, offset: u64, bytes: &[u8]) {
        self.with(|held| {
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            let to = from.saturating_add(bytes.len());
            let installed = held.installed.as_mut().map(|(_, image)| image);
            if let Some(place) = installed.and_then(|image| image.get_mut(from..to)) {
                place.copy_from_slice(bytes);
            }
        });
    }

    fn with<R>(&self, look: impl FnOnce(&mut Held) -> R) -> R {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Held {
    fn area(&self, area: Area) -> Option<&[u8]> {
        let kept = match area {
            Area::Staged => &self.staged,
            Area::Installed => &self.installed,
        };
        kept.as_ref().map(|(_, image)| image.as_slice())
    }

    fn bytes(&self, area: Area, offset: u64, bytes: u64) -> Option<&[u8]> {
        let from = usize::try_from(offset).ok()?;
        let to = from.checked_add(usize::try_from(bytes).ok()?)?;
        self.area(area)?.get(from..to)
    }

    fn stage(&mut self, offset: u64, bytes: &[u8]) {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let to = from.saturating_add(bytes.len());
        let staged = self.staged.as_mut().map(|(_, image)| image);
        if let Some(place) = staged.and_then(|image| image.get_mut(from..to)) {
            place.copy_from_slice(bytes);
        }
    }

    fn gather(&mut self, digest: &Digest, offset: u64, bytes: u32) -> bool {
        let Some((raw, _)) = &self.installed else {
            return false;
        };
        let Ok(manifest) = Manifest::parse(raw) else {
            return false;
        };
        let page = |root: &Digest, page| self.digests.get(&(*root, Some(page))).cloned();
        let found = Places::of(&manifest, page)
            .find(digest)
            .and_then(|from| self.bytes(Area::Installed, from, u64::from(bytes)))
            .filter(|found| Digest::of(found) == *digest)
            .map(<[u8]>::to_vec);
        if let Some(found) = &found {
            self.stage(offset, found);
        }
        found.is_some()
    }

    fn copy(&mut self, offset: u64, bytes: u64) {
        let found = self
            .bytes(Area::Installed, offset, bytes)
            .map(<[u8]>::to_vec);
        self.stage(offset, &found.unwrap_or_default());
    }
}

impl Store for MemoryStore {
    fn serve(&mut self, request: Request) -> Outcome {
        self.with(|held| match request {
            Request::Status => Outcome::Status(StoreStatus {
                installed: held
                    .installed
                    .as_ref()
                    .map(|(manifest, _)| manifest.clone()),
                interrupted: None,
                staged: held
                    .staged
                    .as_ref()
                    .map(|(manifest, _)| Manifest::digest_of(manifest)),
                capacity: 1 << 30,
                layout: "memory".to_owned(),
                slots: None,
            }),
            Request::Begin {
                manifest,
                image_bytes,
                restart,
                ..
            } => {
                let same = held
                    .staged
                    .as_ref()
                    .is_some_and(|(known, _)| *known == manifest);
                let resumed = same && !restart;
                if !resumed {
                    let image = vec![0; usize::try_from(image_bytes).unwrap_or(0)];
                    held.staged = Some((manifest, image));
                }
                Outcome::Began { resumed }
            }
            Request::LoadDirectory { root } => {
                Outcome::Bytes(held.digests.get(&(root, None)).cloned())
            }
            Request::StoreDirectory { root, bytes } => {
                held.digests.insert((root, None), bytes);
                Outcome::Done
            }
            Request::LoadPage { root, page } => {
                Outcome::Bytes(held.digests.get(&(root, Some(page))).cloned())
            }
            Request::StorePage { root, page, bytes } => {
                held.digests.insert((root, Some(page)), bytes);
                Outcome::Done
            }
            Request::Digest {
                area,
                offset,
                bytes,
            } => Outcome::Digest(held.bytes(area, offset, u64::from(bytes)).map(Digest::of)),
            Request::ReadBack {
                offset,
                bytes,
                block_bytes,
            } => {
                let staged = held.bytes(Area::Staged, offset, u64::from(bytes));
                let block = usize::try_from(block_bytes).unwrap_or(1).max(1);
                let blocks = staged.unwrap_or_default().chunks(block);
                Outcome::Digests(blocks.map(Digest::of).collect())
            }
            Request::Adopt { offset, bytes } => {
                held.copy(offset, u64::from(bytes));
                Outcome::Done
            }
            // It is found at the offsets of blocks, and no others.
            Request::MaySearch | Request::Search => Outcome::Flag(false),
            Request::Learn { .. } => Outcome::Done,
            Request::Gather {
                digest,
                offset,
                bytes,
            } => Outcome::Flag(held.gather(&digest, offset, bytes)),
            Request::Write { offset, bytes } => {
                held.writes = held.writes.saturating_add(1);
                held.stage(offset, &bytes);
                Outcome::Done
            }
            Request::Sync => Outcome::Done,
            Request::ZeroGap { offset, bytes } => {
                held.stage(offset, &vec![0; usize::try_from(bytes).unwrap_or(0)]);
                Outcome::Done
            }
            Request::IsZero { offset, bytes } => {
                let found = held.bytes(Area::Installed, offset, bytes);
                Outcome::Flag(found.is_some_and(|found| found.iter().all(|byte| *byte == 0)))
            }
            Request::Carry { offset, bytes } => {
                held.copy(offset, bytes);
                Outcome::Done
            }
            Request::Discard => {
                held.staged = None;
                Outcome::Done
            }
            Request::Install => {
                held.installed = held.staged.take();
                Outcome::Done
            }
            Request::Read { offset, bytes } => {
                let len = held.area(Area::Installed).map_or(0, <[u8]>::len);
                let left = u64::try_from(len).unwrap_or(0).saturating_sub(offset);
                let bytes = u64::from(bytes).min(left);
                let found = held.bytes(Area::Installed, offset, bytes);
                Outcome::Bytes(found.map(<[u8]>::to_vec))
            }
            Request::SetBoot(target) => {
                held.boot = Some(target);
                Outcome::Done
            }
            // No store's matter.
            Request::Speed(_) => Outcome::Speed { held: false },
        })
    }
}
