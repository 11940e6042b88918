//! The program as a user runs it: help, mistakes, output.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod program;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use program::{Run, assert_golden, command, nx};
use serde_json::Value;

#[test]
fn help_is_the_golden_text_and_succeeds() {
    for (name, args) in [
        ("help.txt", &["--help"][..]),
        ("help-flash-ports.txt", &["flash", "ports", "--help"]),
        ("help-reset-factory.txt", &["reset", "factory", "--help"]),
    ] {
        let run = nx(args);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""));
        assert_golden(name, &run.stdout);
    }
}

#[test]
fn a_wrong_command_line_exits_2_and_says_what_is_wrong() {
    for args in [
        &[][..],
        &["fly"],
        &["flash"],
        &["reset", "factory", "--ye"],
        &["reset", "factory", "--state"],
    ] {
        let run = nx(args);
        assert_eq!(run.code, 2, "{args:?}");
        assert_eq!(run.stdout, "", "{args:?}");
        assert!(!run.stderr.is_empty(), "{args:?}");
    }
    assert!(nx(&["reset", "factry"]).stderr.contains("factory"));
}

#[test]
fn a_wrong_command_line_with_json_is_an_envelope() {
    let run = nx(&["--json", "flash", "prts"]);
    let envelope = run.envelope();
    assert_eq!((run.code, run.stderr.as_str()), (2, ""));
    assert_eq!(envelope["ok"], false);
    assert_eq!(envelope["class"], "usage");
    assert_eq!(envelope["code"], 2);
    assert_eq!(envelope["message"], "unrecognized subcommand 'prts'");
    assert_eq!(envelope["data"]["reason"], "usage.arguments");
}

#[test]
fn ports_lists_every_scheme_and_every_layer() {
    let run = nx(&["flash", "ports", "--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let data = &run.envelope()["data"];
    let names = |list: &str, name: &str| -> Vec<String> {
        let list = data[list].as_array().unwrap();
        list.iter()
            .map(|item| item[name].as_str().unwrap().to_owned())
            .collect()
    };
    let schemes = names("schemes", "scheme");
    assert!(schemes.is_sorted());
    for scheme in ["loopback", "serial", "tcp", "unix"] {
        assert!(schemes.iter().any(|known| known == scheme), "{schemes:?}");
    }
    assert!(names("layers", "layer").is_sorted());
    assert!(data["ports"].is_array());
    assert_eq!(data["default_port"], Value::Null);

    let text = nx(&["flash", "ports"]).stdout;
    for name in schemes.iter().chain(&names("layers", "layer")) {
        assert!(
            text.contains(name.as_str()),
            "{name} is not in the table:\n{text}"
        );
    }
}

#[test]
fn defaults_come_from_the_environment_and_then_from_the_file() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("nx")).unwrap();
    fs::write(
        home.path().join("nx/config.toml"),
        "port = \"unix:/from/file\"\n",
    )
    .unwrap();
    let default = |port: Option<&str>| {
        let mut command = command(&["flash", "ports", "--json"]);
        command.env("XDG_CONFIG_HOME", home.path());
        if let Some(port) = port {
            command.env("NX_PORT", port);
        }
        Run::of(&mut command).envelope()["data"]["default_port"].clone()
    };
    assert_eq!(default(None), "unix:/from/file");
    assert_eq!(default(Some("")), "unix:/from/file");
    assert_eq!(default(Some("/dev/ttyS7")), "/dev/ttyS7");
}

#[test]
fn a_wrong_configuration_exits_2_and_names_file_line_and_key() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("nx")).unwrap();
    let file = home.path().join("nx/config.toml");
    for (text, what) in [
        ("port = \"x\"\nprot = 1\n", "line 2: unknown field `prot`"),
        ("port = 1\n", "line 1: invalid type"),
        ("port\n", "line 1: "),
        (&"#".repeat(64 * 1024 + 1), "more than 65536 bytes"),
    ] {
        fs::write(&file, text).unwrap();
        let mut command = command(&["flash", "ports"]);
        let run = Run::of(command.env("XDG_CONFIG_HOME", home.path()));
        assert_eq!(run.code, 2, "{what}");
        assert!(run.stderr.starts_with("nx: `"), "{}", run.stderr);
        assert!(run.stderr.contains(what), "{}", run.stderr);
        assert!(run.stderr.contains("\ntry: "), "{}", run.stderr);
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let mut command = command(&["flash", "ports"]);
    assert_eq!(Run::of(command.env("XDG_CONFIG_HOME", home.path())).code, 7);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut child = command(&["flash", "ports"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert_eq!(first, "schemes\n");
    assert_eq!(child.wait().unwrap().code(), Some(0));

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = command(&["flash", "ports", "--json"]);
    assert_eq!(command.stdout(writer).status().unwrap().code(), Some(0));
}

#[test]
fn a_full_disk_behind_standard_output_is_one() {
    let mut command = command(&["flash", "ports"]);
    let output = command
        .stdout(File::create("/dev/full").unwrap())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(7));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("nx: cannot write the output"), "{text}");
}
