//! What every member's `Cargo.toml` takes from the workspace.

use super::{Finding, Tree};

/// Lines that each manifest has.
const INHERITED: &[&str] = &[
    "version.workspace = true",
    "edition.workspace = true",
    "rust-version.workspace = true",
    "license.workspace = true",
    "publish.workspace = true",
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending("/Cargo.toml") {
        for line in INHERITED {
            if !text.lines().any(|have| have == *line) {
                findings.push(Finding::whole(path, format!("no `{line}`")));
            }
        }
        if !text.contains("[lints]\nworkspace = true\n") {
            findings.push(Finding::whole(
                path,
                "no `[lints] workspace = true`: the crate has no lints",
            ));
        }
        if !text.lines().any(|line| line.starts_with("description = ")) {
            findings.push(Finding::whole(path, "no description"));
        }
        findings.extend(own_versions(path, text));
    }
    findings
}

/// Dependencies whose version is not the workspace's.
fn own_versions(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_dependencies = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with('[') {
            in_dependencies = line.trim_end_matches(']').ends_with("dependencies");
        } else if in_dependencies && line.contains('=') && !line.contains("workspace = true") {
            findings.push(Finding::at(
                path,
                number,
                "name the version in the root's [workspace.dependencies]",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(dependencies: &str) -> String {
        format!(
            "[package]\nname = \"a\"\ndescription = \"b\"\n{}\n\n[lints]\nworkspace = true\n\n\
             [dependencies]\n{dependencies}",
            INHERITED.join("\n")
        )
    }

    fn messages(text: &str) -> Vec<String> {
        let findings = check(&Tree::of([("crates/a/Cargo.toml", text)]));
        findings.into_iter().map(|f| f.message).collect()
    }

    #[test]
    fn a_member_that_inherits_all_is_fine() {
        let text = manifest("clap = { workspace = true, features = [\"env\"] }\n");
        assert_eq!(messages(&text), [""; 0]);
    }

    #[test]
    fn a_crate_without_lints_is_found() {
        let text = manifest("").replace("[lints]", "[lint]");
        assert_eq!(
            messages(&text),
            ["no `[lints] workspace = true`: the crate has no lints"]
        );
    }

    #[test]
    fn a_version_of_its_own_is_found() {
        assert_eq!(
            messages(&manifest("clap = \"4\"\n")),
            ["name the version in the root's [workspace.dependencies]"]
        );
    }
}
