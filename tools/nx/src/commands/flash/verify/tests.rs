use nx_image::{ImageInfo, Profile, Segment, SegmentKind, Slots, Table};

use super::*;
use crate::exit::Exit;

fn manifest(names: &[(SegmentKind, &[u8])]) -> Manifest {
    let segment = |(kind, content): &(SegmentKind, &[u8])| Segment {
        name: kind.as_str().into(),
        kind: *kind,
        role: kind.role(),
        offset: 0,
        size: 1,
        sha256: Digest::of(content),
        block_root: Digest::of(content),
    };
    Manifest {
        image: ImageInfo {
            size: 1,
            sha256: Digest::of(b""),
            board: "virt".into(),
            profile: Profile::Dev,
            image_version: "1".into(),
            rollback_index: 0,
            block_size: 4_096,
            table: Table::None,
            slots: Slots::One,
        },
        segments: names.iter().map(segment).collect(),
    }
}

fn told(name: &str, content: &[u8]) -> VerifiedSegment {
    VerifiedSegment {
        name: name.into(),
        sha256: Digest::of(content),
        // A device that says so of everything.
        verdict: Verdict::Matches,
    }
}

fn found(rows: &[Row]) -> Vec<(&str, Found)> {
    rows.iter()
        .map(|row| (row.name.as_str(), row.found))
        .collect()
}

#[test]
fn segments_are_compared_by_digest_and_not_by_what_the_device_says_of_them() {
    let manifest = manifest(&[
        (SegmentKind::Kernel, b"kernel"),
        (SegmentKind::Rootfs, b"rootfs"),
        (SegmentKind::Pkgfs, b"pkgfs"),
        (SegmentKind::State, b"state"),
    ]);
    let segments = [
        told("kernel", b"kernel"),
        told("rootfs", b"another"),
        told("state", b"of the user"),
        told("initrd", b"initrd"),
    ];
    let rows = compare(&manifest, &segments);
    assert_eq!(
        found(&rows),
        [
            ("kernel", Found::Matches),
            ("rootfs", Found::Differs),
            ("pkgfs", Found::Missing),
            ("state", Found::Kept),
            ("initrd", Found::Unexpected),
        ]
    );
}

#[test]
fn a_difference_is_refused_and_names_the_segments() {
    let manifest = manifest(&[(SegmentKind::Rootfs, b"rootfs")]);
    let rows = compare(&manifest, &[told("rootfs", b"another")]);
    let wanted = (manifest, Digest::of(b"m"));
    let error = judge(&rows, true, Some(&wanted), &wanted.1, Value::Null).unwrap_err();
    assert_eq!(error.exit(), Exit::ValidationReject);
    assert!(error.message().contains("`rootfs`"), "{}", error.message());
}

#[test]
fn bytes_between_the_segments_count() {
    let digest = Digest::of(b"m");
    let error = judge(&[], false, None, &digest, Value::Null).unwrap_err();
    assert!(error.message().contains("between"), "{}", error.message());
    assert!(judge(&[], true, None, &digest, Value::Null).is_ok());
}

#[test]
fn a_device_may_keep_its_table_and_boot_loader_and_nothing_of_a_slot() {
    let manifest = manifest(&[
        (SegmentKind::Gpt, b"table"),
        (SegmentKind::Bootloader, b"boot loader"),
        (SegmentKind::Kernel, b"kernel"),
    ]);
    let kept = |name| VerifiedSegment {
        verdict: Verdict::Kept,
        ..told(name, b"another")
    };
    let rows = compare(&manifest, &["gpt", "bootloader", "kernel"].map(kept));
    let want = [
        ("gpt", Found::Kept),
        ("bootloader", Found::Kept),
        ("kernel", Found::Differs),
    ];
    assert_eq!(found(&rows), want);
}
