//! Without root: what the owner has closed to themselves still goes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nx_reset::{execute, survey};

use crate::state::State;

const ROOT: &str = "NX_RESET_TEST_ROOT";
const NOBODY: u32 = 65_534;

#[test]
fn an_owner_without_root_resets_closed_directories() {
    if let Some(root) = std::env::var_os(ROOT) {
        return as_owner(Path::new(&root));
    }
    let state = State::seed();
    state.file("apps/closed/inner/file", "");
    state.file("apps/read-only/inner/file", "");
    state.file("shut/inner/file", "");
    let kept = state.kept_snapshot();
    let root = rustix::process::geteuid().is_root();
    if root {
        for path in state.snapshot().keys() {
            chown(state.root().join(path), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        chown(state.root(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    for (path, mode) in [
        ("apps/closed/inner", 0o000),
        ("apps/closed", 0o000),
        ("apps/read-only/inner", 0o555),
        ("apps/read-only", 0o555),
        ("shut/inner", 0o100),
        ("shut", 0o000),
    ] {
        fs::set_permissions(state.at(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    if !root {
        as_owner(&state.root());
        return state.assert_reset(&kept);
    }
    // Where the tests were built, another user may not look.
    let test = state.holder().join("test");
    fs::copy(std::env::current_exe().unwrap(), &test).unwrap();
    for path in [state.holder(), &test] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = Command::new(&test)
        .args([
            "--exact",
            "unprivileged::an_owner_without_root_resets_closed_directories",
        ])
        .env(ROOT, state.root())
        .env("HOME", "/nonexistent")
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
    assert_eq!(state.top(), ["boot", "trust"]);
}

fn as_owner(root: &Path) {
    assert!(!rustix::process::geteuid().is_root());
    let plan = survey(root).unwrap().plan();
    let report = execute(root, &plan, &mut |_| {}).unwrap();
    assert_eq!(report.removed.len(), 4);
}
