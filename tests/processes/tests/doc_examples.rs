//! The commands in the documents work as they stand, but for the names of devices and folders.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::fs;

use nx_transport::pty::Cable;
use processes::{Flashd, Workdir, shell};

const README: &str = include_str!("../../../README.md");
const OVERVIEW: &str = include_str!("../../../docs/provisioning/overview.md");

/// The commands of the block of shell lines that has this one, each on one line.
fn commands(document: &str, with: &str) -> Vec<String> {
    let blocks = document.split("```sh\n").skip(1);
    let mut blocks = blocks.map(|block| block.split("```").next().unwrap());
    let block = blocks.find(|block| block.contains(with)).unwrap();
    let lines = block.replace("\\\n", " ");
    let command = |line: &&str| !line.is_empty() && !line.starts_with('#');
    lines.lines().filter(command).map(str::to_owned).collect()
}

fn run(work: &Workdir, line: &str) {
    let output = shell(work, line).output().unwrap();
    assert!(output.status.success(), "`{line}`: {output:#?}");
}

/// Runs the commands in order, with these names for those of the document; what ends in `&` is a
/// `flashd` that serves meanwhile.
fn follow(work: &Workdir, commands: &[String], names: &[(&str, String)]) {
    let mut serving = None;
    for command in commands {
        let line = names.iter().fold(command.clone(), |line, (name, here)| {
            line.replace(name, here)
        });
        match line.strip_suffix('&') {
            Some(line) => {
                let line = format!("exec {line}");
                serving = Some(Flashd::spawn(shell(work, &line)));
            }
            None => run(work, &line),
        }
    }
    assert!(serving.is_some(), "no flashd in {commands:#?}");
}

#[test]
fn from_sources_to_a_running_device_over_a_serial_line() {
    let work = Workdir::new();
    for folder in ["initrd", "rootfs/etc"] {
        fs::create_dir_all(work.path(folder)).unwrap();
    }
    fs::write(work.path("initrd/init"), "#!/bin/sh\n").unwrap();
    fs::write(work.path("rootfs/etc/hostname"), "board\n").unwrap();
    for file in ["vmlinuz", "pkgfs.img"] {
        work.random_file(file, 200_000, 1);
    }
    let cable = Cable::plug().unwrap();
    let [near, far] = cable.paths().map(|path| path.display().to_string());
    let here = |name: &str| work.path(name).display().to_string();
    let names = [
        ("/dev/ttyS0", far),
        ("/dev/ttyUSB0", near),
        ("/dev/vda", here("vda.img")),
        ("/var/lib/flashd", here("journal")),
        ("/var/lib/next-boot", here("next-boot")),
    ];
    let commands = commands(OVERVIEW, "nx flash reboot");
    assert_eq!(commands.len(), 7, "{commands:#?}");
    follow(&work, &commands, &names);
    assert_eq!(
        fs::read(work.path("vda.img")).unwrap(),
        fs::read(work.path("os.img")).unwrap()
    );
    let record = fs::read_to_string(work.path("next-boot")).unwrap();
    assert_eq!(record, "next-boot=normal\n");
}

#[test]
fn two_processes_and_a_socket() {
    let work = Workdir::new();
    work.random_file("kernel", 200_000, 1);
    run(&work, "nx image keygen --out os.key --pub os.pub");
    run(
        &work,
        "nx image build --profile dev --kernel kernel --sign os.key \
         --out OS.img --manifest OS.json",
    );
    let socket = work.path("s").display().to_string();
    let commands = commands(README, "nx flash send");
    assert_eq!(commands.len(), 2, "{commands:#?}");
    follow(&work, &commands, &[("/tmp/s", socket)]);
    assert_eq!(
        fs::read(work.path("disk.img")).unwrap(),
        fs::read(work.path("OS.img")).unwrap()
    );
}
