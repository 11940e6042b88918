//! `nx reset factory` as a user runs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod program;

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use program::{Run, assert_golden, command, nx};
use serde_json::Value;
use tempfile::TempDir;

struct State(TempDir);

impl State {
    fn new() -> Self {
        let state = Self(TempDir::with_prefix("nx-reset-").unwrap());
        for (path, contents) in [
            ("apps/notes/data", "a secret"),
            ("content/photo", "a picture"),
            ("settings/prefs", "dark"),
            ("ime/de/personal", "words"),
            ("trust/installed/company.pub", "a key\n"),
            ("boot/bootctl.v1", "slot a"),
        ] {
            state.file(path, contents);
        }
        state
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("state")
    }

    fn file(&self, path: &str, contents: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    fn top(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn run(&self, more: &[&str]) -> Run {
        let root = self.root();
        let mut args = vec!["reset", "factory", "--state", root.to_str().unwrap()];
        args.extend(more);
        nx(&args)
    }

    /// What was printed, with the root's own path left out and digests of times masked.
    fn shown(&self, run: &Run) -> String {
        let root = self.root();
        let text = format!("exit {}\n{}{}", run.code, run.stdout, run.stderr);
        text.replace(root.to_str().unwrap(), "DIR")
    }
}

const ALL: [&str; 6] = ["apps", "boot", "content", "ime", "settings", "trust"];
const KEPT: [&str; 2] = ["boot", "trust"];

#[test]
fn without_yes_it_shows_the_plan_exits_2_and_changes_nothing() {
    let state = State::new();
    let run = state.run(&[]);
    assert_golden("reset-without-yes.txt", &state.shown(&run));
    assert_eq!(state.top(), ALL);
}

#[test]
fn a_dry_run_shows_the_plan_and_changes_nothing() {
    let state = State::new();
    for yes in [&["--dry-run"][..], &["--dry-run", "--yes"]] {
        let run = state.run(yes);
        assert_golden("reset-dry-run.txt", &state.shown(&run));
        assert_eq!(state.top(), ALL);
    }
}

#[test]
fn with_yes_it_removes_and_says_so() {
    let state = State::new();
    let run = state.run(&["--yes"]);
    assert_golden("reset-yes.txt", &state.shown(&run));
    assert_eq!(state.top(), KEPT);
    let again = state.run(&["--yes"]);
    assert_golden("reset-again.txt", &state.shown(&again));
}

#[test]
fn the_short_form_takes_the_root_from_the_environment() {
    let state = State::new();
    let mut command = command(&["reset", "factory", "--yes"]);
    assert_eq!(Run::of(command.env("NX_STATE", state.root())).code, 0);
    assert_eq!(state.top(), KEPT);

    let run = nx(&["reset", "factory", "--yes"]);
    assert_eq!(run.code, 2);
    assert_eq!(
        run.stderr,
        "nx: no state root: which state is to be reset?\ntry: `--state DIR`, or NX_STATE\n"
    );
}

#[test]
fn json_has_the_plan_and_then_the_report() {
    let state = State::new();
    let plan = state.run(&["--dry-run", "--json"]);
    assert_eq!((plan.code, plan.stderr.as_str()), (0, ""));
    let plan = plan.envelope();
    let uris = |action: &str| -> Vec<String> {
        let lines = plan["data"]["plan"].as_array().unwrap();
        let lines = lines.iter().filter(|line| line["action"] == action);
        lines
            .map(|line| line["uri"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        uris("preserve"),
        ["pkg://trust/**", "state:/boot", "state:/trust"]
    );
    let removed = uris("remove");
    assert_eq!(
        removed,
        [
            "state:/apps",
            "state:/content",
            "state:/ime",
            "state:/settings"
        ]
    );
    assert_eq!(plan["data"]["phase"], "planned");

    let refused = state.run(&["--json"]);
    let envelope = refused.envelope();
    assert_eq!((refused.code, refused.stderr.as_str()), (2, ""));
    assert_eq!(envelope["data"]["reason"], "reset.needs_yes");
    assert_eq!(envelope["data"]["plan"], plan["data"]["plan"]);

    let done = state.run(&["--yes", "--json"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    let data = &done.envelope()["data"];
    assert_eq!(data["removed"], Value::from(removed));
    assert_eq!(data["plan_sha256"], plan["data"]["plan_sha256"]);
    assert_eq!(data["kept_sha256"], plan["data"]["kept_sha256"]);
    assert_eq!(
        data["trust_roots"][0]["uri"],
        "state:/trust/installed/company.pub"
    );
    assert_eq!(data["phase"], "done");
    assert_eq!(data["resume_required"], false);
}

#[test]
fn refusals_exit_3_or_4_and_change_nothing() {
    let state = State::new();
    let outside = state.0.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let refused = |root: &Path, code: i32, reason: &str| {
        let root = root.to_str().unwrap();
        for yes in [&[][..], &["--yes"]] {
            let args = [&["reset", "factory", "--json", "--state", root][..], yes].concat();
            let run = nx(&args);
            assert_eq!(run.code, code, "{run:#?}");
            assert_eq!(run.envelope()["data"]["reason"], reason, "{run:#?}");
            assert_eq!(run.envelope()["data"]["resume_required"], false);
        }
    };
    refused(Path::new("/"), 3, "reset.root_protected");
    refused(&outside, 3, "reset.root_unknown");
    refused(&state.0.path().join("nowhere"), 4, "reset.no_root");
    refused(
        &state.root().join("settings/prefs"),
        3,
        "reset.root_not_directory",
    );
    fs::hard_link(state.root().join("boot/bootctl.v1"), outside.join("alias")).unwrap();
    refused(&state.root(), 3, "reset.hard_link");
    assert_eq!(state.top(), ALL);
}

#[test]
fn a_home_and_what_is_above_it_are_refused() {
    let state = State::new();
    for home in [state.root(), state.root().join("apps/notes")] {
        let root = state.root();
        let args = [
            "reset",
            "factory",
            "--yes",
            "--state",
            root.to_str().unwrap(),
        ];
        let run = Run::of(command(&args).env("HOME", &home));
        assert_eq!(run.code, 3, "{run:#?}");
        assert!(run.stderr.contains("home"), "{run:#?}");
    }
    assert_eq!(state.top(), ALL);
}

#[test]
fn names_cannot_forge_output() {
    let state = State::new();
    state.file("x\nnx: reset factory wipe done\n\u{1b}[2J/f", "");
    let run = state.run(&["--dry-run"]);
    assert!(!run.stdout.contains("\nnx: "), "{}", run.stdout);
    assert!(!run.stdout.contains('\u{1b}'), "{}", run.stdout);
    let odd = state.0.path().join("odd\nnx: fine\u{1b}[2J");
    let run = nx(&["reset", "factory", "--state", odd.to_str().unwrap()]);
    assert_eq!(run.stderr.lines().count(), 2, "{}", run.stderr);
    assert!(!run.stderr.contains('\u{1b}'), "{}", run.stderr);
}

/// Runs a reset under `strace`, which does `what` to a call.
fn injected(root: &Path, call: &str, what: &str) -> Command {
    let mut strace = Command::new("strace");
    strace
        .args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            &format!("trace={call}"),
        ])
        .args(["-e", &format!("inject={call}:{what}")])
        .arg(env!("CARGO_BIN_EXE_nx"))
        .args(["reset", "factory", "--yes", "--json", "--state"])
        .arg(root)
        .current_dir("/")
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .stdin(Stdio::null());
    strace
}

/// The calls by which the program changes a file system, each in turn the last that it makes.
#[test]
fn killed_at_any_system_call_that_changes_something_the_next_run_finishes() {
    const CALLS: &str = "mkdirat,openat,openat2,write,fsync,renameat2,unlinkat";
    let mut kills = 0;
    for call in CALLS.split(',') {
        for number in 1.. {
            let state = State::new();
            let root = state.root();
            let kill = format!("signal=KILL:when={number}");
            let mut strace = injected(&root, call, &kill);
            let status = strace.stdout(Stdio::null()).stderr(Stdio::null()).status();
            let status = status.expect("strace is needed: apt-get install strace");
            let trust = fs::read(root.join("trust/installed/company.pub")).unwrap();
            assert_eq!(trust, b"a key\n", "killed at {call} {number}");
            let again = state.run(&["--yes"]);
            assert_eq!(again.code, 0, "killed at {call} {number}: {again:#?}");
            assert_eq!(state.top(), KEPT, "killed at {call} {number}");
            if status.signal().is_none() {
                assert_eq!(status.code(), Some(0));
                break;
            }
            kills += 1;
        }
    }
    assert!(kills > 60, "only {kills} kills");
}

#[test]
fn interrupted_it_stops_where_it_can_go_on_and_says_so() {
    for signal in ["INT", "TERM", "HUP"] {
        let state = State::new();
        let what = format!("signal={signal}:when=1");
        let run = Run::of(&mut injected(&state.root(), "mkdirat", &what));
        assert_eq!(run.code, 7, "{run:#?}");
        assert_eq!(
            run.envelope()["data"]["reason"],
            "run.interrupted",
            "{run:#?}"
        );
        assert_eq!(run.envelope()["data"]["resume_required"], false);
        assert!(ALL.iter().all(|name| state.root().join(name).exists()));

        let what = format!("signal={signal}:when=3");
        let run = Run::of(&mut injected(&state.root(), "renameat2", &what));
        assert_eq!(run.code, 7, "{run:#?}");
        let data = &run.envelope()["data"];
        assert_eq!(data["reason"], "reset.stopped_midway", "{run:#?}");
        assert_eq!(data["cause"], "run.interrupted");
        assert_eq!(data["resume_required"], true);
        assert!(state.root().join("settings").exists());

        let look = state.run(&["--dry-run"]);
        assert!(
            look.stdout
                .contains("a reset began here and is not finished"),
            "{look:#?}"
        );
        assert_eq!(state.run(&["--yes"]).code, 0);
        assert_eq!(state.top(), KEPT);
    }
}

#[test]
fn what_the_system_refuses_is_told_with_what_helps() {
    let state = State::new();
    for (call, what, reason, hint) in [
        ("mkdirat", "error=EACCES:when=1", "reset.io", "root"),
        ("write", "error=ENOSPC:when=1", "reset.io", "making room"),
        ("mkdirat", "error=EROFS:when=1", "reset.io", ""),
        (
            "unlinkat",
            "error=EIO:when=4",
            "reset.stopped_midway",
            "the same command again",
        ),
    ] {
        let run = Run::of(&mut injected(&state.root(), call, what));
        assert_eq!(run.code, 7, "{run:#?}");
        let data = &run.envelope()["data"];
        assert_eq!(data["reason"], reason, "{run:#?}");
        let given = data["hint"].as_str().unwrap_or_default();
        assert!(given.contains(hint), "{run:#?}");
        assert_eq!(data["resume_required"], reason == "reset.stopped_midway");
    }
    assert_eq!(state.run(&["--yes"]).code, 0);
    assert_eq!(state.top(), KEPT);
}
