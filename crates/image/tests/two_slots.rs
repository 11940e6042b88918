//! An image of two slots, judged by the tools of the trade: `sgdisk` and GRUB's own.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

mod bytes;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::noise;
use nx_image::boot_record::{BootRecord, Slot, SlotContents, Tries};
use nx_image::build::{Build, BuildError, Report, SLOT_ROOM_PERCENT_MAX};
use nx_image::inspect::inspect;
use nx_image::manifest::{Profile, Slots, Table};
use nx_image::verify::{Depth, Files, verify};
use nx_image::{ManifestError, SegmentKind};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

struct Bench {
    dir: TempDir,
    build: Build,
}

impl Bench {
    /// Two slots of a kernel of 2 MiB and one byte, an initrd and a pkgfs; no rootfs.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, len: usize, seed: u32| {
            let path = dir.path().join(name);
            fs::write(&path, noise(len, seed)).unwrap();
            Some(path)
        };
        let mut build = Build::new(Profile::Dev);
        build.slots = Slots::Two;
        build.bootloader = file("esp", 70_000, 1);
        build.kernel = file("kernel", (2 << 20) + 1, 2);
        build.initrd = file("initrd", 5_000, 3);
        build.pkgfs = file("pkgfs", 1 << 20, 4);
        Self { dir, build }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self) -> Result<Report, BuildError> {
        let [image, manifest, signature] = ["os.img", "os.json", "os.sig"].map(|n| self.path(n));
        self.build
            .write(&image, &manifest, &signature, None, &mut |_| {})
    }

    /// Number, name, first byte and length of every partition.
    fn partitions(&self) -> Vec<(u32, String, u64, u64)> {
        let paths = ["os.img", "os.json", "os.sig"].map(|name| self.path(name));
        let found = inspect(&files(&paths), &[]).unwrap();
        let text = tool("sgdisk", &["-p", paths[0].to_str().unwrap()]);
        let mut partitions = Vec::new();
        for line in text
            .lines()
            .skip_while(|line| !line.starts_with("Number"))
            .skip(1)
        {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [first, last] = [1, 2].map(|at| words[at].parse::<u64>().unwrap());
            let number = words[0].parse().unwrap();
            let bytes = (last + 1 - first) * 512;
            partitions.push((
                number,
                (*words.last().unwrap()).to_owned(),
                first * 512,
                bytes,
            ));
        }
        // What `inspect` says of those that hold a segment.
        for partition in found.map.iter().filter_map(|area| area.partition.as_ref()) {
            assert!(
                partitions.iter().any(|(number, name, first, bytes)| {
                    *number == partition.number
                        && *name == partition.name
                        && (*first..first + bytes) == partition.range
                }),
                "{partition:?}"
            );
        }
        partitions
    }
}

fn files(paths: &[PathBuf; 3]) -> Files<'_> {
    Files {
        image: &paths[0],
        manifest: &paths[1],
        signature: &paths[2],
    }
}

fn tool(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; `cargo xtask setup` installs it"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {text}");
    text
}

fn editenv(path: &Path) -> String {
    tool("grub-editenv", &[path.to_str().unwrap(), "list"])
}

#[test]
fn the_table_has_both_slots_under_numbers_that_follow_from_names() {
    let bench = Bench::new();
    bench.write().unwrap();
    let image = bench.path("os.img").display().to_string();
    let text = tool("sgdisk", &["-v", &image]);
    assert!(text.contains("No problems found"), "{text}");
    let want = [
        (1, "bootloader", 1, 1),
        (2, "boot-record", 2, 1),
        // 2 MiB and a byte, half as much again, in whole MiB.
        (3, "kernel-a", 3, 4),
        (4, "initrd-a", 7, 1),
        (6, "pkgfs-a", 8, 2),
        (7, "kernel-b", 10, 4),
        (8, "initrd-b", 14, 1),
        (10, "pkgfs-b", 15, 2),
        (11, "state", 17, 16),
    ]
    .map(|(number, name, first, mib)| (number, name.to_owned(), first * MIB, mib * MIB));
    assert_eq!(bench.partitions(), want);
    let info = tool("sgdisk", &["-i", "1", &image]);
    assert!(
        info.contains("C12A7328-F81F-11D2-BA4B-00A0C93EC93B"),
        "{info}"
    );
}

#[test]
fn the_image_is_proven_with_an_empty_slot_b() {
    let bench = Bench::new();
    let report = bench.write().unwrap();
    let names: Vec<_> = report.manifest.segments.iter().map(|s| &s.name).collect();
    assert_eq!(
        names,
        [
            "gpt",
            "bootloader",
            "boot-record",
            "kernel",
            "initrd",
            "pkgfs",
            "state",
            "gpt-backup"
        ]
    );
    let paths = ["os.img", "os.json", "os.sig"].map(|name| bench.path(name));
    let prove = || verify(&files(&paths), &[], true, Depth::Blocks, &mut |_, _| {});
    prove().unwrap();
    // A byte in slot b is no part of the image.
    let mut image = fs::read(&paths[0]).unwrap();
    image[usize::try_from(10 * MIB + 5).unwrap()] = 1;
    fs::write(&paths[0], image).unwrap();
    prove().unwrap_err();
}

#[test]
fn grub_reads_the_record_of_an_image() {
    let bench = Bench::new();
    bench.write().unwrap();
    let image = fs::read(bench.path("os.img")).unwrap();
    let at = usize::try_from(2 * MIB).unwrap();
    let copy = &image[at + 4_096..at + 4_608];
    assert_eq!(
        BootRecord::parse(copy),
        Ok(BootRecord::first(SlotContents {
            kernel_sectors: 4_097,
            initrd_sectors: 10,
            manifest: None,
        }))
    );
    assert_eq!(image[at + 8_192..at + 8_704], *copy);
    let rest = &image[at + 8_704..at + (1 << 20)];
    assert!(rest.iter().all(|byte| *byte == 0));
    let path = bench.path("record");
    fs::write(&path, copy).unwrap();
    let listed = editenv(&path);
    let crc = &listed[listed.find("nx_crc=").unwrap() + 7..][..8];
    assert_eq!(
        listed,
        format!(
            "nx_v=1\nnx_gen=00000001\nnx_slot=a\nnx_other=-\nnx_trial=00000000\nnx_recovery=0\n\
             nx_a_kernel=0x00001001\nnx_a_initrd=0x0000000a\n\
             nx_b_kernel=0x00000000\nnx_b_initrd=0x00000000\n\
             nx_a={0:064}\nnx_b={0:064}\nnx_crc={crc}\nnx_end=00000001\n",
            0
        )
    );
}

#[test]
fn grub_counts_tries_down_in_place() {
    let bench = Bench::new();
    let trial = BootRecord::first(SlotContents::EMPTY)
        .on_trial(Slot::B, SlotContents::EMPTY)
        .unwrap();
    let (archive, path) = (bench.path("archive"), bench.path(Tries::FILE));
    let bytes = Tries::all(trial.trial.unwrap()).encode();
    // The file as GRUB and `tar` find it, with what follows it in the partition.
    fs::write(&archive, [bytes.as_slice(), &[0; 3_072]].concat()).unwrap();
    let folder = bench.dir.path().to_str().unwrap();
    tool("tar", &["-xf", archive.to_str().unwrap(), "-C", folder]);
    assert_eq!(fs::read(&path).unwrap(), bytes[512..]);
    for left in (0..Tries::MOST).rev() {
        tool(
            "grub-editenv",
            &[path.to_str().unwrap(), "set", &format!("nx_tries={left}")],
        );
        let sector = fs::read(&path).unwrap();
        let tries = Tries::parse(&[&bytes[..512], &sector].concat()).unwrap();
        assert_eq!(trial.tries_left(Some(&tries)), Some(left));
    }
}

#[test]
fn the_same_inputs_give_the_same_disk_and_more_room_another() {
    let mut bench = Bench::new();
    let first = bench.write().unwrap();
    assert_eq!(bench.write().unwrap().manifest, first.manifest);
    bench.build.slot_room_percent = 0;
    let none = bench.write().unwrap().manifest;
    assert!(none.image.size < first.manifest.image.size);
    // What is installed is the same; where it lies is not.
    let slots = |manifest: &nx_image::Manifest| {
        let digests = manifest
            .segments
            .iter()
            .filter(|s| s.kind > SegmentKind::BootRecord);
        digests.map(|s| s.sha256).take(3).collect::<Vec<_>>()
    };
    assert_eq!(slots(&none), slots(&first.manifest));
    assert_eq!(bench.partitions()[2].3, 3 * MIB);
    bench.build.slot_room_percent = SLOT_ROOM_PERCENT_MAX + 1;
    assert!(matches!(
        bench.write(),
        Err(BuildError::SlotRoom { got: 1_001, .. })
    ));
}

#[test]
fn two_slots_need_a_table() {
    let mut bench = Bench::new();
    bench.build.table = Table::None;
    let refused = bench.write();
    assert!(
        matches!(
            refused,
            Err(BuildError::Format(ManifestError::Bounds {
                member: "slots",
                ..
            }))
        ),
        "{refused:?}"
    );
    assert!(!bench.path("os.img").exists());
}
