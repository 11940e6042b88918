//! A device with a file store: what it is sent, and what has to hold when the power goes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flash_matrix::{Draw, TestImage, random_bytes};
use nx_flash::device::{self, Outcome, Request, StoreStatus};
use nx_flash::host::{self, Job};
use nx_flash::storage::{FileStore, FileStoreConfig, Layout, Store as _};
use nx_flash::wire::{BootTarget, Verdict};
use nx_image::manifest::SegmentKind;

use crate::explorer::World;
use crate::promises::{Promise, Promises};
use crate::recorder::{Entry, Recorder};
use crate::session::{Ended, Session};
use crate::tree::{SECTOR_BYTES, Tree};
use crate::wire::{Harm, Harms};

const TARGET: &str = "disk.img";
const STAGING: &str = ".disk.img.nx-staging";
const BOOT: &str = "next-boot";
const BLOCK_BYTES: usize = 4_096;

/// What a device held before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum History {
    Blank,
    /// The old image.
    Old,
    /// The old image, and some of the new one staged.
    Partial,
    /// The old image with bytes that rotted; it is sent once more.
    Rotten,
}

/// What is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Send,
    Verify,
    Reboot,
}

/// A device, two images and a job, all from one number.
#[derive(Debug)]
pub(crate) struct FlashWorld {
    layout: Layout,
    history: History,
    deed: Deed,
    wipe_state: bool,
    chunk_bytes: u32,
    harms: [Harms; 2],
    old: TestImage,
    new: TestImage,
    /// What the running system made of its state.
    state: Vec<u8>,
}

impl FlashWorld {
    pub(crate) fn of(draw: &mut Draw) -> Self {
        let layout = draw.pick(&[Layout::File, Layout::File, Layout::InPlace]);
        let history = draw.pick(&[
            History::Blank,
            History::Old,
            History::Old,
            History::Partial,
            History::Rotten,
        ]);
        let deed = match draw.within(0..=9) {
            0 => Deed::Verify,
            1 | 2 => Deed::Reboot,
            _ => Deed::Send,
        };
        let has_state = !draw.one_in(4);
        let [kernel, pkgfs] = [draw.within(1..=9_000), draw.within(1..=20_000)];
        let seed = draw.within(0..=1 << 40) as u64;
        let old_parts = [random_bytes(kernel, seed), random_bytes(pkgfs, seed ^ 1)];
        let new_parts = if history == History::Rotten {
            old_parts.clone()
        } else {
            update(&old_parts, draw)
        };
        let image = |parts: [Vec<u8>; 2], state: u8| {
            let [kernel, pkgfs] = parts;
            let mut segments = vec![(SegmentKind::Kernel, kernel)];
            segments.push((SegmentKind::Pkgfs, pkgfs));
            if has_state {
                // In front of it there is room, so that it lies where it lay before.
                segments.push((SegmentKind::State, vec![state; 3_000]));
            }
            placed(segments)
        };
        let old = image(old_parts, 0x11);
        let new = image(
            new_parts,
            if history == History::Rotten {
                0x11
            } else {
                0x22
            },
        );
        let fault = |draw: &mut Draw| {
            let mut harms = Harms::new();
            for _ in 0..draw.pick(&[0, 0, 1, 3]) {
                harms.insert(draw.within(0..=30), harm(draw));
            }
            harms
        };
        Self {
            layout,
            history,
            deed,
            wipe_state: has_state && draw.one_in(6),
            chunk_bytes: draw.chunk().max(512),
            harms: [fault(draw), fault(draw)],
            old,
            new,
            state: random_bytes(3_000, seed ^ 2),
        }
    }

    /// In a few words, what this is.
    pub(crate) fn title(&self) -> String {
        format!(
            "{:?} on {:?}, {}, {} + {} bytes, {} + {} frames harmed{}",
            self.deed,
            self.history,
            self.layout.as_str(),
            self.old.bytes.len(),
            self.new.bytes.len(),
            self.harms[0].len(),
            self.harms[1].len(),
            if self.wipe_state { ", state wiped" } else { "" }
        )
    }

    fn config(&self, place: &Path) -> FileStoreConfig {
        FileStoreConfig {
            target: place.join(TARGET),
            journal: place.join("journal"),
            layout: Some(self.layout),
            boot_record: Some(place.join(BOOT)),
        }
    }

    /// Opens the store; whoever sees its status is told of it.
    pub(crate) fn open(&self, recorder: &Recorder, place: &Path) -> Result<FileStore, String> {
        let ops: Arc<dyn nx_flash::storage::Ops> = Arc::new(recorder.clone());
        let mut store = FileStore::open_with(ops, &self.config(place))
            .map_err(|error| format!("does not open: {error}"))?;
        recorder.tell(Promise::Boot(store.boot()));
        let is_new = status(&mut store).installed.as_ref() == Some(&self.new.manifest_bytes);
        if is_new && self.old.manifest_bytes != self.new.manifest_bytes {
            recorder.tell(Promise::Installed);
        }
        Ok(store)
    }

    fn session(&self, deed: Deed) -> Session<'_> {
        match deed {
            Deed::Send => Session::send(&self.new, self.wipe_state).chunk_bytes(self.chunk_bytes),
            Deed::Verify => Session::of(&self.new, Job::Verify),
            Deed::Reboot => Session::of(&self.new, Job::Reboot(BootTarget::Recovery)),
        }
    }

    fn run(&self, session: Session<'_>, store: &mut FileStore, recorder: &Recorder) -> Ended {
        let boot = store.boot();
        session.run(store, boot, &mut |event| match event {
            device::Event::Accepted { manifest, .. } if *manifest == self.new.digest() => {
                recorder.tell(Promise::Accepted);
            }
            device::Event::Installed { manifest } if *manifest == self.new.digest() => {
                recorder.tell(Promise::Installed);
            }
            device::Event::Reboot(_) => recorder.tell(Promise::BootSet),
            _ => {}
        })
    }

    /// What the device holds before anything of interest happens.
    pub(crate) fn base(&self, place: &Path) -> Tree {
        let recorder = Recorder::on(place, &Tree::default());
        if self.history != History::Blank {
            let mut store = self.open(&recorder, place).expect("nothing is there");
            let ended = self.run(Session::send(&self.old, false), &mut store, &recorder);
            assert!(ended.is_installed(), "{}", ended.why());
            drop(store);
        }
        let mut tree = recorder.live();
        if self.history != History::Blank {
            let target = tree.find(Path::new(TARGET)).expect("it is installed");
            if let Some((at, _)) = state_of(&self.old) {
                tree.write(target, at, &self.state);
            }
            if self.history == History::Rotten {
                tree.write(target, 100, b"rotten");
            }
        }
        tree.cut_off("journal/lock");
        if self.history != History::Partial {
            return tree;
        }
        let again = place.join("partial");
        std::fs::create_dir_all(&again).expect("there is room");
        let recorder = Recorder::on(&again, &tree);
        let mut store = self.open(&recorder, &again).expect("it was closed");
        let session = Session::send(&self.new, self.wipe_state)
            .nonce(6)
            .stop_after_blocks(1);
        self.run(session, &mut store, &recorder);
        drop(store);
        let mut tree = recorder.live();
        tree.cut_off("journal/lock");
        tree
    }

    /// The job that is cut; what it told counts from its beginning on.
    pub(crate) fn deed(&self, recorder: &Recorder, place: &Path) -> Result<Ended, String> {
        let mut store = self.open(recorder, place)?;
        Ok(self.deed_on(&mut store, recorder))
    }

    /// The same, on a store that is open.
    pub(crate) fn deed_on(&self, store: &mut FileStore, recorder: &Recorder) -> Ended {
        let [there, back] = self.harms.clone();
        let session = self.session(self.deed).harms(there, back);
        self.run(session, store, recorder)
    }

    /// Sends the new image, over a clean link.
    pub(crate) fn send(&self, store: &mut FileStore, recorder: &Recorder) -> Ended {
        self.run(self.session(Deed::Send).nonce(9), store, recorder)
    }

    /// Whether the device finds that what is installed is what it should be.
    pub(crate) fn verify(&self, store: &mut FileStore, recorder: &Recorder) -> bool {
        says_that_all_matches(&self.run(self.session(Deed::Verify), store, recorder))
    }

    /// Whether the old image or the new one is at the target, whatever became of the state.
    pub(crate) fn holds_either(&self, tree: &Tree) -> bool {
        self.holds_but_for_state(tree, &self.old) || self.holds_but_for_state(tree, &self.new)
    }

    pub(crate) fn holds_new_but_for_state(&self, tree: &Tree) -> bool {
        self.holds_but_for_state(tree, &self.new)
    }

    fn holds_but_for_state(&self, tree: &Tree, image: &TestImage) -> bool {
        let Some(found) = self.target(tree, image.bytes.len()) else {
            return false;
        };
        let state = state_of(image).map_or(0..0, |(at, len)| at..at + len);
        let differs = |at: &usize| found[*at] != image.bytes[*at] && !state.contains(at);
        found.len() == image.bytes.len() && !(0..found.len()).any(|at| differs(&at))
    }

    /// What has to hold while the device runs, with nothing cut.
    pub(crate) fn check_running(&self, store: &mut FileStore, tree: &Tree) -> Result<(), String> {
        self.check_target(tree, &Promises::default())?;
        self.check_status(&status(store), tree, &Promises::default())
    }

    /// Whether the job ended as it has to when nothing was cut.
    pub(crate) fn judge(&self, ended: &Ended, tree: &Tree) -> Result<(), String> {
        let is_half_written = self.history == History::Partial && self.layout == Layout::InPlace;
        let nothing_there =
            self.deed == Deed::Verify && (self.history == History::Blank || is_half_written);
        if !ended.is_finished() && !nothing_there {
            return Err(format!("{:?} failed: {}", self.deed, ended.why()));
        }
        if self.deed == Deed::Send && !self.holds(tree, &self.expected()) {
            return Err("the installed image is another one".to_owned());
        }
        Ok(())
    }

    /// Where an image of so many bytes is to be; a target in place is longer where another image
    /// was, or will be.
    fn target<'t>(&self, tree: &'t Tree, bytes: usize) -> Option<&'t [u8]> {
        let found = tree.read(TARGET)?;
        match self.layout {
            Layout::File => Some(found),
            Layout::InPlace => Some(&found[..found.len().min(bytes)]),
        }
    }

    fn holds(&self, tree: &Tree, image: &[u8]) -> bool {
        self.target(tree, image.len()) == Some(image)
    }

    fn writes_again(&self) -> bool {
        self.layout == Layout::InPlace && self.wipe_state
    }

    /// The new image as it is to be installed here.
    fn expected(&self) -> Vec<u8> {
        let keeps = !self.wipe_state && self.history != History::Blank;
        with_state(&self.new, keeps.then_some(&self.state))
    }

    /// The old one as the running system left it.
    fn before(&self) -> Option<Vec<u8>> {
        let there = self.history != History::Blank;
        let mut bytes = there.then(|| with_state(&self.old, Some(&self.state)))?;
        if self.history == History::Rotten {
            bytes[100..106].copy_from_slice(b"rotten");
        }
        Some(bytes)
    }

    /// That the medium holds the old image or the new one, whole, whatever any record says.
    fn check_target(&self, crash: &Tree, promises: &Promises) -> Result<(), String> {
        if self.layout == Layout::InPlace {
            return Ok(());
        }
        let found = crash.read(TARGET);
        let before = self.before();
        if found == Some(&self.expected()[..]) {
            return Ok(());
        }
        if promises.installed && self.deed == Deed::Send {
            return Err("what was said to be installed is gone".to_owned());
        }
        if found == before.as_deref() {
            return Ok(());
        }
        Err(match found {
            Some(bytes) => format!("a mixture of {} bytes is at the target", bytes.len()),
            None => "nothing is at the target".to_owned(),
        })
    }

    /// That what the store calls installed is what the medium holds.
    fn check_status(
        &self,
        status: &StoreStatus,
        tree: &Tree,
        promises: &Promises,
    ) -> Result<(), String> {
        let (old, new) = (&self.old.manifest_bytes, &self.new.manifest_bytes);
        let before = self.before();
        match &status.installed {
            Some(raw) if raw == new && self.holds(tree, &self.expected()) => Ok(()),
            Some(raw) if raw == old && before.is_some_and(|before| self.holds(tree, &before)) => {
                if promises.installed && new != old {
                    Err("the old image is back".to_owned())
                } else {
                    Ok(())
                }
            }
            Some(raw) if raw == old && self.history == History::Rotten => {
                // It is mended block by block, where it lies.
                if self.layout == Layout::InPlace {
                    Err("a mixture in place counts as installed".to_owned())
                } else {
                    Err("another image counts as the installed one".to_owned())
                }
            }
            Some(_) => Err("another image counts as the installed one".to_owned()),
            // Who wipes the state of an image that is installed has it written again.
            None if promises.installed && !self.writes_again() => {
                Err("what was installed is not known".to_owned())
            }
            None if self.layout == Layout::File && self.before().is_some() => {
                Err("the old image is not known any more".to_owned())
            }
            None => {
                let may_lose_state =
                    self.wipe_state || self.before().is_none() || state_of(&self.old).is_none();
                if status.interrupted.is_none() && !may_lose_state {
                    return Err("whose state it holds is not known any more".to_owned());
                }
                Ok(())
            }
        }
    }

    fn check_boot(&self, tree: &Tree, promises: &Promises) -> Result<(), String> {
        match tree.read(BOOT) {
            Some(b"next-boot=recovery\n") => Ok(()),
            None if !promises.boot_set => Ok(()),
            other => Err(format!("the next boot is {other:?}")),
        }
    }

    /// Blocks that have to be sent to a device that kept what is staged in `crash`.
    fn blocks_missing(&self, crash: &Tree) -> usize {
        let staged = match self.layout {
            Layout::File => crash.read(STAGING),
            Layout::InPlace => crash.read(TARGET),
        };
        let staged = staged.filter(|bytes| bytes.len() == self.new.bytes.len());
        let Some(staged) = staged else {
            return usize::MAX;
        };
        let mut missing = 0;
        for (number, segment) in (0_u8..).zip(&self.new.manifest.segments) {
            let offset = segment.offset as usize;
            let wanted = self.new.segment(number);
            let held = &staged[offset..offset + wanted.len()];
            let pairs = wanted.chunks(BLOCK_BYTES).zip(held.chunks(BLOCK_BYTES));
            missing += pairs.filter(|(wanted, held)| wanted != held).count();
        }
        missing
    }
}

impl World for FlashWorld {
    fn recover(
        &self,
        crash: &Tree,
        promises: &Promises,
        place: &Path,
    ) -> Result<Vec<Entry>, String> {
        self.check_target(crash, promises)?;
        let recorder = Recorder::on(place, crash);
        let mut store = self.open(&recorder, place)?;
        if store.boot() <= promises.boot {
            return Err(format!("boot {} is used again", store.boot()));
        }
        let found = status(&mut store);
        self.check_status(&found, &recorder.live(), promises)?;
        self.check_boot(&recorder.live(), promises)?;

        let ended = self.send(&mut store, &recorder);
        if !ended.is_installed() || !ended.is_finished() {
            return Err(format!("does not finish: {}", ended.why()));
        }
        let sent = ended.progress.blocks_sent as usize;
        let missing = self.blocks_missing(crash);
        if promises.accepted && sent > missing {
            return Err(format!("{sent} blocks sent, {missing} were missing"));
        }
        drop(store);
        let after = recorder.live();
        if !self.holds(&after, &self.expected()) {
            return Err("after all, the installed image is another one".to_owned());
        }
        let litter: Vec<_> = after
            .entries()
            .into_keys()
            .filter(|path| path.ends_with("-new") || path.ends_with("-staging"))
            .collect();
        if litter.iter().any(|path| path == STAGING) || litter.len() > 2 {
            return Err(format!("left behind: {litter:?}"));
        }
        let log = recorder.log();
        let mut store = self.open(&recorder, place)?;
        let found = status(&mut store);
        if found.installed.as_ref() != Some(&self.new.manifest_bytes) {
            return Err("after all, the installed image is not known".to_owned());
        }
        recorder.check(place)?;
        Ok(log)
    }
}

/// What a store says of itself.
fn status(store: &mut FileStore) -> StoreStatus {
    match store.serve(Request::Status) {
        Outcome::Status(status) => status,
        other => panic!("{other:?} is no status"),
    }
}

/// Where the state is, and how long.
fn state_of(image: &TestImage) -> Option<(usize, usize)> {
    let segments = &image.manifest.segments;
    let state = segments
        .iter()
        .find(|segment| segment.kind == SegmentKind::State)?;
    Some((state.offset as usize, state.size as usize))
}

fn with_state(image: &TestImage, state: Option<&Vec<u8>>) -> Vec<u8> {
    let mut bytes = image.bytes.clone();
    if let (Some((at, len)), Some(state)) = (state_of(image), state) {
        bytes[at..at + len].copy_from_slice(state);
    }
    bytes
}

/// An image with its last segment always at one place.
fn placed(mut segments: Vec<(SegmentKind, Vec<u8>)>) -> TestImage {
    const STATE_AT: usize = 49_152;
    if segments.len() == 3 {
        let kernel = segments[0].1.len().next_multiple_of(4_096);
        let room = STATE_AT - kernel - 4_096;
        // A last byte holds the place of the rest.
        segments[1].1.resize(room, 0);
    }
    TestImage::from_segments(segments, BLOCK_BYTES as u32)
}

/// A new version: some blocks stay, some move, some are other ones.
fn update(old: &[Vec<u8>; 2], draw: &mut Draw) -> [Vec<u8>; 2] {
    let [mut kernel, mut pkgfs] = old.clone();
    let fresh = random_bytes(6_000, draw.within(0..=1 << 40) as u64);
    for part in [&mut kernel, &mut pkgfs] {
        match draw.within(0..=3) {
            0 => {
                // All of it moves.
                let shift = draw.within(1..=3_000);
                part.splice(0..0, fresh[..shift].iter().copied());
            }
            1 => {
                let at = draw.within(0..=part.len() - 1);
                let len = (part.len() - at).min(draw.within(1..=3 * SECTOR_BYTES));
                part[at..at + len].copy_from_slice(&fresh[..len]);
            }
            2 => *part = fresh[..draw.within(1..=fresh.len())].to_vec(),
            _ => {
                let at = draw.within(0..=part.len() - 1);
                part[at] ^= 1;
            }
        }
        part.truncate(20_000);
    }
    kernel.truncate(9_000);
    [kernel, pkgfs]
}

fn harm(draw: &mut Draw) -> Harm {
    match draw.within(0..=5) {
        0 => Harm::Flip {
            at: draw.within(0..=40),
            bits: 1 << draw.within(0..=7),
        },
        1 => Harm::Truncate(draw.within(0..=40)),
        2 => Harm::Duplicate,
        3 => Harm::Stall(Duration::from_millis(draw.within(1..=3_000) as u64)),
        4 => Harm::After(random_bytes(draw.within(1..=100), 5)),
        _ => Harm::Drop,
    }
}

/// Whether everything that a device says of an installed image was found to match.
fn says_that_all_matches(ended: &Ended) -> bool {
    ended.host.iter().any(|event| match event {
        host::Event::Verified {
            segments,
            gaps_zero,
            ..
        } => {
            *gaps_zero
                && segments
                    .iter()
                    .all(|segment| segment.verdict != Verdict::Differs)
        }
        _ => false,
    })
}
