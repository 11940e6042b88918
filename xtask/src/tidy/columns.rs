//! Lines of at most 100 columns: rustfmt leaves long strings and comments alone.

use super::{Finding, Tree};

const COLUMNS_MAX: usize = 100;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending(".rs") {
        for (line, content) in (1..).zip(text.lines()) {
            let columns = content.chars().count();
            if columns > COLUMNS_MAX {
                findings.push(Finding::at(
                    path,
                    line,
                    format!("{columns} columns, at most {COLUMNS_MAX}"),
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_count_and_not_bytes() {
        let fits = "é".repeat(100);
        let over = "x".repeat(101);
        let tree = Tree::of([
            ("a.rs", format!("{fits}\n{over}").as_str()),
            ("a.md", &over),
        ]);
        assert_eq!(
            check(&tree),
            [Finding::at("a.rs", 2, "101 columns, at most 100")]
        );
    }
}
