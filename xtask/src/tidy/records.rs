//! Decision records: one number each, in the name, and four sections.

use std::collections::BTreeMap;

use super::{Finding, Tree, markdown};

const FOLDER: &str = "docs/decisions/";

/// What each record has to say, as the first word of a heading.
const SECTIONS: &[&str] = &["Context", "Decision", "Alternatives", "Cost"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut numbers: BTreeMap<&str, &str> = BTreeMap::new();
    for (path, text) in tree.texts() {
        let Some(name) = path.strip_prefix(FOLDER) else {
            continue;
        };
        let Some(number) = number(name) else {
            findings.push(Finding::whole(path, "a record is named `NNNN-slug.md`"));
            continue;
        };
        if let Some(other) = numbers.insert(number, path) {
            let message = format!("number {number} is taken by `{other}`");
            findings.push(Finding::whole(path, message));
        }
        let headings: Vec<&str> = markdown::headings(text).collect();
        for section in SECTIONS {
            if !headings.iter().any(|heading| heading.starts_with(section)) {
                findings.push(Finding::whole(path, format!("no heading \"{section}\"")));
            }
        }
    }
    findings
}

fn number(name: &str) -> Option<&str> {
    let (number, slug) = name.strip_suffix(".md")?.split_once('-')?;
    let is_number = number.len() == 4 && number.chars().all(|c| c.is_ascii_digit());
    let is_slug = !slug.is_empty()
        && slug
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    (is_number && is_slug).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "# T\n## Context\n## Decision\n## Alternatives considered\n## Cost\n";

    fn messages(files: &[(&str, &str)]) -> Vec<String> {
        let findings = check(&Tree::of(files.iter().copied()));
        findings.into_iter().map(|f| f.message).collect()
    }

    #[test]
    fn numbers_are_given_once() {
        let files = [
            ("docs/decisions/0001-a.md", WHOLE),
            ("docs/decisions/0001-b.md", WHOLE),
        ];
        assert_eq!(
            messages(&files),
            ["number 0001 is taken by `docs/decisions/0001-a.md`"]
        );
    }

    #[test]
    fn a_record_without_its_cost_is_none() {
        let text = WHOLE.replace("## Cost\n", "");
        let files = [("docs/decisions/0001-a.md", text.as_str())];
        assert_eq!(messages(&files), ["no heading \"Cost\""]);
    }

    #[test]
    fn names_have_four_digits_and_a_slug() {
        for name in ["1-a.md", "0001.md", "0001-A b.md", "notes.txt"] {
            assert_eq!(number(name), None, "{name}");
        }
        assert_eq!(number("0042-gpt-by-default.md"), Some("0042"));
    }
}
