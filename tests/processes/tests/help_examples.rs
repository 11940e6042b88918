//! Every example in every help text works as it stands, but for the names of ports and folders.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use processes::{Flashd, Workdir, flashd_path, nx, shell};

/// The commands with examples, in an order in which each finds what it needs.
const ORDER: [&str; 12] = [
    "image keygen",
    "image build",
    "image verify",
    "image inspect",
    "flash ports",
    "flash send",
    "flash verify",
    "flash info",
    "flash reboot",
    "flash replay",
    "reset factory",
    "",
];

/// What an example of a help text calls something, and what it is here.
fn here(work: &Workdir, example: &str) -> String {
    let path = |name: &str| work.path(name).display().to_string();
    let port = format!("unix:{}", path("s"));
    let names = [
        ("/dev/ttyUSB0", port.as_str()),
        // Only the socket matches.
        ("/dev/ttyUSB*", &format!("unix:{}", path("[s]"))),
        ("/dev/virtio-ports/flash", &format!("'{port}?listen'")),
        ("unix:/tmp/qemu-vserial", &port),
        ("unix:/tmp/flash.sock", &port),
        ("unix:/tmp/s", &port),
        ("/mnt/state", &path("state")),
        ("--state DIR", &format!("--state {}", path("state"))),
        ("--state /state", &format!("--state {}", path("state"))),
        ("/state/flash", &path("journal-2")),
        ("/run/flash ", &format!("{} ", path("journal-3"))),
        ("/dev/vda", &path("vda.img")),
        ("/etc/nexus/anchors", &path("anchors")),
    ];
    names.iter().fold(example.to_owned(), |text, (name, here)| {
        text.replace(name, here)
    })
}

/// The command lines below "Examples:", each on one line and without what is said about it.
fn examples(help: &str) -> Vec<String> {
    let below = help.split("Examples:\n").nth(1).unwrap_or_default();
    let mut lines: Vec<String> = Vec::new();
    for line in below.lines().take_while(|line| line.starts_with("  ")) {
        match lines.last_mut().filter(|last| last.ends_with('\\')) {
            Some(last) => {
                last.pop();
                last.push_str(line.trim_start());
            }
            // Behind three spaces stands what it is for.
            None => lines.push(line.trim_start().to_owned()),
        }
    }
    let command = |line: &String| line.split("   ").next().unwrap().trim_end().to_owned();
    lines.iter().map(command).collect()
}

/// The help of a command and of all below it, by the words of the command.
fn collect(words: &str, found: &mut BTreeMap<String, String>) {
    let args = words.split_whitespace().chain(["--help"]);
    let help = nx(args).ok().stdout;
    let below = help.split("Commands:\n").nth(1).unwrap_or_default();
    for line in below.lines().take_while(|line| line.starts_with("  ")) {
        // What a command is may go on in the next line, further in.
        let name = line.strip_prefix("  ").unwrap();
        if !name.starts_with(' ') && !name.starts_with("help") {
            let name = name.split_whitespace().next().unwrap();
            collect(format!("{words} {name}").trim(), found);
        }
    }
    found.insert(words.to_owned(), help);
}

/// A folder with the inputs that the examples name.
fn world() -> Workdir {
    let work = Workdir::new();
    for folder in [
        "root/etc",
        "recovery",
        "initrd",
        "state/apps",
        "state/trust",
        "anchors",
    ] {
        fs::create_dir_all(work.path(folder)).unwrap();
    }
    fs::write(work.path("root/etc/hostname"), "board\n").unwrap();
    for init in ["recovery/init", "initrd/init"] {
        fs::write(work.path(init), "#!/bin/sh\n").unwrap();
    }
    for file in ["vmlinuz", "rootfs.squashfs", "pkgfs.img", "esp.img"] {
        work.random_file(file, 200_000, 1);
    }
    // Signs what it reads, as a hardware module's own tool would.
    let hsm = "#!/bin/sh\ncat > m && openssl pkeyutl -sign -inkey os.key -rawin -in m\n";
    let hsm = (work.path("hsm"), hsm);
    fs::write(&hsm.0, hsm.1).unwrap();
    fs::set_permissions(hsm.0, fs::Permissions::from_mode(0o755)).unwrap();
    work
}

fn flashd_examples() -> Vec<String> {
    let output = Command::new(flashd_path()).arg("--help").output().unwrap();
    examples(&String::from_utf8(output.stdout).unwrap())
}

#[test]
fn every_example_works() {
    let mut helps = BTreeMap::new();
    collect("", &mut helps);
    let with_examples: Vec<&String> = helps
        .iter()
        .filter(|(_, help)| help.contains("Examples:"))
        .map(|(words, _)| words)
        .collect();
    let mut order = ORDER;
    order.sort_unstable();
    assert_eq!(with_examples, order);

    let work = world();
    let mut flashd = None;
    for words in ORDER {
        if words == "flash send" {
            let example = here(&work, &flashd_examples()[0]);
            // Without it a device cannot be told what to start next.
            let line = format!("exec {example} --boot-record boot");
            flashd = Some(Flashd::spawn(shell(&work, &line)));
        }
        let found = examples(&helps[words]);
        assert!(!found.is_empty(), "{words}: no example is found");
        for example in found {
            let line = here(&work, &example);
            let output = shell(&work, &line).output().unwrap();
            assert!(output.status.success(), "`{line}`: {output:#?}");
        }
    }
    assert!(flashd.is_some());
    assert_eq!(
        fs::read(work.path("disk.img")).unwrap(),
        fs::read(work.path("OS.img")).unwrap()
    );
}

#[test]
fn the_examples_of_flashd_serve() {
    let found = flashd_examples();
    assert_eq!(found.len(), 3, "{found:?}");
    for example in found {
        let work = world();
        if example.contains("--layout ab") {
            // A disk is there, and has its size.
            let disk = fs::File::create(work.path("vda.img")).unwrap();
            disk.set_len(8 << 20).unwrap();
        }
        let (key, public) = (work.path("os.key"), work.path("anchors/os.pub"));
        nx([
            Path::new("image"),
            Path::new("keygen"),
            Path::new("--out"),
            &key,
            Path::new("--pub"),
            &public,
        ])
        .ok();
        fs::copy(&public, work.path("os.pub")).unwrap();
        // It is ready, or this never returns.
        Flashd::spawn(shell(&work, &format!("exec {}", here(&work, &example))));
    }
}
