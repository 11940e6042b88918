//! Every reason for which `nx` ends badly has a case, or a word why it has none.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

const CORPUS: &str = include_str!("reasons/corpus.txt");
const DOCUMENT: &str = include_str!("../../../docs/provisioning/exit-codes.md");

/// Reasons, and what follows them, in the order of the corpus.
fn cases() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = CORPUS.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once(": ").expect("REASON: and its case"))
}

/// Reasons and their exit codes, in the order of the document.
fn reasons() -> impl Iterator<Item = (&'static str, i32)> {
    DOCUMENT.lines().filter_map(|line| {
        let (reason, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        let code = rest.split(" |").next()?.parse().ok()?;
        reason.contains('.').then_some((reason, code))
    })
}

#[test]
fn every_reason_has_a_case_or_a_word_why_not() {
    assert!(
        reasons()
            .map(|(reason, _)| reason)
            .eq(cases().map(|(reason, _)| reason)),
        "exit-codes.md and reasons/corpus.txt name other reasons, or in another order"
    );
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (reason, case) in cases() {
        let (how, what) = case.split_once(' ').unwrap();
        match how {
            "run" => {}
            "none" => assert!(what.len() > 10, "{reason}: no word why"),
            "test" => {
                let (file, test) = what.split_once(' ').unwrap();
                let text = fs::read_to_string(root.join(file)).expect(file);
                assert!(
                    text.contains(&format!("fn {test}(")),
                    "{reason}: no {test} in {file}"
                );
            }
            other => panic!("{reason}: `{other}`"),
        }
    }
}

#[test]
fn every_exit_code_has_a_case_that_runs_or_a_test() {
    for code in 2..=7 {
        let shown = reasons()
            .zip(cases())
            .any(|((_, exit), (_, case))| exit == code && !case.starts_with("none"));
        assert!(shown, "exit code {code}");
    }
}

#[test]
fn what_runs_ends_for_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    lay_out(dir.path());
    let folder = dir.path().display().to_string();
    for ((reason, code), (_, case)) in reasons().zip(cases()) {
        let Some(words) = case.strip_prefix("run ") else {
            continue;
        };
        let words: Vec<String> = words
            .split(' ')
            .map(|word| word.replace("$DIR", &folder))
            .collect();
        let (variables, args): (Vec<_>, Vec<_>) = words
            .iter()
            .partition(|word| word.starts_with("XDG_CONFIG_HOME="));
        let mut command = Command::new(env!("CARGO_BIN_EXE_nx"));
        command.arg("--json").args(&args).current_dir("/");
        command
            .stdin(Stdio::null())
            .env("XDG_CONFIG_HOME", "/nonexistent");
        command.env_remove("NX_PORT").env_remove("NX_STATE");
        for variable in variables {
            let (name, value) = variable.split_once('=').unwrap();
            command.env(name, value);
        }
        let run = command.output().unwrap();
        let told: Value = serde_json::from_slice(&run.stdout).expect(case);
        assert_eq!(told["data"]["reason"], *reason, "{case}: {told}");
        assert_eq!(run.status.code(), Some(code), "{case}: {told}");
        assert_eq!(told["code"], code, "{case}");
        assert!(run.stderr.is_empty(), "{case}");
    }
}

/// What the cases find in their folder: an image, a manifest that is none, configurations that
/// are none, and state roots that no reset touches.
fn lay_out(dir: &Path) {
    let image = nx_image::test_image::TestImage::of(10_000, 1);
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    fs::write(dir.join("os.img"), &image.bytes).unwrap();
    fs::write(dir.join("os.json"), &image.manifest_bytes).unwrap();
    fs::write(dir.join("os.sig"), &image.signature).unwrap();
    fs::write(dir.join("dev.pub"), hex(image.key.as_bytes())).unwrap();
    fs::write(dir.join("bad.json"), "{}").unwrap();
    fs::create_dir_all(dir.join("broken/nx")).unwrap();
    fs::write(dir.join("broken/nx/config.toml"), "port = [").unwrap();
    fs::create_dir_all(dir.join("folder/nx/config.toml")).unwrap();
    fs::create_dir_all(dir.join("kept/apps")).unwrap();
    symlink("/", dir.join("kept/trust")).unwrap();
    fs::create_dir_all(dir.join("taken/apps")).unwrap();
    fs::write(dir.join("taken/.nx-reset"), "").unwrap();
}
