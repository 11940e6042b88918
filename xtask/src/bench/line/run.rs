//! Runs the bench.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::{path::Path, time::Duration};

use super::{
    condition::{CONDITIONS, Condition, NAMES},
    report::{Cell, Report, Transfer},
    self_check::{self, SHARE_MIN, check},
};
use crate::{
    bench::{
        Bench,
        emulator::{Emulator, RATE},
        folder::{Folder, Image},
        options::Options,
        players::{Player, Task},
        process::{PLAYER, go_ahead},
        programs::Programs,
        table::Table,
    },
    error::{Result, XtaskError},
    repo::Repo,
    setup,
};

/// Goodput on a serial line.
pub(in crate::bench) const BENCH: Bench = Bench {
    name: "line",
    summary: "goodput on a bad serial line, beside sz/rz and C-Kermit",
    options: &["seeds", "size", "limit", "latency", "players", "conditions"],
    run,
};

/// A run during which the line's own thread came later than this, in milliseconds, says something
/// of the machine: it is repeated, and the least disturbed one counts.
const LATE_MS_MAX: f64 = 50.0;
/// How often a run is tried.
const TRIES_MAX: u32 = 4;

/// Bytes for the check of the line: enough that the error rate of 1e-4 is known to 4 %.
const CHECK_BYTES: u64 = 1 << 20;

fn run(repo: &Repo, options: &Options) -> Result<()> {
    let seeds: u64 = options.get("seeds", 3)?;
    let size: u64 = options.get("size", 1 << 20)?;
    let limit = Duration::from_secs(options.get("limit", 120)?);
    let latency_ms: f64 = options.get("latency", 1.0)?;
    let players = options.list("players", Player::NAMES)?;
    let players: Vec<Player> = players.into_iter().map(Player::named).collect();
    let chosen = options.list("conditions", NAMES)?;
    if !self_check::is_possible() {
        return Err(XtaskError::Missing {
            what: "/dev/ptmx (pseudo-terminals)".to_owned(),
            remedy: "Linux with devpts mounted".to_owned(),
        });
    }
    let needs: Vec<_> = players.iter().filter_map(|player| player.need()).collect();
    setup::ensure(&needs)?;
    let programs = Programs::build(repo)?;
    let folder = Folder::in_memory()?;
    let content = folder.random_file("content", size)?;
    let image = folder.image(&programs, &content)?;

    println!(
        "The line itself, with plain bytes: {RATE} B/s, {latency_ms} ms each way, \
         {CHECK_BYTES} bytes\n"
    );
    go_ahead(PLAYER);
    let check = check_lines(&programs, latency_ms)?;

    let mut report = Report {
        bytes: size,
        limit,
        rows: Vec::new(),
    };
    let mut disturbed = 0_usize;
    for condition in CONDITIONS.iter().filter(|c| chosen.contains(&c.name)) {
        let mut cells = Vec::new();
        for &player in &players {
            let mut transfers = Vec::new();
            for seed in 1..=seeds {
                let line = condition.options(latency_ms, seed);
                let transfer = undisturbed(
                    || transfer(&programs, &folder, (&content, &image), limit, player, &line),
                    |transfer| tell(condition, player, seed, transfer),
                )?;
                disturbed = disturbed.saturating_add(usize::from(transfer.late_ms() > LATE_MS_MAX));
                transfers.push(transfer);
            }
            cells.push(Cell { player, transfers });
        }
        report.rows.push((condition, cells));
    }
    let (table, missed) = report.table();
    println!(
        "\nGoodput as a share of {RATE} B/s, {size} random bytes, {latency_ms} ms each way, \
         median of {seeds} seeds\n\n{table}"
    );
    if disturbed > 0 {
        println!("disturbed: {disturbed} runs, in which the line came over {LATE_MS_MAX} ms late");
    }
    for line in &missed {
        println!("missed: {line}");
    }
    check
}

/// Measures the line; the inner result says whether it is good enough.
fn check_lines(programs: &Programs, latency_ms: f64) -> Result<Result<()>> {
    let mut table = Table::new([
        "line",
        "of its rate",
        "bit errors",
        "bytes lost",
        "processor",
    ]);
    let mut verdict = Ok(());
    for condition in CONDITIONS {
        let options = condition.options(latency_ms, 1);
        let mut found = check(programs, &options, CHECK_BYTES)?;
        for _ in 1..TRIES_MAX {
            if found.share >= SHARE_MIN && found.there.overrun < 1.0 {
                break;
            }
            found = check(programs, &options, CHECK_BYTES)?;
        }
        table.row([
            condition.name.to_owned(),
            format!("{:.4}", found.share),
            format!("{:.2e}", found.bit_error_rate),
            format!("{:.4}", found.loss),
            format!("{:.1} %", 100.0 * found.cpu),
        ]);
        if found.share < SHARE_MIN || found.there.overrun > 0.0 {
            verdict = Err(XtaskError::Unexpected {
                what: format!("the line `{}`", condition.name),
                detail: format!(
                    "it carried {:.4} of its rate, at least {SHARE_MIN} counts: the machine is \
                     too busy to measure on (its thread came {:.1} ms late)",
                    found.share, found.there.late_max_ms
                ),
            });
        }
    }
    println!("{table}");
    Ok(verdict)
}

/// Runs until one run was not disturbed, or often enough; returns the one that was it least. What
/// did not end within its limit is not tried again: that is no matter of milliseconds.
fn undisturbed(
    mut run: impl FnMut() -> Result<Transfer>,
    tell: impl Fn(&Transfer),
) -> Result<Transfer> {
    let mut best = run()?;
    tell(&best);
    for _ in 1..TRIES_MAX {
        let ran_out_of_time = best.moved.took.is_none() && best.moved.complaint.is_none();
        if best.late_ms() <= LATE_MS_MAX || ran_out_of_time {
            break;
        }
        let other = run()?;
        tell(&other);
        if other.late_ms() < best.late_ms() {
            best = other;
        }
    }
    Ok(best)
}

fn transfer(
    programs: &Programs,
    folder: &Folder,
    (content, image): (&Path, &Image),
    limit: Duration,
    player: Player,
    options: &[String],
) -> Result<Transfer> {
    let line = Emulator::start(programs, options)?;
    let moved = player.play(&Task {
        programs,
        folder,
        content,
        image,
        ends: line.ends(),
        limit,
    })?;
    let carried = line.finish()?;
    Ok(Transfer { moved, carried })
}

/// One line for each transfer, so that a long bench shows that it goes on.
fn tell(condition: &Condition, player: Player, seed: u64, transfer: &Transfer) {
    let moved = &transfer.moved;
    let how = match (moved.took, &moved.complaint) {
        (Some(took), _) => format!("{:.2} s", took.as_secs_f64()),
        (None, Some(complaint)) => format!("failed: {}", complaint.trim()),
        (None, None) => format!("not finished, {} bytes there", moved.stored),
    };
    let [there, back] = &transfer.carried;
    println!(
        "{:<9} {player:?} seed {seed}: {how}; {} bytes there, {} back; line at most {:.1} ms late",
        condition.name, there.bytes, back.bytes, there.late_max_ms
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{emulator::Carried, players::Moved};

    fn with_late(late_max_ms: f64, took: Option<Duration>, complaint: Option<&str>) -> Transfer {
        Transfer {
            moved: Moved {
                took,
                complaint: complaint.map(str::to_owned),
                ..Moved::default()
            },
            carried: [Carried {
                late_max_ms,
                ..Carried::default()
            }; 2],
        }
    }

    fn best_of(late: &[f64], took: Option<Duration>, complaint: Option<&str>) -> (f64, usize) {
        let (mut runs, mut rest) = (0, late.iter());
        let run = || {
            runs = usize::saturating_add(runs, 1);
            Ok(with_late(*rest.next().unwrap(), took, complaint))
        };
        let best = undisturbed(run, |_| {}).unwrap();
        (best.late_ms(), runs)
    }

    #[test]
    fn disturbed_runs_are_repeated_and_the_least_disturbed_counts() {
        let done = Some(Duration::from_secs(12));
        assert_eq!(best_of(&[3.0], done, None), (3.0, 1));
        assert_eq!(best_of(&[300.0, 50.0], done, None), (50.0, 2));
        assert_eq!(best_of(&[300.0, 90.0, 200.0, 400.0], done, None), (90.0, 4));
        assert_eq!(best_of(&[300.0], None, None), (300.0, 1));
        assert_eq!(best_of(&[300.0, 1.0], None, Some("gave up")), (1.0, 2));
    }
}
