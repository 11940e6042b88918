use std::fs;
use std::path::Path;

use nx_reset::{Digest, execute, survey};

use crate::Target;
use crate::scratch;

pub(crate) const TARGET: Target = Target {
    name: "intent",
    bytes_max: 2_048,
    run,
    seeds,
};

const KEPT: &[u8] = b"what outlives every reset";

/// The intent of a reset that began, in a state root: as it is or, when the first byte is odd,
/// as the plan's lines of an intent whose digests are right. Whatever it says, the kept set stays.
fn run(bytes: &[u8]) -> bool {
    let Some((&how, rest)) = bytes.split_first() else {
        return false;
    };
    let root = scratch::path("state");
    let intent = if how & 1 == 0 {
        rest.to_vec()
    } else {
        with_digests(rest)
    };
    lay_out(&root, &intent, how & 2 != 0);
    let found = survey(&root).unwrap();
    let begun = found.pending.as_ref();
    let whole = begun.is_some_and(|pending| pending.plan_hash.is_some());
    if whole {
        let report = execute(&root, &found.plan(), &mut |_| {}).unwrap();
        assert!(report.resumed);
        assert!(!root.join("apps").exists());
        assert!(!root.join(".nx-reset").exists());
        assert_eq!(fs::read(root.join("trust/key")).unwrap(), KEPT);
        assert_eq!(fs::read(root.join("boot/next")).unwrap(), KEPT);
    }
    whole
}

fn lay_out(root: &Path, intent: &[u8], trash: bool) {
    for folder in ["apps", "trust", "boot", ".nx-reset"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for kept in ["trust/key", "boot/next"] {
        fs::write(root.join(kept), KEPT).unwrap();
    }
    fs::write(root.join(".nx-reset/intent"), intent).unwrap();
    let _ = fs::remove_dir(root.join(".nx-reset/trash"));
    if trash {
        fs::create_dir(root.join(".nx-reset/trash")).unwrap();
    }
}

fn with_digests(lines: &[u8]) -> Vec<u8> {
    let plan = Digest::of(lines);
    let mut intent = format!("nx-reset-intent/1\nplan {plan}\nkept {plan}\n").into_bytes();
    intent.extend(lines);
    let whole = Digest::of(&intent);
    intent.extend(format!("sha256 {whole}\n").into_bytes());
    intent
}

fn seeds() -> Vec<Vec<u8>> {
    let lines = b"REMOVE\tstate:/apps\tdirectory\nPRESERVE\tstate:/trust\tdirectory\n";
    let forged = b"REMOVE\tstate:/trust\tdirectory\nREMOVE\tstate:/boot\tdirectory\n\
        REMOVE\tstate:/../x\tfile\n";
    vec![
        [b"\x01", lines.as_slice()].concat(),
        [b"\x03", forged.as_slice()].concat(),
        [b"\x00".to_vec(), with_digests(lines)].concat(),
        [b"\x02".to_vec(), with_digests(forged)].concat(),
    ]
}
