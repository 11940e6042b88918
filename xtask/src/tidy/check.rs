//! The list of checks, and what runs them.
#![expect(clippy::print_stdout, reason = "findings go to standard output")]

use crate::{
    error::{Result, XtaskError},
    repo::Repo,
    tidy::{
        Finding, Tree, absolute, arrows, columns, links, manifests, modules, records, threats,
        wire, words,
    },
};

/// One rule and its check.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// The rule, as a claim that holds in a tidy tree.
    pub claim: &'static str,
    check: fn(&Tree) -> Vec<Finding>,
}

/// The checks of files. [`ALLOWED`](super::ALLOWED) arrows between crates are checked beside them.
pub const CHECKS: &[Check] = &[
    Check {
        claim: "every .rs file is reached by a `mod`, and has a noun for a name",
        check: modules::check,
    },
    Check {
        claim: "no placeholder, no sleeping or ignored test, no `allow` without a reason",
        check: words::check,
    },
    Check {
        claim: "links lead somewhere, and so do paths in documents and documents in comments",
        check: links::check,
    },
    Check {
        claim: "lines of .rs files have at most 100 columns",
        check: columns::check,
    },
    Check {
        claim: "decision records have one number each, and the four sections",
        check: records::check,
    },
    Check {
        claim: "every number on the wire is in docs/provisioning/protocol.md",
        check: wire::check,
    },
    Check {
        claim: "every threat has tests, by names that are there, or a word why not",
        check: threats::check,
    },
    Check {
        claim: "no file names a folder of somebody's machine",
        check: absolute::check,
    },
    Check {
        claim: "every crate has the workspace's lints and version",
        check: manifests::check,
    },
];

/// All findings in `repo`, sorted by file.
///
/// # Errors
/// [`XtaskError`] if a file cannot be read or cargo does not answer.
pub fn findings(repo: &Repo) -> Result<Vec<Finding>> {
    let tree = Tree::read(repo.root())?;
    let mut findings: Vec<Finding> = CHECKS.iter().flat_map(|c| (c.check)(&tree)).collect();
    findings.extend(arrows::check(&arrows::metadata(repo)?)?);
    findings.sort();
    findings.dedup();
    Ok(findings)
}

/// Prints all findings.
///
/// # Errors
/// [`XtaskError::Findings`] if there is one; else those of [`findings`].
pub fn run(repo: &Repo) -> Result<()> {
    let findings = findings(repo)?;
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => {
            println!("tidy");
            Ok(())
        }
        count => Err(XtaskError::Findings { count }),
    }
}
