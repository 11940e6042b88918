//! Words that stand for work not done, tests that do not test, and lints switched off in silence.

use super::{
    Finding, Tree, markdown,
    rust::{self, Line},
};

/// In comments and documents, as whole words.
const MARKERS: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];

/// In any code.
const CODE: &[&str] = &["todo!", "unimplemented!", "dbg!"];

/// In the code of tests.
const TEST_CODE: &[(&str, &str)] = &[
    (
        "thread::sleep",
        "wait for what is to happen, or use virtual time",
    ),
    (
        "thread::{sleep",
        "wait for what is to happen, or use virtual time",
    ),
    ("#[ignore", "a test that does not run proves nothing"),
    ("#[should_panic", "assert on the error instead"),
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending(".rs") {
        let lines = rust::lines(path, text);
        for (number, line) in (1..).zip(&lines) {
            findings.extend(in_line(line).map(|message| Finding::at(path, number, message)));
        }
        findings.extend(silent_allows(path, &lines));
    }
    for (path, text) in tree.ending(".md") {
        for (number, prose) in markdown::prose(text) {
            findings.extend(markers(&prose).map(|message| Finding::at(path, number, message)));
        }
    }
    findings
}

fn in_line(line: &Line) -> impl Iterator<Item = String> {
    let code = CODE
        .iter()
        .filter(|word| has_word(&line.code, word))
        .map(|word| format!("`{word}` stands for work not done"));
    let test = TEST_CODE
        .iter()
        .filter(|(word, _)| line.test && line.code.contains(word))
        .map(|(word, instead)| format!("`{word}` in a test: {instead}"));
    code.chain(test).chain(markers(&line.comment))
}

fn markers(text: &str) -> impl Iterator<Item = String> {
    MARKERS
        .iter()
        .filter(|word| has_word(text, word))
        .map(|word| format!("`{word}`: do it, or file an issue"))
}

fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).unwrap_or_default();
        let after = text
            .get(at..)
            .and_then(|t| t.strip_prefix(word))
            .unwrap_or_default();
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

/// `allow` attributes without a `reason`, which may span lines.
fn silent_allows(path: &str, lines: &[Line]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in (1..).zip(lines) {
        let (start, mut text) = match open.take() {
            Some(open) => open,
            None if is_allow(&line.code) => (number, String::new()),
            None => continue,
        };
        text.push_str(&line.code);
        if !text.contains(")]") {
            open = Some((start, text));
        } else if !text.contains("reason =") {
            findings.push(Finding::at(
                path,
                start,
                "`allow` without a reason; prefer `expect`",
            ));
        }
    }
    findings
}

fn is_allow(code: &str) -> bool {
    code.contains("#[allow(") || code.contains("#![allow(")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines with findings when `text` is `path`.
    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&Tree::of([(path, text)]))
            .iter()
            .map(|f| f.line)
            .collect()
    }

    #[test]
    fn placeholders_are_found_in_code_but_not_in_strings() {
        let text = "fn f() { todo!() }\nconst A: &str = \"todo!\";\nfn g() { my_todo!() }";
        assert_eq!(lines("src/a.rs", text), [1]);
    }

    #[test]
    fn markers_are_found_in_comments_and_documents_as_whole_words() {
        assert_eq!(
            lines("a.rs", "// FIXME: later\nconst FIXME: u8 = 0; // FIXMEs"),
            [1]
        );
        assert_eq!(
            lines("a.md", "Ready.\nXXX not\n`XXX` is a word\n```\nTODO\n```"),
            [2]
        );
    }

    #[test]
    fn tests_may_not_sleep_or_be_ignored_but_drivers_may_wait() {
        let text = "std::thread::sleep(x);\n#[cfg(test)]\nmod t {\nthread::sleep(x)\n#[ignore]";
        assert_eq!(lines("src/a.rs", text), [4, 5]);
        assert_eq!(
            lines("tests/a.rs", "#[should_panic(expected = \"x\")]"),
            [1]
        );
    }

    #[test]
    fn an_allow_wants_a_reason_on_one_line_or_more() {
        let text = "#![allow(a, reason = \"b\")]\n#[allow(a)]\n#[allow(\n a,\n reason = \"b\"\n)]";
        assert_eq!(lines("src/a.rs", text), [2]);
    }
}
