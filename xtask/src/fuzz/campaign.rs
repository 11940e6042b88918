//! `cargo xtask fuzz`: so many runs of every target, and a table of what they came to.
#![expect(clippy::print_stdout, reason = "a chore prints its table")]

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use super::{engine::Engine, outcome::Outcome};
use crate::{
    bench::{Options, Table},
    error::{Result, XtaskError},
    repo::Repo,
};

/// One target's end.
struct Row {
    target: String,
    seconds: u64,
    outcome: Result<Outcome>,
}

/// Runs the targets: `--runs N` inputs of each with `--seed S`; `--targets A,B` only those;
/// `--keep yes` takes into the corpora what reached something new.
///
/// # Errors
/// [`XtaskError::Findings`] when an input stops a target.
pub fn run(repo: &Repo, args: &[String]) -> Result<()> {
    let options = Options::parse(args, &["runs", "seed", "targets", "keep"])?;
    let runs: u64 = options.get("runs", 100_000)?;
    let seed: u32 = options.get("seed", 1)?;
    let wanted: String = options.get("targets", String::new())?;
    let keep: String = options.get("keep", "no".to_owned())?;
    let engine = Engine::build(repo)?;
    let targets = select(&engine.targets()?, &wanted)?;
    let rows = search(&engine, &targets, runs, seed);
    report(&engine, rows, seed)?;
    if keep == "yes" {
        for target in &targets {
            engine.keep(target)?;
        }
    }
    Ok(())
}

fn select(known: &[String], wanted: &str) -> Result<Vec<String>> {
    if wanted.is_empty() {
        return Ok(known.to_vec());
    }
    let find = |name: &str| {
        let found = known.iter().find(|known| *known == name);
        found.cloned().ok_or_else(|| XtaskError::Usage {
            message: format!("`--targets` knows {}, but no `{name}`", known.join(", ")),
        })
    };
    wanted.split(',').map(find).collect()
}

/// Runs all targets, as many at once as there are cores.
fn search(engine: &Engine, targets: &[String], runs: u64, seed: u32) -> Vec<Row> {
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(Vec::new());
    let work = || {
        while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            let started = Instant::now();
            let outcome = engine.search(target, runs, seed);
            let row = Row {
                target: target.clone(),
                seconds: started.elapsed().as_secs(),
                outcome,
            };
            rows.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(row);
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    let mut rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.sort_by(|a, b| a.target.cmp(&b.target));
    rows
}

fn report(engine: &Engine, rows: Vec<Row>, seed: u32) -> Result<()> {
    let mut table = Table::new([
        "target",
        "runs",
        "seconds",
        "edges",
        "inputs kept",
        "result",
    ]);
    let (mut total, mut stopped) = (0_u64, Vec::new());
    let count = rows.len();
    for row in rows {
        let outcome = row.outcome?;
        total = total.saturating_add(outcome.runs);
        table.row([
            row.target.clone(),
            outcome.runs.to_string(),
            row.seconds.to_string(),
            outcome.edges.to_string(),
            outcome.kept.to_string(),
            (if outcome.clean { "clean" } else { "STOPPED" }).to_owned(),
        ]);
        if !outcome.clean {
            stopped.push(row.target);
        }
    }
    println!("\n{table}");
    let crashes = stopped.len();
    println!("seed {seed}: {count} targets, {total} runs, {crashes} crashes");
    for target in &stopped {
        let (log, input) = (engine.log(target), engine.artifacts(target));
        println!("  {target}: {} says why", log.display());
        println!("  the input is in {}; as a line of", input.display());
        println!("  tests/fuzz/corpus/{target}.hex it is a test");
    }
    if stopped.is_empty() {
        return Ok(());
    }
    Err(XtaskError::Findings {
        count: stopped.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_all_or_those_that_are_named() {
        let known = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(select(&known, "").unwrap(), known);
        assert_eq!(select(&known, "c,a").unwrap(), ["c", "a"]);
        let error = select(&known, "a,d").unwrap_err();
        assert!(error.to_string().contains("no `d`"), "{error}");
    }
}
