//! Seeded defects: each is a patch that breaks one promise, and some test has to notice.
//!
//! `tests/defects/NN-name.patch` begins with `Defect:` and what it breaks, and `Caught-by:` and the
//! command that has to fail with it; a diff follows.
#![expect(clippy::print_stdout, reason = "a chore says what it does")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use crate::{
    error::{Result, XtaskError},
    repo::Repo,
};

/// A command that takes longer, in seconds, has not caught anything.
const PATIENCE: &str = "900";

/// A patch.
#[derive(Debug)]
struct Defect {
    path: PathBuf,
    what: String,
    caught_by: String,
}

impl Defect {
    fn read(path: PathBuf) -> Result<Self> {
        let text = fs::read_to_string(&path).map_err(XtaskError::io("read", &path))?;
        let header = |name: &str| {
            text.lines()
                .take_while(|line| !line.starts_with("diff "))
                .find_map(|line| line.strip_prefix(name))
                .map(|value| value.trim().to_owned())
                .ok_or_else(|| XtaskError::Unexpected {
                    what: path.display().to_string(),
                    detail: format!("it has no line `{name}`"),
                })
        };
        Ok(Self {
            what: header("Defect:")?,
            caught_by: header("Caught-by:")?,
            path,
        })
    }

    fn name(&self) -> String {
        let name = self.path.file_stem().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Has git do something with the patch in this checkout; false if it does not apply.
    fn apply(&self, root: &Path, how: &[&str]) -> Result<bool> {
        let status = Command::new("git")
            .current_dir(root)
            .arg("apply")
            .args(how)
            .arg(&self.path)
            .stderr(Stdio::null())
            .status();
        let status = status.map_err(start("git apply"))?;
        Ok(status.success())
    }
}

/// Tries the defects whose names contain one of `names`, or all, one at a time and in a checkout of
/// their own; prints which test caught which.
///
/// # Errors
/// [`XtaskError::Findings`] if one is not caught, or applies no more.
pub fn run(repo: &Repo, names: &[String]) -> Result<()> {
    let scratch = tempfile::tempdir().map_err(XtaskError::io("create", "a folder"))?;
    let root = scratch.path().join("checkout");
    git(repo, &["worktree", "add", "--detach", "--quiet"], &root)?;
    let outcome = try_all(repo, &root, names);
    git(repo, &["worktree", "remove", "--force"], &root)?;
    match outcome? {
        0 => Ok(()),
        count => Err(XtaskError::Findings { count }),
    }
}

fn try_all(repo: &Repo, root: &Path, names: &[String]) -> Result<usize> {
    println!("| defect | breaks | caught by | seconds |\n|---|---|---|---|");
    let mut missed = 0_usize;
    for defect in all(repo)? {
        let name = defect.name();
        if !names.is_empty() && !names.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        let started = Instant::now();
        let verdict = if !defect.apply(root, &[])? {
            Err("APPLIES NO MORE".to_owned())
        } else {
            let caught = catches(repo, root, &defect.caught_by)?;
            defect.apply(root, &["--reverse"])?;
            caught
                .then(|| defect.caught_by.clone())
                .ok_or_else(|| format!("NOT CAUGHT by {}", defect.caught_by))
        };
        missed = missed.saturating_add(usize::from(verdict.is_err()));
        let seconds = started.elapsed().as_secs();
        let verdict = verdict.unwrap_or_else(|missed| missed);
        println!("| {name} | {} | {verdict} | {seconds} |", defect.what);
    }
    Ok(missed)
}

/// What is printed when a test fails, or the simulator finds something.
const CATCHES: [&str; 2] = ["test result: FAILED", "again: cargo xtask sim"];

/// Whether the command fails because a test does: what does not compile has caught nothing.
fn catches(repo: &Repo, root: &Path, command: &str) -> Result<bool> {
    let output = Command::new("timeout")
        .current_dir(root)
        .arg(PATIENCE)
        .args(command.split_whitespace())
        .env("CARGO_TARGET_DIR", repo.target().join("defects"))
        .env("CARGO_INCREMENTAL", "1")
        .env("NX_PARTS", repo.parts())
        .stdin(Stdio::null())
        .output()
        .map_err(start(command))?;
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(!output.status.success() && CATCHES.iter().any(|found| said.contains(found)))
}

/// Checks that every patch has its header, and still applies.
///
/// # Errors
/// [`XtaskError::Findings`].
pub fn check(repo: &Repo) -> Result<()> {
    let mut stale = 0_usize;
    for defect in all(repo)? {
        if !defect.apply(repo.root(), &["--check"])? {
            println!("{}: applies no more", defect.path.display());
            stale = stale.saturating_add(1);
        }
    }
    match stale {
        0 => Ok(()),
        count => Err(XtaskError::Findings { count }),
    }
}

fn all(repo: &Repo) -> Result<Vec<Defect>> {
    let folder = repo.root().join("tests/defects");
    let list = fs::read_dir(&folder).map_err(XtaskError::io("list", &folder))?;
    let mut paths: Vec<PathBuf> = list.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "patch"));
    paths.sort();
    paths.into_iter().map(Defect::read).collect()
}

fn git(repo: &Repo, args: &[&str], root: &Path) -> Result<()> {
    let status = Command::new("git")
        .current_dir(repo.root())
        .args(args)
        .arg(root)
        .status()
        .map_err(start("git worktree"))?;
    if status.success() {
        return Ok(());
    }
    Err(XtaskError::Failed {
        command: format!("git {}", args.join(" ")),
        status,
    })
}

fn start(command: &str) -> impl FnOnce(std::io::Error) -> XtaskError {
    let command = command.to_owned();
    move |source| XtaskError::Start { command, source }
}
