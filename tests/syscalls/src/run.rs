//! All runs, several at a time.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::call::Call;
use crate::error::{Result, Trouble};
use crate::flow::Flow;
use crate::listing::Listing;
use crate::options::Options;
use crate::report::{Act, Report};
use crate::room::Room;
use crate::table::Table;
use crate::watch::Fault;
use crate::world::World;

/// How often a run is made in which the fault did not come to pass, as threads run as they like.
const TRIES: usize = 3;

/// What the runs of a flow with one kind of fault came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls that the flow makes, of those to which this can happen.
    pub calls: usize,
    /// Runs in which it happened.
    pub injected: usize,
    /// Runs in which the victim did not come to that call.
    pub unreached: usize,
    /// Runs with a finding.
    pub violations: usize,
    /// What the runs took, added up.
    pub time: Duration,
}

/// A flow, ready.
struct Prepared<'a> {
    flow: &'a dyn Flow,
    room: Room,
    calls: Vec<Call>,
    after: Listing,
}

/// One run that is to be made.
struct Task<'a> {
    prepared: &'a Prepared<'a>,
    fault: Fault,
}

/// Makes them; `tell` gets each finding as it comes, with the command that repeats it.
///
/// # Errors
/// When the harness cannot go on, or a flow does not work without a fault.
pub fn run(options: &Options, tell: &(dyn Fn(&str) + Sync)) -> Result<Table> {
    let world = World::new(&options.programs)?;
    let mut prepared = Vec::new();
    for flow in &options.flows {
        prepared.push(prepare(&world, flow.as_ref())?);
    }
    let table = Mutex::new(Table::default());
    let mut tasks = Vec::new();
    for flow in &prepared {
        tasks.extend(tasks_of(flow, options, &table));
    }
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(trouble) = make(&world, task, &table, tell) {
                        // Nobody begins another one.
                        next.store(tasks.len(), Ordering::Relaxed);
                        *lock(&failed) = Some(trouble);
                    }
                }
            });
        }
    });
    match lock(&failed).take() {
        Some(trouble) => Err(trouble),
        None => Ok(lock(&table).clone()),
    }
}

fn prepare<'a>(world: &World, flow: &'a dyn Flow) -> Result<Prepared<'a>> {
    let room = Room::new()?;
    flow.prepare(world, &room)?;
    let plain = Room::like(&room)?;
    let Report { findings, after } = flow.run(world, &plain, &Act::Plain)?;
    if let Some(finding) = findings.first() {
        return Err(Trouble::plain(flow.name(), finding.clone()));
    }
    Ok(Prepared {
        flow,
        room,
        calls: Call::of_log(&log(&plain)?, flow.begins_aside()),
        after,
    })
}

fn tasks_of<'a>(
    prepared: &'a Prepared<'a>,
    options: &Options,
    table: &Mutex<Table>,
) -> Vec<Task<'a>> {
    let mut tasks = Vec::new();
    for &kind in &options.kinds {
        let suited: Vec<&Call> = prepared
            .calls
            .iter()
            .filter(|call| kind.suits(call))
            .collect();
        lock(table).row(prepared.flow.name(), kind).calls = suited.len();
        for (number, call) in suited.into_iter().enumerate() {
            if options.takes(number, call) {
                let fault = Fault {
                    kind,
                    call: call.clone(),
                };
                tasks.push(Task { prepared, fault });
            }
        }
    }
    tasks
}

fn make(
    world: &World,
    task: &Task<'_>,
    table: &Mutex<Table>,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<()> {
    let Task { prepared, fault } = task;
    let started = Instant::now();
    let mut is_hit = false;
    let mut findings = Vec::new();
    for _ in 0..TRIES {
        let room = Room::like(&prepared.room)?;
        let act = Act::Fault(fault, &prepared.after);
        let report = prepared.flow.run(world, &room, &act)?;
        findings.extend(report.findings);
        is_hit = fault.hits(&room) > 0;
        if is_hit || !findings.is_empty() {
            break;
        }
    }
    let name = prepared.flow.name();
    if !findings.is_empty() {
        let Fault { kind, call } = fault;
        tell(&format!(
            "{name} {kind} {call} {}\n  {}\n  again: cargo xtask syscalls --flow {name} \
             --kinds {kind} --only {call}",
            call.text,
            findings.join("\n  ")
        ));
    }
    let mut table = lock(table);
    let row = table.row(name, fault.kind);
    row.injected = row.injected.saturating_add(usize::from(is_hit));
    row.unreached = row.unreached.saturating_add(usize::from(!is_hit));
    row.violations = row
        .violations
        .saturating_add(usize::from(!findings.is_empty()));
    row.time = row.time.saturating_add(started.elapsed());
    Ok(())
}

fn log(room: &Room) -> Result<String> {
    let path = room.log("victim", "strace");
    let bytes = fs::read(&path).map_err(Trouble::io("read", path))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Whoever panicked with it did so between two whole changes.
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
