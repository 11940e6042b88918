//! A command that needs no other program.

use crate::error::Result;
use crate::listing::Listing;
use crate::process::{End, Ended};
use crate::report::{Act, Report};
use crate::room::Room;
use crate::watch::Watch;
use crate::world::World;

/// A command of `nx` alone, and what may be left of it.
pub(super) trait Solo {
    /// Whether a command that fails may leave names, for the next run to go on from.
    const LEAVES_TRACES: bool;

    /// Its arguments.
    fn args(&self, world: &World, room: &Room) -> Vec<String>;

    /// Judges what is there when the command has ended, well or not.
    fn judge(&self, room: &Room, ended: &Ended, report: &mut Report) -> Result<()>;

    /// Judges what is there when the command was run again, without a fault.
    fn judge_again(&self, room: &Room, again: &Ended, report: &mut Report) -> Result<()>;
}

/// Runs it, with a fault or without, and then again.
pub(super) fn run<S: Solo>(solo: &S, world: &World, room: &Room, act: &Act<'_>) -> Result<Report> {
    let mut report = Report::default();
    let args = solo.args(world, room);
    let before = Listing::names_of(&room.work())?;
    let ended = world.run_nx(room, &act.watch(room), &args)?;
    match act.fault() {
        None => report.works("nx", &ended),
        Some(_) if ended.is_success() => {}
        Some(_) if act.kills() => report.claim(ended.end == End::Signal(9), || {
            format!("nx ended with {:?}: {}", ended.end, ended.err.trim())
        }),
        Some(fault) => report.refuses("nx", &ended, fault),
    }
    solo.judge(room, &ended, &mut report)?;
    if let Act::Fault(fault, wanted) = act {
        if !S::LEAVES_TRACES && !act.kills() && !fault.call.removes() {
            tidied(room, &before, wanted, &mut report)?;
        }
        let again = world.run_nx(room, &Watch::Not, &args)?;
        solo.judge_again(room, &again, &mut report)?;
    }
    report.after = Listing::names_of(&room.work())?;
    if let Act::Fault(_, wanted) = act
        && let Some(difference) = report.after.differs(wanted)
    {
        report.find(format!("something is left over: {difference}"));
    }
    Ok(report)
}

/// A command that could end by itself leaves no name that neither was there nor was to come.
fn tidied(room: &Room, before: &Listing, wanted: &Listing, report: &mut Report) -> Result<()> {
    for name in Listing::names_of(&room.work())?.0.keys() {
        report.claim(
            before.0.contains_key(name) || wanted.0.contains_key(name),
            || format!("{} is left behind", name.display()),
        );
    }
    Ok(())
}
