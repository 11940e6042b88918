//! Cuts the power in a recorded run, and again in what recovers from it.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use flash_matrix::Draw;
use sha2::{Digest as _, Sha256};

use crate::cuts::{Kind, fates};
use crate::medium::Medium;
use crate::promises::Promises;
use crate::recorder::Entry;
use crate::tree::Tree;

/// One in so many crash states is cut again while it recovers.
const CUT_AGAIN: usize = 6;
/// Deepest cut in the recovery of a cut.
const DEPTH_MAX: u32 = 3;

/// Something that runs, can be cut, and has to recover.
pub(crate) trait World {
    /// Recovers from `crash`, which it finds laid out nowhere yet; `place` is an empty folder for
    /// that. Returns what it did.
    ///
    /// # Errors
    /// What does not hold that has to.
    fn recover(
        &self,
        crash: &Tree,
        promises: &Promises,
        place: &Path,
    ) -> Result<Vec<Entry>, String>;
}

/// A crash state that was recovered from.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// Names what the medium held.
    pub(crate) digest: [u8; 32],
    pub(crate) kind: Kind,
    /// One for a cut, two for a cut in the recovery from one, and so on.
    pub(crate) cuts: u32,
}

/// What exploring a world gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    pub(crate) states: Vec<State>,
    /// What does not hold, with the number of the state.
    pub(crate) violations: Vec<(usize, String)>,
    /// Runs in which an operation failed.
    pub(crate) faults: usize,
    /// Whether the medium lied or rotted here: its states are counted apart.
    pub(crate) is_apart: bool,
    pub(crate) log: Sha256,
}

impl Findings {
    /// A line of the log.
    pub(crate) fn note(&mut self, line: &str) {
        self.log.update(line);
        self.log.update("\n");
    }
}

/// Explores one world.
#[derive(Debug)]
pub(crate) struct Explorer {
    scratch: PathBuf,
    draw: Draw,
    seen: HashSet<([u8; 32], Promises)>,
    pub(crate) findings: Findings,
    /// Where states are of interest: all others are made and not run.
    only: Option<usize>,
    story: String,
}

/// Some place to be used once.
#[derive(Debug)]
pub(crate) struct Place(pub(crate) PathBuf);

impl Place {
    pub(crate) fn new(path: PathBuf) -> Self {
        fs::create_dir_all(&path).expect("there is room in memory");
        Self(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Explorer {
    /// Works in the folder `scratch`; tells all of the state numbered `only`, if it is given.
    pub(crate) fn new(scratch: &Path, draw: Draw, only: Option<usize>) -> Self {
        Self {
            scratch: scratch.to_owned(),
            draw,
            seen: HashSet::new(),
            findings: Findings::default(),
            only,
            story: String::new(),
        }
    }

    /// What led to the state that was asked for.
    pub(crate) fn story(&self) -> &str {
        &self.story
    }

    /// Cuts the power after every step of a run that began with `base`.
    pub(crate) fn cut_everywhere(
        &mut self,
        world: &dyn World,
        base: &Tree,
        log: &[Entry],
        promises: &Promises,
    ) {
        if self.only.is_some() {
            self.tell_of(log);
        }
        let mut medium = Medium::of(base.clone());
        let mut promises = *promises;
        for cut in 0..=log.len() {
            for fates in fates(&medium.open(), &mut self.draw) {
                let crash = medium.after_cut(&fates);
                let told = format!("cut after {cut} of {}: {fates:?}", log.len());
                self.state(world, &crash, Kind::of(&fates), &promises, 1, &told);
            }
            if let Some(entry) = log.get(cut) {
                apply(&mut medium, &mut promises, entry);
            }
        }
    }

    /// Cuts the power so many times somewhere in a run.
    pub(crate) fn cut_sometimes(
        &mut self,
        world: &dyn World,
        base: &Tree,
        log: &[Entry],
        times: usize,
    ) {
        for _ in 0..times {
            self.cut_somewhere(world, base, log, &Promises::default(), 1);
        }
    }

    /// One state that no cut made.
    pub(crate) fn as_it_is(&mut self, world: &dyn World, tree: &Tree, told: &str) {
        self.state(world, tree, Kind::InOrder, &Promises::default(), 1, told);
    }

    /// Cuts the power once, somewhere in a run.
    fn cut_somewhere(
        &mut self,
        world: &dyn World,
        base: &Tree,
        log: &[Entry],
        promises: &Promises,
        cuts: u32,
    ) {
        let at = self.draw.within(0..=log.len());
        let mut medium = Medium::of(base.clone());
        let mut promises = *promises;
        for entry in &log[..at] {
            apply(&mut medium, &mut promises, entry);
        }
        let mut fates = fates(&medium.open(), &mut self.draw);
        let fates = fates.swap_remove(self.draw.within(0..=fates.len() - 1));
        let crash = medium.after_cut(&fates);
        let told = format!("cut {cuts} after {at} of {}: {fates:?}", log.len());
        if self.only == Some(self.findings.states.len()) {
            self.tell_of(log);
        }
        self.state(world, &crash, Kind::of(&fates), &promises, cuts, &told);
    }

    fn state(
        &mut self,
        world: &dyn World,
        crash: &Tree,
        kind: Kind,
        promises: &Promises,
        cuts: u32,
        told: &str,
    ) {
        let digest = crash.digest();
        if !self.seen.insert((digest, *promises)) {
            return;
        }
        let number = self.findings.states.len();
        self.findings.states.push(State { digest, kind, cuts });
        let place = Place::new(self.scratch.join(number.to_string()));
        let recover = || world.recover(crash, promises, &place.0);
        let recovered = catch_unwind(AssertUnwindSafe(recover)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("panicked: {}", text.unwrap_or_default()))
        });
        drop(place);
        let said = match &recovered {
            Ok(log) => format!("recovered in {} steps", log.len()),
            Err(why) => why.clone(),
        };
        let short: String = digest[..8].iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        self.findings
            .note(&format!("{number} {cuts} {kind:?} {short} {said}"));
        if self.only.is_none_or(|only| only >= number) && (self.only.is_some()) {
            self.tell(number, crash, promises, told, &recovered);
        }
        match recovered {
            Err(why) => self
                .findings
                .violations
                .push((number, format!("{told}\n  {why}"))),
            Ok(log) if cuts < DEPTH_MAX && self.draw.one_in(CUT_AGAIN) => {
                self.cut_somewhere(world, crash, &log, promises, cuts + 1);
            }
            Ok(_) => {}
        }
    }

    fn tell_of(&mut self, log: &[Entry]) {
        for (at, entry) in log.iter().enumerate() {
            let _ = writeln!(self.story, "{at} {}", entry.brief());
        }
    }

    fn tell(
        &mut self,
        number: usize,
        crash: &Tree,
        promises: &Promises,
        told: &str,
        recovered: &Result<Vec<Entry>, String>,
    ) {
        if self.only != Some(number) {
            return;
        }
        let story = &mut self.story;
        let _ = writeln!(story, "{told}\n{promises:?}\non the medium:");
        for (path, bytes) in crash.entries() {
            let len = bytes.map_or("folder".to_owned(), |bytes| bytes.len().to_string());
            let _ = writeln!(story, "  {path} {len}");
        }
        let _ = match recovered {
            Ok(log) => {
                let _ = writeln!(story, "recovers by:");
                log.iter().enumerate().for_each(|(at, entry)| {
                    let _ = writeln!(story, "  {at} {}", entry.brief());
                });
                Ok(())
            }
            Err(why) => writeln!(story, "{why}"),
        };
    }
}

fn apply(medium: &mut Medium, promises: &mut Promises, entry: &Entry) {
    match entry {
        Entry::Changed(step) => medium.change(step),
        Entry::Synced(inode) => medium.sync(*inode),
        Entry::SyncFailed(inode) => medium.sync_failed(*inode),
        Entry::Forgot(inode) => {
            medium.forget(*inode);
        }
        Entry::Told(promise) => promises.take(*promise),
    }
}
