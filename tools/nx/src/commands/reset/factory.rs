use std::path::{Path, PathBuf};

use clap::Args;
use nx_reset::{Action, Event, Plan, Report, ResetError, Survey, TrustRoot, execute_with, survey};
use serde_json::{Value, json};

use super::interruptible::Interruptible;
use crate::cli::Ran;
use crate::config;
use crate::error::NxError;
use crate::interrupt::Interrupt;
use crate::output::{Outcome, Ui};
use crate::progress::Progress;
use crate::reason::Reason;

/// Remove apps, content, settings and everything else that is not on the list of what stays
///
/// Trust anchors, boot state, the device's keys and the store's own data stay, byte for byte, and
/// that is proven at the end. Names are removed; the medium is not overwritten. A reset that was
/// cut is finished by the next run. docs/provisioning/factory-reset.md has the list and the steps.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct FactoryArgs {
    /// Root of the state namespace [default: NX_STATE, or `state` in the configuration file]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Print the plan and write nothing at all
    #[arg(long)]
    dry_run: bool,
    /// Do it
    #[arg(long)]
    yes: bool,
}

const EXAMPLES: &str = "\
Examples:
  nx reset factory --state /mnt/state --dry-run    what would go and what would stay
  nx reset factory --state /mnt/state --yes        do it, or finish one that was cut
  NX_STATE=/mnt/state nx reset factory --yes       the same";

pub(crate) fn run(args: &FactoryArgs, ui: &mut Ui) -> Ran {
    let root = config::state(args.state.as_deref())?;
    let found = survey(&root)?;
    let plan = found.plan();
    if args.dry_run || !args.yes {
        return look(args, &root, &found, &plan, ui);
    }
    reset(&root, &plan, ui)
}

/// Says what a reset would do.
fn look(args: &FactoryArgs, root: &Path, found: &Survey, plan: &Plan, ui: &mut Ui) -> Ran {
    for line in plan.lines() {
        ui.line(line.to_string())?;
    }
    trust_roots(&found.trust_roots, found.trust_roots_total, ui)?;
    let facts = facts(root, found, plan);
    let remove = plan.removals().count();
    let begun = if found.pending.is_some() {
        "; a reset began here and is not finished"
    } else {
        ""
    };
    if args.dry_run {
        let message = format!("{remove} entries would be removed; nothing was changed{begun}");
        return Ok(Outcome::new(message).data(facts));
    }
    let message = format!("a factory reset needs --yes; nothing was changed{begun}");
    let state = root.display();
    Err(NxError::new(Reason::ResetNeedsYes, message)
        .hint(format!(
            "`nx reset factory --state {state} --yes` once you have read the plan"
        ))
        .facts(facts))
}

fn reset(root: &Path, plan: &Plan, ui: &mut Ui) -> Ran {
    let interrupt = Interrupt::watch()?;
    let mut ops = Interruptible::new(interrupt.clone());
    let progress = Progress::entries(ui, "names deleted:");
    let mut started = Ok(false);
    let mut observer = |event: Event<'_>| match event {
        Event::Started { .. } => started = ui.line("nx: reset factory wipe start").map(|()| true),
        Event::Deleted { entries } => progress.at(entries),
        _ => {}
    };
    let result = execute_with(&mut ops, root, plan, &mut observer);
    progress.finish();
    let report = match result {
        Err(error) if interrupt.is_wanted() => return Err(interrupted(error)),
        result => result?,
    };
    // What could not be said is reported now that the work is done.
    if started? {
        ui.line("nx: reset factory wipe done")?;
    }
    trust_roots(&report.trust_roots, report.trust_roots_total, ui)?;
    if report.kept_changed_since_start {
        ui.note(
            "the kept set is not what it was when this reset began; did the device run meanwhile?",
        );
    }
    let message = match report.removed.len() {
        0 => "nothing to remove".to_owned(),
        1 => "1 entry removed, the kept set is unchanged".to_owned(),
        removed => format!("{removed} entries removed, the kept set is unchanged"),
    };
    Ok(Outcome::new(message).data(done(root, &report)))
}

/// The system's refusal was ours: say what is behind it.
fn interrupted(error: ResetError) -> NxError {
    if error.resume_required() {
        NxError::new(
            Reason::ResetStoppedMidway,
            "interrupted: the reset stopped midway",
        )
        .hint("the same command again to finish")
        .fact("cause", Reason::RunInterrupted.text())
        .fact("resume_required", true)
    } else {
        NxError::new(
            Reason::RunInterrupted,
            "interrupted before anything changed",
        )
        .fact("resume_required", false)
    }
}

/// Trust anchors that came after the factory outlive a reset, whoever installed them.
fn trust_roots(roots: &[TrustRoot], total: u64, ui: &mut Ui) -> Result<(), NxError> {
    for root in roots {
        let digest = root
            .sha256
            .map_or_else(|| "-".to_owned(), |digest| digest.to_string());
        ui.line(format!("TRUSTED\t{}\t{digest}", root.uri))?;
    }
    let more = usize::try_from(total)
        .unwrap_or(usize::MAX)
        .saturating_sub(roots.len());
    if more > 0 {
        ui.line(format!("TRUSTED\tand {more} more"))
    } else {
        Ok(())
    }
}

fn facts(root: &Path, found: &Survey, plan: &Plan) -> Value {
    let lines: Vec<Value> = plan
        .lines()
        .iter()
        .map(|line| {
            json!({
                "action": match line.action() {
                    Action::Remove => "remove",
                    Action::Preserve => "preserve",
                },
                "uri": line.uri(),
                "type": line.kind().map(|kind| kind.word()),
                "unknown": line.is_unknown(),
            })
        })
        .collect();
    json!({
        "phase": if found.pending.is_some() { "begun" } else { "planned" },
        "state": root.to_string_lossy(),
        "plan": lines,
        "plan_sha256": plan.hash().to_string(),
        "kept_sha256": found.kept_digest.to_string(),
        "kept_entries": found.kept_entries,
        "trust_roots": trust_facts(&found.trust_roots),
        "trust_roots_total": found.trust_roots_total,
        "resume_required": found.pending.is_some(),
    })
}

fn done(root: &Path, report: &Report) -> Value {
    json!({
        "phase": "done",
        "state": root.to_string_lossy(),
        "removed": report.removed,
        "deleted_entries": report.deleted_entries,
        "resumed": report.resumed,
        "plan_sha256": report.plan_hash.to_string(),
        "kept_sha256": report.kept_digest.to_string(),
        "kept_entries": report.kept_entries,
        "kept_changed_since_start": report.kept_changed_since_start,
        "trust_roots": trust_facts(&report.trust_roots),
        "trust_roots_total": report.trust_roots_total,
        "resume_required": false,
    })
}

fn trust_facts(roots: &[TrustRoot]) -> Vec<Value> {
    roots
        .iter()
        .map(|root| {
            let sha256 = root.sha256.map(|digest| digest.to_string());
            json!({ "uri": root.uri, "size": root.size, "sha256": sha256 })
        })
        .collect()
}
