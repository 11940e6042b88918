//! What people are shown of an image, compared with what `sgdisk` and the file system say.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::process::Command;

use nx_image::build::Build;
use nx_image::inspect::{Inspection, inspect};
use nx_image::key::SigningKey;
use nx_image::verify::{Files, VerifyError};
use nx_image::{Profile, PublicKey, SegmentKind, Table};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
/// The partition types of `docs/provisioning/image-format.md`, "Partition table". If this fails
/// the code is wrong: firmware and disk tools look for these.
const TYPES: [(&str, &str); 6] = [
    ("bootloader", "E4B5F5B2-B116-8813-9DBA-2F3D9B8400F9"),
    ("kernel", "66423F65-671C-8607-9A41-92BCE16E0936"),
    ("initrd", "6FD81F37-0ADC-85AD-9340-F880D8D23667"),
    ("rootfs", "0FC63DAF-8483-4772-8E79-3D69D8477DE4"),
    ("pkgfs", "0FC63DAF-8483-4772-8E79-3D69D8477DE4"),
    ("state", "0AF3C666-B669-868F-8B06-1561960CCC90"),
];

struct Bench {
    dir: TempDir,
    key: SigningKey,
}

impl Bench {
    /// An image of all segments, of which the rootfs is 3 MiB long with a hole in its middle.
    fn new(table: Table) -> Self {
        let bench = Self {
            dir: tempfile::tempdir().unwrap(),
            key: SigningKey::from_seed(&[7; 32]).unwrap(),
        };
        let mut build = Build::new(Profile::Dev);
        build.table = table;
        let input = |name: &str, len: usize| {
            let path = bench.path(name);
            fs::write(&path, vec![0xa5; len]).unwrap();
            Some(path)
        };
        build.bootloader = input("boot", 5_000);
        build.kernel = input("kernel", 70_000);
        build.initrd = input("initrd", 1);
        build.rootfs = input("rootfs", 3 << 20);
        build.pkgfs = input("pkgfs", 4_096);
        let rootfs = File::options()
            .write(true)
            .open(bench.path("rootfs"))
            .unwrap();
        rootfs.write_all_at(&vec![0; 1 << 20], MIB).unwrap();
        build
            .write(
                &bench.path("OS.img"),
                &bench.path("OS.json"),
                &bench.path("os.sig"),
                Some(&bench.key),
                &mut |_| {},
            )
            .unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn inspect(&self, keys: &[PublicKey]) -> Result<Inspection, VerifyError> {
        let [image, manifest, signature] =
            ["OS.img", "OS.json", "os.sig"].map(|name| self.path(name));
        let files = Files {
            image: &image,
            manifest: &manifest,
            signature: &signature,
        };
        inspect(&files, keys)
    }

    fn sgdisk(&self, number: u32) -> String {
        let output = Command::new("sgdisk")
            .arg(format!("--info={number}"))
            .arg(self.path("OS.img"))
            .output()
            .unwrap_or_else(|error| panic!("sgdisk: {error}; `cargo xtask setup` installs it"));
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
fn partitions_are_what_sgdisk_finds() {
    let bench = Bench::new(Table::Gpt);
    let seen = bench.inspect(&[]).unwrap();
    let partitions: Vec<_> = seen
        .map
        .iter()
        .filter_map(|area| area.partition.clone())
        .collect();
    assert_eq!(partitions.len(), TYPES.len());
    for (partition, (name, kind)) in partitions.iter().zip(TYPES) {
        let said = bench.sgdisk(partition.number);
        let guid = partition.guid.to_uppercase();
        for line in [
            format!("Partition GUID code: {kind}"),
            format!("Partition unique GUID: {guid}"),
            format!("First sector: {} ", partition.range.start / 512),
            format!("Last sector: {} ", partition.range.end / 512 - 1),
            format!("Partition name: '{name}'"),
        ] {
            assert!(said.contains(&line), "{line}\n{said}");
        }
        assert_eq!(partition.name, name);
    }
}

#[test]
fn the_map_has_every_byte_once_and_says_where_room_is() {
    let bench = Bench::new(Table::Gpt);
    let seen = bench.inspect(&[]).unwrap();
    let mut at = 0;
    for area in &seen.map {
        assert_eq!(area.range.start, at);
        assert!(!area.range.is_empty());
        at = area.range.end;
    }
    assert_eq!(at, seen.manifest.image.size);
    let area = |kind| {
        seen.map
            .iter()
            .find(|area| {
                area.segment
                    .is_some_and(|index| seen.manifest.segments[index].kind == kind)
            })
            .unwrap()
    };
    for (kind, free) in [
        (SegmentKind::Bootloader, MIB - 5_000),
        (SegmentKind::Initrd, MIB - 1),
        (SegmentKind::Rootfs, 0),
        (SegmentKind::State, 16 * MIB - 4_096),
        (SegmentKind::Gpt, 0),
    ] {
        assert_eq!(area(kind).free_bytes, free, "{kind}");
    }
}

#[test]
fn holes_are_told_from_data() {
    let bench = Bench::new(Table::Gpt);
    let seen = bench.inspect(&[]).unwrap();
    let rootfs = seen
        .map
        .iter()
        .find(|area| area.range.end - area.range.start == 3 * MIB)
        .unwrap();
    assert_eq!(rootfs.data_bytes, Some(2 * MIB));
    let file = seen.file.unwrap();
    let found = fs::metadata(bench.path("OS.img")).unwrap();
    assert_eq!(
        (file.bytes, file.disk_bytes),
        (found.len(), found.blocks() * 512)
    );
    assert!(file.disk_bytes < file.bytes / 4, "{file:?}");
    let gaps = seen.map.iter().filter(|area| area.segment.is_none());
    for gap in gaps {
        // The last page of a segment's data may belong to the file system's block.
        assert!(gap.data_bytes.unwrap() < 4_096, "{gap:?}");
    }
}

#[test]
fn the_state_header_is_shown() {
    for table in [Table::Gpt, Table::None] {
        let seen = Bench::new(table).inspect(&[]).unwrap();
        let state = seen.file.unwrap().state.unwrap();
        assert_eq!(state.partition_bytes, 16 * MIB);
    }
}

#[test]
fn an_image_without_a_table_has_segments_and_no_partitions() {
    let seen = Bench::new(Table::None).inspect(&[]).unwrap();
    assert!(seen.map.iter().all(|area| area.partition.is_none()));
    assert!(seen.map.iter().all(|area| area.free_bytes == 0));
    let kinds: Vec<_> = seen
        .manifest
        .segments
        .iter()
        .map(|s| s.name.as_str())
        .collect();
    assert_eq!(kinds, TYPES.map(|(name, _)| name));
}

#[test]
fn a_signature_is_looked_at_when_a_key_is_named() {
    let bench = Bench::new(Table::Gpt);
    assert_eq!(bench.inspect(&[]).unwrap().signed_by, None);
    let own = bench.key.public_key();
    let seen = bench.inspect(&[own]).unwrap();
    assert_eq!(seen.signed_by, Some(own.fingerprint()));
    let other = SigningKey::from_seed(&[8; 32]).unwrap().public_key();
    let refused = bench.inspect(&[other]);
    assert!(matches!(refused, Err(VerifyError::Signature(_))));
}

#[test]
fn a_missing_or_damaged_image_can_still_be_looked_at() {
    let bench = Bench::new(Table::Gpt);
    let image = bench.path("OS.img");
    let file = File::options().write(true).open(&image).unwrap();
    // A partition name that would move a terminal's cursor.
    file.write_all_at(b"\x1b\x00[\x002\x00J\x00", 1_024 + 56)
        .unwrap();
    let seen = bench.inspect(&[]).unwrap();
    let first = seen.map.iter().find_map(|area| area.partition.clone());
    assert_eq!(first.unwrap().name, "?[2Jloader");
    // Entries that claim sectors beyond any disk.
    file.write_all_at(&[0xff; 16], 1_024 + 32).unwrap();
    bench.inspect(&[]).unwrap();
    for len in [MIB, 600, 0] {
        file.set_len(len).unwrap();
        let seen = bench.inspect(&[]).unwrap();
        assert_eq!(seen.file.unwrap().bytes, len);
        assert_eq!(seen.file.unwrap().state, None);
    }
    fs::remove_file(&image).unwrap();
    let seen = bench.inspect(&[]).unwrap();
    assert_eq!(seen.file, None);
    assert!(seen.map.iter().all(|area| area.data_bytes.is_none()));
    assert_eq!(seen.manifest.segments.len(), 8);
}
