//! No folder of somebody's machine in a file.

use super::{Finding, Tree};

/// Top folders that exist on a developer's machine only, in pieces so that this file is clean.
const TOPS: &[[&str; 2]] = &[["/", "work/"], ["/", "Users/"], ["/tmp/", "target-"]];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let tops: Vec<String> = TOPS.iter().map(|pieces| pieces.concat()).collect();
    let mut findings = Vec::new();
    for (path, text) in tree.texts() {
        for (line, content) in (1..).zip(text.lines()) {
            for top in tops.iter().filter(|top| names_root(content, top)) {
                let message = format!("`{top}` is a folder of somebody's machine");
                findings.push(Finding::at(path, line, message));
            }
        }
    }
    findings
}

/// Whether `top` is in `line` as the start of a path, not in the middle of one.
fn names_root(line: &str, top: &str) -> bool {
    line.match_indices(top).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '}' | '>'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_a_path_is_found_and_its_middle_is_not() {
        let found = ["a /", "work/x"].concat();
        let free = ["src/", "work/x ./", "work/"].concat();
        let tree = Tree::of([("a.md", found.as_str()), ("b.md", free.as_str())]);
        let findings = check(&tree);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(
            findings
                .iter()
                .all(|f| (f.path.as_str(), f.line) == ("a.md", 1))
        );
    }
}
