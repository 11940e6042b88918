//! Links in documents, files that documents name, and documents that code names.

use super::{
    Finding, Tree, markdown,
    rust::{self, Line},
};

/// A code span in a document that starts like this is a path in the repository.
const TOPS: &[&str] = &[
    ".ci/",
    "crates/",
    "docs/",
    "examples/",
    "tests/",
    "tools/",
    "xtask/",
];

/// Documents that speak of the past, and of what might have been.
const HISTORIES: &[&str] = &["CHANGELOG.md", "docs/decisions/"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending(".md") {
        for link in markdown::links(text) {
            if let Err(message) = follow(tree, path, &link.target) {
                findings.push(Finding::at(path, link.line, message));
            }
        }
        if HISTORIES.iter().any(|history| path.starts_with(history)) {
            continue;
        }
        for (line, span) in markdown::spans(text) {
            if is_path(span) && !tree.has(span.trim_end_matches('/')) {
                findings.push(Finding::at(path, line, format!("there is no `{span}`")));
            }
        }
    }
    for (path, text) in tree.ending(".rs") {
        let lines = rust::lines(path, text);
        for (number, line) in (1..).zip(&lines) {
            // A sentence may go on in the next line.
            let next = lines.get(number).map_or("", |line| line.comment.as_str());
            for message in mentions(tree, line, next) {
                findings.push(Finding::at(path, number, message));
            }
        }
    }
    findings
}

/// Whether a code span is a path in the repository: no command, no pattern, and no capitals that
/// stand for a name, as in `drivers/SCHEME.rs`.
fn is_path(span: &str) -> bool {
    let is_placeholder = |name: &str| {
        let stem = name.split('.').next().unwrap_or_default();
        !stem.is_empty() && stem.chars().all(|c| c.is_ascii_uppercase())
    };
    TOPS.iter().any(|top| span.starts_with(top))
        && span
            .chars()
            .all(|c| c.is_alphanumeric() || "/-_.".contains(c))
        && !span.contains("...")
        && !span.split('/').any(is_placeholder)
}

/// Whether the link `target` in the document `from` leads somewhere.
fn follow(tree: &Tree, from: &str, target: &str) -> Result<(), String> {
    if ["http://", "https://", "mailto:"]
        .iter()
        .any(|scheme| target.starts_with(scheme))
    {
        return Ok(());
    }
    let (file, anchor) = match target.split_once('#') {
        Some((file, anchor)) => (file, Some(anchor)),
        None => (target, None),
    };
    let path = if file.is_empty() {
        from.to_owned()
    } else {
        resolve(from, file).ok_or_else(|| format!("`{target}` leads out of the repository"))?
    };
    if !tree.has(&path) {
        return Err(format!("`{target}` leads nowhere: no `{path}`"));
    }
    let Some(anchor) = anchor else {
        return Ok(());
    };
    match tree.text(&path) {
        Some(text) if path.ends_with(".md") => {
            let anchors = markdown::anchors(text);
            if anchors.iter().any(|have| have == anchor) {
                Ok(())
            } else {
                Err(format!(
                    "`{target}` leads nowhere: no heading `#{anchor}` in `{path}`"
                ))
            }
        }
        _ => Err(format!("`{target}`: only documents have anchors that last")),
    }
}

/// The path of `file` seen from the document `from`; `None` if it is outside.
fn resolve(from: &str, file: &str) -> Option<String> {
    let mut names: Vec<&str> = from.split('/').collect();
    names.pop();
    for name in file.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()?),
            name => names.push(name),
        }
    }
    Some(names.join("/"))
}

/// What is wrong with the documents that a comment names by path, and with the headings that it
/// names in quotes behind a comma.
fn mentions(tree: &Tree, line: &Line, next: &str) -> Vec<String> {
    let mut messages = Vec::new();
    for (at, _) in line.comment.match_indices("docs/") {
        let rest = line.comment.get(at..).unwrap_or_default();
        let path: String = rest
            .chars()
            .take_while(|c| c.is_alphanumeric() || matches!(c, '/' | '-' | '_' | '.'))
            .collect();
        let Some((path, _)) = path.split_once(".md") else {
            continue;
        };
        let path = format!("{path}.md");
        let Some(text) = tree.text(&path) else {
            messages.push(format!("there is no `{path}`"));
            continue;
        };
        let behind = format!("{}{next}", rest.strip_prefix(&path).unwrap_or_default());
        if let Some(heading) = heading_behind(&behind)
            && !markdown::headings(text).any(|have| have == heading)
        {
            messages.push(format!("`{path}` has no heading \"{heading}\""));
        }
    }
    messages
}

/// The text in quotes if that is what comes first, after a comma.
fn heading_behind(text: &str) -> Option<&str> {
    let text = text.strip_prefix('`').unwrap_or(text);
    let text = text.strip_prefix(',')?.trim_start();
    text.strip_prefix('"')?
        .split_once('"')
        .map(|(heading, _)| heading)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROTOCOL: (&str, &str) = ("docs/protocol.md", "# Protocol\n## Resume\n");

    /// The messages for a second file beside the protocol.
    fn messages(path: &str, text: &str) -> Vec<String> {
        let findings = check(&Tree::of([PROTOCOL, (path, text)]));
        findings.into_iter().map(|f| f.message).collect()
    }

    #[test]
    fn links_to_files_folders_and_headings_are_fine() {
        let text = "[a](protocol.md) [b](../docs/) [c](protocol.md#resume) [d](#here)\n# Here\n\
                    [e](https://example.org/x#y)";
        assert_eq!(messages("docs/a.md", text), [""; 0]);
    }

    #[test]
    fn a_link_that_leads_nowhere_says_what_is_missing() {
        let cases = [
            ("[a](none.md)", "`none.md` leads nowhere: no `docs/none.md`"),
            (
                "[a](protocol.md#none)",
                "`protocol.md#none` leads nowhere: no heading `#none` in `docs/protocol.md`",
            ),
            (
                "[a](../../x.md)",
                "`../../x.md` leads out of the repository",
            ),
            (
                "[a](../docs#x)",
                "`../docs#x`: only documents have anchors that last",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(messages("docs/a.md", text), [message]);
        }
    }

    #[test]
    fn a_document_names_files_that_are_there() {
        let fine = "`docs/`, `docs/protocol.md`, `docs/NAME.md`, `docs/*.rs`, `docs/none.md x`";
        assert_eq!(messages("a.md", fine), [""; 0]);
        assert_eq!(
            messages("a.md", "see `docs/none.md`"),
            ["there is no `docs/none.md`"]
        );
        assert_eq!(
            messages("docs/decisions/a.md", "see `docs/none.md`"),
            [""; 0]
        );
    }

    #[test]
    fn a_comment_may_name_a_document_and_its_heading() {
        let fine = "// `docs/protocol.md`, \"Resume\" and docs/protocol.md, so\n\
                    /// Source: `docs/protocol.md`,\n/// \"Resume\".";
        assert_eq!(messages("src/a.rs", fine), [""; 0]);
        assert_eq!(
            messages("src/a.rs", "// docs/protocol.md, \"Limits\""),
            ["`docs/protocol.md` has no heading \"Limits\""]
        );
        assert_eq!(
            messages("src/a.rs", "//! docs/none.md."),
            ["there is no `docs/none.md`"]
        );
    }
}
