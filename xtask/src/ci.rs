//! The CI: every step that a change must pass, the quick ones first.
#![expect(clippy::print_stdout, reason = "a chore says what it does")]

use crate::{
    defects, deny,
    error::{Result, XtaskError},
    parts, qemu,
    repo::Repo,
    setup::{self, MACHINE_NEEDS, TARGET_NEEDS, TEST_NEEDS},
    sim, syscalls, targets, test, tidy,
    timing::Timings,
};

/// One step.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// What `cargo xtask ci NAME` calls it.
    pub name: &'static str,
    /// What it proves, in a few words.
    pub summary: &'static str,
    run: fn(&Repo) -> Result<()>,
}

/// The steps, in order.
pub const STEPS: &[Step] = &[
    Step {
        name: "setup",
        summary: "programs that the steps call are there, or get installed",
        run: |_| setup::ensure(TEST_NEEDS.iter().chain(MACHINE_NEEDS).chain(TARGET_NEEDS)),
    },
    Step {
        name: "parts",
        summary: "kernel, busybox and root tree for the process tests",
        run: parts::ensure,
    },
    Step {
        name: "format",
        summary: "cargo fmt changes nothing",
        run: |repo| repo.cargo("fmt").args(["--all", "--check"]).run(),
    },
    Step {
        name: "tidy",
        summary: "the rules that no compiler checks",
        run: tidy::run,
    },
    Step {
        name: "defects",
        summary: "the seeded defects still apply; `cargo xtask defects` tries them",
        run: defects::check,
    },
    Step {
        name: "deny",
        summary: "licences, sources and duplicates of dependencies",
        run: deny::check,
    },
    Step {
        name: "clippy",
        summary: "no warning, with all features and with none",
        run: clippy,
    },
    Step {
        name: "test",
        summary: "every test of the workspace",
        run: |repo| test::run(repo, &[]),
    },
    Step {
        name: "sim",
        summary: "no power cut breaks what a device promised",
        run: sim::share,
    },
    Step {
        name: "syscalls",
        summary: "a share of the kills and refusals at every system call",
        run: syscalls::share,
    },
    Step {
        name: "docs",
        summary: "the documentation builds without a warning",
        run: docs,
    },
    Step {
        name: "targets",
        summary: "the no_std halves build for bare targets",
        run: targets::build,
    },
    Step {
        name: "qemu",
        summary: "a virtual machine, from blank disk to booted system",
        run: machine,
    },
    Step {
        name: "demo",
        summary: "README's first command",
        run: demo,
    },
];

/// Runs the steps named, or all; prints their times, and stops at the first that fails.
///
/// # Errors
/// [`XtaskError::Usage`] for a step that does not exist, [`XtaskError::Step`] for one that failed.
pub fn run(repo: &Repo, names: &[String]) -> Result<()> {
    let steps = select(names)?;
    let mut timings = Timings::default();
    let outcome = steps.into_iter().try_for_each(|step| {
        println!("\n== {}: {}", step.name, step.summary);
        timings
            .measure(step.name, || (step.run)(repo))
            .map_err(|source| XtaskError::Step {
                step: step.name,
                source: Box::new(source),
            })
    });
    println!("\n{timings}");
    outcome
}

fn select(names: &[String]) -> Result<Vec<&'static Step>> {
    if names.is_empty() {
        return Ok(STEPS.iter().collect());
    }
    let find = |name: &String| {
        STEPS
            .iter()
            .find(|step| step.name == name)
            .ok_or_else(|| XtaskError::Usage {
                message: format!("no step `{name}`"),
            })
    };
    names.iter().map(find).collect()
}

fn clippy(repo: &Repo) -> Result<()> {
    repo.cargo("clippy")
        .args(["--locked", "--workspace", "--all-targets"])
        .args(["--", "-D", "warnings"])
        .run()?;
    // What the bare targets get: code that only a feature uses is dead here.
    targets::PACKAGES
        .iter()
        .fold(
            repo.cargo("clippy")
                .args(["--locked", "--lib", "--no-default-features"]),
            |cmd, package| cmd.args(["--package", package]),
        )
        .args(["--", "-D", "warnings"])
        .run()
}

fn docs(repo: &Repo) -> Result<()> {
    repo.cargo("doc")
        .args(["--locked", "--workspace", "--no-deps"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()
}

/// Its life, a cut, and a share of what a cut could leave.
fn machine(repo: &Repo) -> Result<()> {
    for line in ["", "--power-cuts 1", "--states 200 --boots 1"] {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        qemu::run(repo, &args)?;
    }
    Ok(())
}

fn demo(repo: &Repo) -> Result<()> {
    repo.cargo("run")
        .args(["--locked", "--release", "-p", "nx", "--", "demo"])
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_means_every_step_in_order() {
        let all = select(&[]).unwrap();
        assert!(
            all.iter()
                .map(|step| step.name)
                .eq(STEPS.iter().map(|step| step.name))
        );
    }

    #[test]
    fn steps_run_in_the_order_asked_for() {
        let picked = select(&["tidy".to_owned(), "format".to_owned()]).unwrap();
        let names: Vec<&str> = picked.iter().map(|step| step.name).collect();
        assert_eq!(names, ["tidy", "format"]);
    }

    #[test]
    fn an_unknown_step_is_refused_before_anything_runs() {
        let error = select(&["format".to_owned(), "fmt".to_owned()]).unwrap_err();
        assert!(error.to_string().starts_with("no step `fmt`"), "{error}");
    }
}
