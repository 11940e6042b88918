//! A disk with two slots: provisioned, updated or confirmed, and what has to hold when the power
//! goes.

use std::path::Path;

use flash_matrix::{Draw, random_bytes};
use nx_flash::device;
use nx_flash::storage::{AbStore, MemoryPages, Opened, Running};
use nx_image::boot_record::Slot;

use crate::explorer::World;
use crate::loader::{Boots, boots, holds};
use crate::promises::{Promise, Promises};
use crate::recorder::{Entry, RecordedDisk, Recorder};
use crate::release::{DISK_BYTES, Release};
use crate::session::{Ended, Session};
use crate::tree::{ROOT, Step, Tree};

const DISK: &str = "disk";

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Provision,
    Update,
    Confirm,
}

/// A disk, two releases and a deed, all from one number.
#[derive(Debug)]
pub(crate) struct AbWorld {
    deed: Deed,
    old: Release,
    new: Release,
}

impl AbWorld {
    pub(crate) fn of(draw: &mut Draw) -> Self {
        let deed = draw.pick(&[Deed::Provision, Deed::Update, Deed::Update, Deed::Confirm]);
        let seed = draw.within(0..=1 << 40) as u64;
        let mut part = |most: usize, seed: u64| random_bytes(draw.within(1..=most), seed);
        let old = [
            part(9_000, seed),
            part(5_000, seed ^ 1),
            part(20_000, seed ^ 2),
        ];
        let mut new = [
            part(9_000, seed ^ 3),
            part(5_000, seed ^ 4),
            part(20_000, seed ^ 5),
        ];
        // Some of it stays.
        let same = draw.within(0..=2);
        new[same].clone_from(&old[same]);
        let release = |[kernel, initrd, rootfs]: [Vec<u8>; 3]| Release::of(kernel, initrd, rootfs);
        Self {
            deed,
            old: release(old),
            new: release(new),
        }
    }

    pub(crate) fn title(&self) -> String {
        format!("{:?} on a disk with two slots", self.deed)
    }

    /// What runs while the deed is done.
    fn running(&self) -> Option<Slot> {
        match self.deed {
            Deed::Provision => None,
            Deed::Update => Some(Slot::A),
            Deed::Confirm => Some(Slot::B),
        }
    }

    fn open(&self, recorder: &Recorder, slot: Option<Slot>) -> Result<Opened, String> {
        let live = recorder.live();
        let disk = RecordedDisk {
            recorder: recorder.clone(),
            file: live.find(Path::new(DISK)).expect("there is a disk"),
        };
        let running = Running {
            slot,
            recovery: false,
        };
        AbStore::open_on(disk, MemoryPages::default(), running, Path::new(DISK))
            .map_err(|error| format!("does not open: {error}"))
    }

    fn send(
        &self,
        release: &Release,
        slot: Option<Slot>,
        recorder: &Recorder,
    ) -> Result<Ended, String> {
        let mut opened = self.open(recorder, slot)?;
        let session = Session::send(&release.image, false);
        let told = &mut |event: &device::Event| {
            if matches!(event, device::Event::Installed { .. }) {
                recorder.tell(Promise::Installed);
            }
        };
        Ok(session.run(&mut opened, 1, told))
    }

    /// The disk before.
    pub(crate) fn base(&self, place: &Path) -> Tree {
        let mut tree = Tree::default();
        let made = tree.next();
        tree.make(&Step::MakeFile {
            folder: ROOT,
            name: DISK.to_owned(),
            made,
        });
        tree.write(made, 0, &vec![0; DISK_BYTES]);
        let recorder = Recorder::on(place, &tree);
        let sent = |release, slot| {
            let ended = self.send(release, slot, &recorder).expect("it opens");
            assert!(ended.is_installed(), "{}", ended.why());
        };
        if self.deed != Deed::Provision {
            sent(&self.old, None);
        }
        if self.deed == Deed::Confirm {
            sent(&self.new, Some(Slot::A));
        }
        recorder.live()
    }

    /// Does what is cut.
    pub(crate) fn run(&self, recorder: &Recorder) -> Result<(), String> {
        match self.deed {
            Deed::Confirm => {
                let mut opened = self.open(recorder, self.running())?;
                opened.store.confirm().map_err(|error| error.to_string())?;
                recorder.tell(Promise::Installed);
                Ok(())
            }
            _ => {
                let ended = self.send(&self.new, self.running(), recorder)?;
                if ended.is_installed() && ended.is_finished() {
                    Ok(())
                } else {
                    Err(format!("does not finish: {}", ended.why()))
                }
            }
        }
    }

    fn check(&self, tree: &Tree, promises: &Promises) -> Result<(), String> {
        let disk = tree.read(DISK).unwrap_or_default();
        let found = boots(disk);
        let Some(Boots { slot, tries, other }) = found else {
            if self.deed == Deed::Provision && !promises.installed {
                return Ok(());
            }
            return Err("nothing boots".to_owned());
        };
        let (holds_old, holds_new) = (holds(disk, slot, &self.old), holds(disk, slot, &self.new));
        let told = format!("slot {slot}, tries {tries:?}, other {other}");
        match self.deed {
            _ if !holds_old && !holds_new => Err(format!("a mixture boots: {told}")),
            Deed::Provision if holds_old => Err(format!("what was never sent boots: {told}")),
            Deed::Provision => Ok(()),
            _ if tries.is_some() && !holds(disk, other, &self.old) => {
                Err(format!("nothing to fall back to: {told}"))
            }
            Deed::Update if promises.installed && !holds_new => {
                Err(format!("what was installed does not boot: {told}"))
            }
            Deed::Confirm if !holds_new => Err(format!("the running slot is lost: {told}")),
            Deed::Confirm if promises.installed && tries.is_some() => {
                Err(format!("the confirmation is lost: {told}"))
            }
            _ => Ok(()),
        }
    }
}

impl World for AbWorld {
    fn recover(
        &self,
        crash: &Tree,
        promises: &Promises,
        place: &Path,
    ) -> Result<Vec<Entry>, String> {
        self.check(crash, promises)?;
        let recorder = Recorder::on(place, crash);
        // The confirmed system runs again, or the new one, which is confirmed.
        self.run(&recorder)?;
        let after = recorder.live();
        let mut told = *promises;
        told.installed = true;
        self.check(&after, &told)?;
        Ok(recorder.log())
    }
}
