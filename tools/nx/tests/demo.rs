//! The demonstration: it does what it says, the same on every run, and leaves nothing behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod program;

use std::fs;

use program::{Run, assert_golden, command, nx};
use serde_json::Value;

fn demo(args: &[&str]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(args);
    let run = Run::of(command.env("TMPDIR", folder.path()));
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    run
}

#[test]
fn a_cut_transfer_is_resumed_and_nothing_is_sent_twice() {
    let run = demo(&["demo", "--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let data = &run.envelope()["data"];
    let number = |name: &str| -> u64 {
        let value = &data[name];
        value.as_u64().unwrap_or_else(|| panic!("{name}: {value}"))
    };
    let (total, before) = (number("blocks_total"), number("blocks_sent_before_cut"));
    assert!(
        before * 4 > total && before * 4 < total * 3,
        "cut in the middle: {data}"
    );
    // A block may be whole on the device whose acknowledgement was lost with the link.
    assert!(number("blocks_kept_after_cut") >= before, "{data}");
    let resumed = number("blocks_kept_after_cut") + number("blocks_sent_after_cut");
    assert_eq!(resumed, total);
    assert_eq!(number("blocks_sent_again"), 0);
    assert!(number("retransmitted_bytes") > 0, "the link drops frames");
    assert_eq!(number("device_starts"), 4);
    assert_eq!(number("segments_verified") + 1, number("segments"));
}

#[test]
fn two_runs_are_the_same_but_for_the_key() {
    let data = |run: Run| -> Value { run.envelope()["data"].clone() };
    let (first, second) = (demo(&["demo", "--json"]), demo(&["demo", "--json"]));
    assert_eq!(data(first), data(second));
    let (first, second) = (demo(&["demo"]), demo(&["demo"]));
    let rest = |run: &Run| run.stdout.split_once('\n').unwrap().1.to_owned();
    assert_eq!(rest(&first), rest(&second));
    assert_ne!(first.stdout, second.stdout, "each run has a key of its own");
}

#[test]
fn it_says_in_a_few_lines_what_it_did_and_what_to_try() {
    let run = demo(&["demo"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let first = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let words: Vec<String> = run.stdout.lines().map(first).collect();
    assert_eq!(
        words[..8],
        [
            "built",
            "link",
            "cut",
            "resumed",
            "installed",
            "verified",
            "again",
            "try"
        ]
    );
    assert_eq!(words.len(), 12, "{}", run.stdout);
    for command in ["image keygen", "image build", "flash send"] {
        assert!(
            run.stdout.contains(&format!("\n  nx {command} ")),
            "{command}"
        );
    }
    assert!(run.stdout.contains("\n  flashd --port "));
}

/// A line with every number, and every digest, as `#`.
fn shape(line: &str) -> String {
    let is_part = |c: char| c.is_ascii_hexdigit();
    let mut shape = String::new();
    for word in line.split_inclusive(|c: char| !is_part(c)) {
        let (word, end) = match word.strip_suffix(|c: char| !is_part(c)) {
            Some(start) => (start, &word[start.len()..]),
            None => (word, ""),
        };
        let counts = word.len() >= 16 || word.bytes().all(|byte| byte.is_ascii_digit());
        shape.push_str(if counts && !word.is_empty() {
            "#"
        } else {
            word
        });
        shape.push_str(end);
    }
    shape
}

#[test]
fn the_readme_shows_what_it_prints() {
    let run = demo(&["demo"]);
    let printed: Vec<String> = run.stdout.lines().take(7).map(shape).collect();
    let readme = include_str!("../../../README.md");
    let sample = readme.split("```text\n").nth(1).unwrap();
    let sample = sample.split("```").next().unwrap();
    assert_eq!(sample.lines().map(shape).collect::<Vec<_>>(), printed);
}

#[test]
fn its_help_is_the_golden_text() {
    let run = nx(&["demo", "--help"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert_golden("help-demo.txt", &run.stdout);
}
