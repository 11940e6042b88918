//! The threat model: every threat once, with tests that are there or a word why there are none.

use super::{Finding, Tree, markdown};

const DOCUMENT: &str = "docs/threat-model.md";
/// The threats, T01 to this one.
const THREATS: usize = 40;
/// How the paragraph begins of a threat that has no test.
const NONE: &str = "No test: ";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.text(DOCUMENT) else {
        return vec![Finding::whole(DOCUMENT, "is not there")];
    };
    let mut findings = Vec::new();
    let mut next = 1_usize;
    let mut last: Option<Threat> = None;
    for (line, words) in markdown::outside_fences(text) {
        if let Some(title) = words.strip_prefix("## ") {
            findings.extend(last.take().and_then(Threat::finding));
            let id = format!("T{next:02} ");
            if !title.starts_with(&id) {
                findings.push(Finding::at(DOCUMENT, line, format!("{id}is next")));
            }
            next = next.saturating_add(1);
            last = Some(Threat::at(line));
        } else if let Some(threat) = &mut last {
            findings.extend(threat.read(tree, line, words));
        }
    }
    findings.extend(last.and_then(Threat::finding));
    if next != THREATS.saturating_add(1) {
        findings.push(Finding::whole(DOCUMENT, format!("not {THREATS} threats")));
    }
    findings
}

/// The section of a threat, under way.
struct Threat {
    line: usize,
    /// The text of the file that the next tests are in.
    file: String,
    tests: usize,
    excused: bool,
}

impl Threat {
    const fn at(line: usize) -> Self {
        Self {
            line,
            file: String::new(),
            tests: 0,
            excused: false,
        }
    }

    /// A line of the section: a file with tests, a test, or words.
    fn read(&mut self, tree: &Tree, line: usize, words: &str) -> Option<Finding> {
        let span = words.split('`').nth(1).unwrap_or_default();
        if words.starts_with("- `") {
            // That there is such a file is seen to where links are.
            tree.text(span)
                .unwrap_or_default()
                .clone_into(&mut self.file);
        } else if words.starts_with("  - `") {
            self.tests = self.tests.saturating_add(1);
            if !self.file.contains(&format!("fn {span}(")) {
                let message = format!("no test `{span}` in the file above");
                return Some(Finding::at(DOCUMENT, line, message));
            }
        } else if words.starts_with(NONE) {
            self.excused = true;
        }
        None
    }

    fn finding(self) -> Option<Finding> {
        let message = match (self.tests, self.excused) {
            (0, false) => format!("neither a test nor \"{NONE}\" and why"),
            (1.., true) => format!("both tests and \"{NONE}\""),
            _ => return None,
        };
        Some(Finding::at(DOCUMENT, self.line, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: (&str, &str) = ("tests/a.rs", "#[test]\nfn it_holds() {}\n");

    fn found(change: impl FnOnce(&mut Vec<String>)) -> Vec<String> {
        let shown = "It holds.\n\n- `tests/a.rs`:\n  - `it_holds`\n";
        let section = |number| format!("## T{number:02} Threat\n\n{shown}\n");
        let mut sections: Vec<String> = (1..=THREATS).map(section).collect();
        change(&mut sections);
        let text = sections.concat();
        let findings = check(&Tree::of([CODE, (DOCUMENT, &text)]));
        findings.into_iter().map(|found| found.message).collect()
    }

    #[test]
    fn every_threat_has_a_test_or_a_word_why_not() {
        assert_eq!(found(|_| {}), [""; 0]);
        let excused = "## T07 Threat\n\nNo test: it is elsewhere.\n\n";
        assert_eq!(found(|all| excused.clone_into(&mut all[6])), [""; 0]);
        let bare = "## T07 Threat\n\nIt holds.\n\n";
        let named = found(|all| bare.clone_into(&mut all[6]));
        assert!(named[0].starts_with("neither a test"), "{named:?}");
        let both = found(|all| all[6].push_str("No test: and yet.\n"));
        assert!(both[0].starts_with("both tests"), "{both:?}");
    }

    #[test]
    fn a_test_that_is_not_there_is_found() {
        let renamed = found(|all| all[6] = all[6].replace("it_holds", "it_held"));
        assert_eq!(renamed, ["no test `it_held` in the file above"]);
        let moved = found(|all| all[6] = all[6].replace("a.rs", "b.rs"));
        assert_eq!(moved, ["no test `it_holds` in the file above"]);
    }

    #[test]
    fn a_threat_that_is_missing_is_missed() {
        let gap = found(|all| drop(all.remove(6)));
        assert_eq!(gap[0], "T07 is next");
        let short = found(|all| drop(all.pop()));
        assert_eq!(short, ["not 40 threats"]);
    }
}
