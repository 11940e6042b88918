//! Factory reset: a simulated state tree; the kept paths stay, and the output is the golden list.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::Path;

use nx_reset::{execute, survey};

const GONE: [&str; 4] = [
    "apps/a/bin",
    "content/photo.jpg",
    "settings/prefs",
    "ime/de/personal",
];
const KEPT: [&str; 5] = [
    "trust/installed/company.pub",
    "boot/bootctl.v1",
    "bootctl/state",
    "keystore/device.signing",
    "statefsd/enc.v1",
];

#[test]
fn kept_paths_stay_and_the_output_is_the_golden_list() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("state");
    for path in GONE.iter().chain(&KEPT) {
        let file = root.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, path).unwrap();
    }
    let plan = survey(&root).unwrap().plan();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/reset.txt");
    assert_eq!(plan.to_string(), fs::read_to_string(golden).unwrap());

    execute(&root, &plan, &mut |_| {}).unwrap();

    for path in GONE {
        assert!(!root.join(path).exists(), "{path} is still there");
    }
    for path in KEPT {
        assert_eq!(fs::read_to_string(root.join(path)).unwrap(), path);
    }
    let left: Vec<_> = fs::read_dir(&root)
        .unwrap()
        .flatten()
        .map(|e| e.file_name())
        .collect();
    assert_eq!(left.len(), KEPT.len(), "{left:?}");
}
