//! What `examples/ab-disk/esp.sh` makes: the boot loader of a disk with two slots.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/ab-disk")
        .join(name)
}

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; `cargo xtask setup` installs it"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {text}");
    text
}

/// Runs the recipe as `before` says: `faketime` and the like.
fn made(dir: &TempDir, name: &str, before: &str) -> Vec<u8> {
    let out = dir.path().join(name);
    let script = example("esp.sh").display().to_string();
    run(
        "sh",
        &["-c", &format!("{before} sh {script} {}", out.display())],
    );
    fs::read(out).unwrap()
}

#[test]
fn the_same_files_give_the_same_partition_whoever_makes_it_and_when() {
    let dir = tempfile::tempdir().unwrap();
    let first = made(&dir, "first", "umask 022; ");
    let others = "umask 077; TZ=Asia/Tokyo LC_ALL=C.UTF-8 NO_FAKE_STAT=1 SOURCE_DATE_EPOCH=7 \
                  faketime '2031-05-05 03:04:05'";
    assert!(made(&dir, "second", others) == first);
}

#[test]
fn firmware_finds_a_boot_loader_with_the_script_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let esp = made(&dir, "esp", "");
    assert_eq!(esp.len() % (1 << 20), 0);
    let (image, out) = (dir.path().join("esp"), dir.path().join("efi"));
    let [image, out] = [&image, &out].map(|path| path.display().to_string());
    // Where UEFI 2.10, §3.5.1.1, says that firmware looks on a disk without entries of its own.
    run("mcopy", &["-i", &image, "::/EFI/BOOT/BOOTX64.EFI", &out]);
    let efi = fs::read(&out).unwrap();
    assert!(efi.starts_with(b"MZ"));
    let script = fs::read(example("grub.cfg")).unwrap();
    assert!(efi.windows(script.len()).any(|part| part == script));
}

/// GRUB's emulator has every module, a boot loader has those that are named.
#[test]
fn every_command_of_the_script_is_in_the_boot_loader() {
    let recipe = fs::read_to_string(example("esp.sh")).unwrap();
    let modules = recipe
        .lines()
        .find_map(|line| line.strip_prefix("modules='"));
    let modules: Vec<_> = modules.unwrap().trim_end_matches('\'').split(' ').collect();
    let list = fs::read_to_string("/usr/lib/grub/x86_64-efi/command.lst").unwrap();
    let module_of = |command: &str| {
        let found = list.lines().find_map(|line| {
            let (name, module) = line.trim_start_matches('*').split_once(": ")?;
            (name == command).then_some(module)
        });
        found.map(str::to_owned)
    };
    let script = fs::read_to_string(example("grub.cfg")).unwrap();
    let mut seen = Vec::new();
    for part in script.split(['\n', ';']) {
        let words = part.split_whitespace();
        let mut words = words.skip_while(|word| ["if", "elif", "then", "else"].contains(word));
        let Some(module) = words.next().and_then(module_of) else {
            continue;
        };
        assert!(modules.contains(&module.as_str()), "{module}: {part}");
        seen.push(module);
    }
    for module in ["regexp", "loadenv", "test", "linux", "boot", "minicmd"] {
        assert!(seen.iter().any(|found| found == module), "{module}");
    }
}
