//! What is done in a world, and how it is gone through.

use std::path::Path;

use flash_matrix::Draw;

use crate::ab_world::AbWorld;
use crate::distrust::Distrust;
use crate::explorer::{Explorer, Place};
use crate::fault::{Fault, Strike};
use crate::flash_world::FlashWorld;
use crate::promises::Promises;
use crate::recorder::Recorder;
use crate::reset_world::ResetWorld;
use crate::tree::Tree;

/// Cuts after a run in which an operation failed.
const CUTS_AFTER_A_FAULT: usize = 3;

/// Draws a world, goes through it, and says what it was.
pub(crate) fn explore(draw: &mut Draw, scratch: &Path, explorer: &mut Explorer) -> String {
    match draw.within(0..=13) {
        0..=4 => cut_a_flash(draw, scratch, explorer),
        5..=8 => cut_a_reset(draw, scratch, explorer),
        12 | 13 => cut_a_disk(draw, scratch, explorer),
        9 => fail_a_flash(draw, scratch, explorer),
        10 => fail_a_reset(draw, scratch, explorer),
        _ => {
            explorer.findings.is_apart = true;
            if draw.one_in(2) {
                lie_to_a_flash(draw, scratch, explorer)
            } else {
                rot_a_flash(draw, scratch, explorer)
            }
        }
    }
}

/// A job of a device, cut everywhere; the process may have been killed and started again before.
fn cut_a_flash(draw: &mut Draw, scratch: &Path, explorer: &mut Explorer) -> String {
    let world = FlashWorld::of(draw);
    let killed_at = draw.one_in(3).then(|| draw.within(1..=60));
    let base = base(&world, scratch);
    let place = Place::new(scratch.join("run"));
    let recorder = Recorder::on(&place.0, &base);
    if let Some(at) = killed_at {
        recorder.fail(Some(Fault::kill(at)));
        let _ = world.deed(&recorder, &place.0);
        recorder.fail(None);
    }
    let outcome = world
        .deed(&recorder, &place.0)
        .and_then(|ended| world.judge(&ended, &recorder.live()))
        .and_then(|()| recorder.check(&place.0));
    complain(explorer, outcome);
    let log = recorder.log();
    explorer.cut_everywhere(&world, &base, &log, &Promises::default());
    let killed = killed_at.map_or(String::new(), |at| {
        format!(", killed before operation {at}")
    });
    format!("{}{killed}", world.title())
}

/// A reset, cut everywhere; the process may have been killed and started again before.
fn cut_a_reset(draw: &mut Draw, scratch: &Path, explorer: &mut Explorer) -> String {
    let world = ResetWorld::of(draw);
    let place = Place::new(scratch.join("run"));
    let recorder = Recorder::on(&place.0, world.base());
    if let Some(at) = world.killed_at {
        recorder.fail(Some(Fault::kill(at)));
        let _ = ResetWorld::reset(&recorder, &place.0);
        recorder.fail(None);
    }
    let outcome = ResetWorld::reset(&recorder, &place.0)
        .map_err(|error| error.to_string())
        .and_then(|()| recorder.check(&place.0));
    complain(explorer, outcome);
    let log = recorder.log();
    explorer.cut_everywhere(&world, world.base(), &log, &Promises::default());
    world.title()
}

/// A deed on a disk with two slots, cut everywhere.
fn cut_a_disk(draw: &mut Draw, scratch: &Path, explorer: &mut Explorer) -> String {
    let world = AbWorld::of(draw);
    let base = world.base(&Place::new(scratch.join("base")).0);
    let place = Place::new(scratch.join("run"));
    let recorder = Recorder::on(&place.0, &base);
    let outcome = world.run(&recorder);
    complain(explorer, outcome);
    let log = recorder.log();
    explorer.cut_everywhere(&world, &base, &log, &Promises::default());
    world.title()
}

/// A job of a device in which each operation fails once, in each way.
fn fail_a_flash(draw: &mut Draw, scratch: &Path, explorer: &mut Explorer) -> String {
    let world = FlashWorld::of(draw);
    let base = base(&world, scratch);
    for at in 0.. {
        let strike = draw.pick(&Strike::ALL);
        let place = Place::new(scratch.join(format!("run-{at}")));
        let recorder = Recorder::on(&place.0, &base);
        recorder.fail(Some(Fault::new(at, strike)));
        let outcome = fail_once(&world, &recorder, &place.0)
            .and_then(|()| recorder.check(&place.0))
            .map_err(|why| format!("operation {at} {strike:?}: {why}"));
        complain(explorer, outcome);
        if !recorder.has_struck() {
            break;
        }
        explorer.findings.faults += 1;
        explorer.cut_sometimes(&world, &base, &recorder.log(), CUTS_AFTER_A_FAULT);
    }
    format!("each operation fails: {}", world.title())
}

/// An operation fails; the device, which goes on, does what it is told the next time.
fn fail_once(world: &FlashWorld, recorder: &Recorder, place: &Path) -> Result<(), String> {
    if let Ok(mut store) = world.open(recorder, place) {
        let ended = world.deed_on(&mut store, recorder);
        if ended.is_finished() {
            world.judge(&ended, &recorder.live())?;
        }
        recorder.fail_no_more();
        world.check_running(&mut store, &recorder.live())?;
        let ended = world.deed_on(&mut store, recorder);
        return world.judge(&ended, &recorder.live());
    }
    recorder.fail_no_more();
    let mut store = world.open(recorder, place)?;
    let ended = world.deed_on(&mut store, recorder);
    world.judge(&ended, &recorder.live())
}

/// A reset in which each operation fails once, in each way.
fn fail_a_reset(draw: &mut Draw, scratch: &Path, explorer: &mut Explorer) -> String {
    let world = ResetWorld::of(draw);
    for at in 0.. {
        let strike = draw.pick(&Strike::ALL);
        let place = Place::new(scratch.join(format!("run-{at}")));
        let recorder = Recorder::on(&place.0, world.base());
        recorder.fail(Some(Fault::new(at, strike)));
        let _ = ResetWorld::reset(&recorder, &place.0);
        recorder.fail_no_more();
        let outcome = ResetWorld::reset(&recorder, &place.0)
            .map_err(|error| error.to_string())
            .and_then(|()| recorder.check(&place.0))
            .map_err(|why| format!("operation {at} {strike:?}: {why}"));
        complain(explorer, outcome);
        if !recorder.has_struck() {
            break;
        }
        explorer.findings.faults += 1;
        explorer.cut_sometimes(&world, world.base(), &recorder.log(), CUTS_AFTER_A_FAULT);
    }
    format!("each operation fails: {}", world.title())
}

/// A job on a medium that says of every sync that it was done, and did nothing.
fn lie_to_a_flash(draw: &mut Draw, scratch: &Path, explorer: &mut Explorer) -> String {
    let world = FlashWorld::of(draw);
    let base = base(&world, scratch);
    let place = Place::new(scratch.join("run"));
    let recorder = Recorder::on(&place.0, &base);
    recorder.lie();
    let outcome = world
        .deed(&recorder, &place.0)
        .and_then(|ended| world.judge(&ended, &recorder.live()));
    complain(explorer, outcome);
    let log = recorder.log();
    explorer.cut_everywhere(&Distrust(&world), &base, &log, &Promises::default());
    format!("no sync is done: {}", world.title())
}

/// A device whose files rot, bit by bit, before a job or after it.
fn rot_a_flash(draw: &mut Draw, scratch: &Path, explorer: &mut Explorer) -> String {
    let world = FlashWorld::of(draw);
    let base = base(&world, scratch);
    let place = Place::new(scratch.join("run"));
    let recorder = Recorder::on(&place.0, &base);
    let outcome = world.deed(&recorder, &place.0).map(|_| ());
    complain(explorer, outcome);
    for tree in [base, recorder.live()] {
        for _ in 0..200 {
            let (rotten, told) = rot(&tree, draw);
            explorer.as_it_is(&Distrust(&world), &rotten, &told);
        }
    }
    format!("bits rot: {}", world.title())
}

/// Turns over one to three bits of files that are there.
fn rot(tree: &Tree, draw: &mut Draw) -> (Tree, String) {
    let mut rotten = tree.clone();
    let entries = tree.entries();
    let files: Vec<(&String, usize)> = entries
        .iter()
        .filter_map(|(path, bytes)| Some((path, bytes.filter(|bytes| !bytes.is_empty())?.len())))
        .collect();
    let mut told = "rotten:".to_owned();
    for _ in 0..draw.within(1..=3) {
        let Some((path, len)) = files.get(draw.within(0..=files.len().max(1) - 1)) else {
            break;
        };
        let (at, bit) = (draw.within(0..=len - 1), draw.within(0..=7));
        if let Some(file) = rotten.find(Path::new(path)) {
            let byte = rotten.bytes(file).map_or(0, |bytes| bytes[at]);
            rotten.write(file, at, &[byte ^ 1 << bit]);
        }
        told.push_str(&format!(" bit {bit} of byte {at} of {path}"));
    }
    (rotten, told)
}

fn base(world: &FlashWorld, scratch: &Path) -> Tree {
    world.base(&Place::new(scratch.join("base")).0)
}

fn complain(explorer: &mut Explorer, outcome: Result<(), String>) {
    if let Err(why) = outcome {
        let number = explorer.findings.states.len();
        explorer.findings.note(&why);
        explorer.findings.violations.push((number, why));
    }
}
