use std::fs;
use std::path::Path;

use nx_reset::{Policy, survey};

use crate::state::State;

/// Compares with a golden file, or writes it when `UPDATE_GOLDEN=1`.
fn assert_golden(name: &str, got: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(&path, got).unwrap();
    }
    assert_eq!(
        got,
        fs::read_to_string(&path).unwrap(),
        "{}",
        path.display()
    );
}

#[test]
fn the_seed_tree_gives_the_golden_list() {
    let state = State::seed();
    let plan = state.plan().unwrap();
    assert_golden("seed-tree.txt", &plan.to_string());
    let removed: Vec<String> = plan.removals().map(|line| line.uri().to_owned()).collect();
    let kept = state.kept_snapshot();

    let report = state.reset().unwrap();

    assert_eq!(report.removed, removed);
    assert_eq!(report.plan_hash, plan.hash());
    state.assert_reset(&kept);
}

/// What the OS has below `state:/` today, what it plans, and what it should not have.
#[test]
fn the_shipping_tree_gives_the_golden_list() {
    let state = State::seed();
    for directory in [
        "app",
        "bootctl",
        "crash",
        "flash",
        "ime/de",
        "keystore",
        "observability",
        "recovery",
        "selftest",
        "settingsd",
        "shared",
        "statefsd",
        "Trust",
        "trash",
    ] {
        state.directory(directory);
    }
    state.file("50% off\t\n\u{1b}[2J", "");
    state.link("/etc/passwd", "link");
    assert_golden("shipping-tree.txt", &state.plan().unwrap().to_string());
    let kept = state.kept_snapshot();
    state.reset().unwrap();
    state.assert_reset(&kept);
}

#[test]
fn the_policy_is_the_documented_table() {
    let text = include_str!("../../../../docs/provisioning/factory-reset.md");
    let policy = Policy::FACTORY;
    let state = |name: &&str| format!("`state:/{name}");
    for name in policy.kept() {
        assert!(
            text.contains(&format!("{}/**` | kept", state(name))),
            "{name}"
        );
    }
    for name in policy.named() {
        assert!(
            text.contains(&format!("{}/**` | removed", state(name))),
            "{name}"
        );
    }
    for uri in policy.untouched() {
        assert!(text.contains(&format!("`{uri}` | never opened")), "{uri}");
    }
    let rows = text.matches("` | kept").count();
    assert_eq!(
        rows,
        policy.kept().len(),
        "the document keeps something that the code does not"
    );
}

#[test]
fn trust_roots_that_survive_are_listed_with_their_digest() {
    let state = State::seed();
    let survey = survey(&state.root()).unwrap();
    assert_eq!(survey.trust_roots_total, 1);
    let root = &survey.trust_roots[0];
    assert_eq!(root.uri, "state:/trust/installed/company.pub");
    assert_eq!(root.size, 6);
    // printf 'a key\n' | sha256sum
    assert_eq!(
        root.sha256.unwrap().to_string(),
        "c705461e91e939ff958cbf4cdb018664e440632babf7d1e7ed943e7c74c29bbf"
    );
    assert_eq!(state.reset().unwrap().trust_roots, survey.trust_roots);
}

#[test]
fn a_survey_and_a_plan_write_nothing() {
    let state = State::seed();
    let before = (state.snapshot(), times(&state.root()));
    state.plan().unwrap();
    assert_eq!((state.snapshot(), times(&state.root())), before);
}

/// Access, change and modification times of the root and of a kept file, which a survey reads.
fn times(root: &Path) -> Vec<(i64, i64, i64)> {
    use std::os::unix::fs::MetadataExt as _;
    [root.to_owned(), root.join("trust"), root.join("trust/log")]
        .iter()
        .map(|path| {
            let meta = fs::symlink_metadata(path).unwrap();
            (meta.atime_nsec(), meta.mtime_nsec(), meta.ctime_nsec())
        })
        .collect()
}

#[test]
fn a_second_reset_removes_nothing_and_leaves_the_root_untouched() {
    let state = State::seed();
    state.reset().unwrap();
    let before = (state.snapshot(), times(&state.root()));
    let mut events = 0;
    let report = state.reset_watched(&mut |_| events += 1).unwrap();
    assert!(report.removed.is_empty());
    assert_eq!(events, 0);
    assert_eq!((state.snapshot(), times(&state.root())), before);
}
