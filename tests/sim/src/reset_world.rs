//! A factory reset: what goes, what stays, and what has to hold when the power goes.

use std::collections::BTreeMap;
use std::path::Path;

use flash_matrix::{Draw, random_bytes};
use nx_reset::{Event, ResetError, execute_with, survey};

use crate::explorer::World;
use crate::promises::{Promise, Promises};
use crate::recorder::{Entry, Recorder};
use crate::tree::{Inode, ROOT, Step, Tree};

/// What stays, by `docs/provisioning/factory-reset.md`.
const KEPT: [&str; 5] = ["boot", "bootctl", "keystore", "statefsd", "trust"];
/// What goes by name, and some of what goes because nothing says that it stays.
const GOES: [&str; 8] = [
    "apps",
    "content",
    "settings",
    "app",
    "crash",
    "Trust",
    "shared",
    "lost+found",
];
const RESERVED: &str = ".nx-reset";

/// A state root and what is in it.
#[derive(Debug)]
pub(crate) struct ResetWorld {
    base: Tree,
    /// The process dies before this operation, and is started again.
    pub(crate) killed_at: Option<usize>,
}

impl ResetWorld {
    pub(crate) fn of(draw: &mut Draw) -> Self {
        let mut base = Tree::default();
        for name in KEPT.iter().take(draw.within(1..=KEPT.len())) {
            grow(&mut base, ROOT, name, 2, draw);
        }
        for name in GOES {
            if name == "apps" || draw.one_in(2) {
                grow(&mut base, ROOT, name, 3, draw);
            }
        }
        if draw.one_in(6) {
            // Litter of a reset that never came to its intent.
            grow(&mut base, ROOT, RESERVED, 1, draw);
            base.cut_off(".nx-reset/intent");
        }
        let killed_at = draw.one_in(2).then(|| draw.within(1..=40));
        Self { base, killed_at }
    }

    pub(crate) fn base(&self) -> &Tree {
        &self.base
    }

    pub(crate) fn title(&self) -> String {
        let killed = self.killed_at.map_or(String::new(), |at| {
            format!(", the process killed before operation {at}")
        });
        format!("Reset of {} entries{killed}", self.base.entries().len())
    }

    /// Resets what is there, from the plan to the end.
    pub(crate) fn reset(recorder: &Recorder, place: &Path) -> Result<(), ResetError> {
        let plan = survey(place)?.plan();
        let mut ops = recorder.clone();
        execute_with(&mut ops, place, &plan, &mut |event| {
            if matches!(event, Event::Started { .. }) {
                recorder.tell(Promise::ResetBegun);
            }
        })?;
        recorder.tell(Promise::ResetDone);
        Ok(())
    }

    /// That what stays is all there, and that nothing is there in half.
    fn check(&self, tree: &Tree) -> Result<(), String> {
        let (before, now) = (by_top(&self.base), by_top(tree));
        for (top, whole) in &before {
            let found = now.get(top);
            let is_kept = KEPT.contains(top);
            if is_kept && found != Some(whole) {
                return Err(format!("{top} is not what it was"));
            }
            if !is_kept && *top != RESERVED && found.is_some_and(|found| found != whole) {
                return Err(format!("half of {top} is there"));
            }
        }
        match now
            .keys()
            .find(|top| !before.contains_key(*top) && **top != RESERVED)
        {
            Some(new) => Err(format!("{new} was not there before")),
            None => Ok(()),
        }
    }

    /// Whether only what stays is there.
    fn is_reset(&self, tree: &Tree) -> bool {
        let kept = |tops: BTreeMap<&str, BTreeMap<String, Option<Vec<u8>>>>| {
            let kept = tops.into_iter().filter(|(top, _)| KEPT.contains(top));
            kept.map(|(top, all)| (top.to_owned(), all))
                .collect::<Vec<_>>()
        };
        by_top(tree).keys().all(|top| KEPT.contains(top))
            && kept(by_top(tree)) == kept(by_top(&self.base))
    }
}

impl World for ResetWorld {
    fn recover(
        &self,
        crash: &Tree,
        promises: &Promises,
        place: &Path,
    ) -> Result<Vec<Entry>, String> {
        self.check(crash)?;
        if promises.reset_done && !self.is_reset(crash) {
            return Err("what was said to be removed is back".to_owned());
        }
        let recorder = Recorder::on(place, crash);
        let goes = by_top(crash)
            .into_keys()
            .any(|top| top != RESERVED && !KEPT.contains(&top));
        let found = survey(place).map_err(|error| format!("cannot be looked at: {error}"))?;
        if promises.reset_begun && goes && found.pending.is_none() {
            return Err("a reset that had begun is forgotten".to_owned());
        }
        Self::reset(&recorder, place).map_err(|error| format!("does not finish: {error}"))?;
        let after = recorder.live();
        if !self.is_reset(&after) {
            return Err("after all, it is not reset".to_owned());
        }
        recorder.check(place)?;
        Ok(recorder.log())
    }
}

/// What is below each name of the root.
fn by_top(tree: &Tree) -> BTreeMap<&str, BTreeMap<String, Option<Vec<u8>>>> {
    let mut tops: BTreeMap<&str, BTreeMap<String, Option<Vec<u8>>>> = BTreeMap::new();
    for (path, bytes) in tree.entries() {
        let top = path.split('/').next().unwrap_or_default();
        let known = KEPT.iter().chain(&GOES).chain(&[RESERVED]);
        let top = known.copied().find(|known| *known == top).unwrap_or("?");
        tops.entry(top)
            .or_default()
            .insert(path, bytes.map(<[u8]>::to_vec));
    }
    tops
}

/// Makes a folder with something in it.
fn grow(tree: &mut Tree, folder: Inode, name: &str, depth: u32, draw: &mut Draw) {
    let made = tree.next();
    let name = name.to_owned();
    tree.make(&Step::MakeFolder { folder, name, made });
    let here = made;
    for number in 0..draw.within(0..=3) {
        if depth > 0 && draw.one_in(2) {
            grow(tree, here, &format!("d{number}"), depth - 1, draw);
            continue;
        }
        let made = tree.next();
        let name = draw
            .pick(&["a", "b", "intent", "trash", "0", "1"])
            .to_owned();
        tree.make(&Step::MakeFile {
            folder: here,
            name,
            made,
        });
        tree.write(made, 0, &random_bytes(draw.within(0..=1_200), made as u64));
    }
}
