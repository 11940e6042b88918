use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use super::*;
use crate::{digest::Digest, limits::MANIFEST_BYTES_MAX};

/// If a test with these bytes fails the code is wrong: signed manifests in the field look like
/// this. Never edit them.
const FROZEN: &str = "{\"format\":\"nexus-os-image/1\",\"image\":{\"size\":12288,\
    \"sha256\":\"0101010101010101010101010101010101010101010101010101010101010101\",\
    \"installed_sha256\":\"75877bb41d393b5fb8455ce60ecd8dda001d06316496b14dfa7f895656eeca4a\",\
    \"board\":\"qemu-virt\",\"profile\":\"dev\",\"image_version\":\"1.0.0-rc.1\",\
    \"rollback_index\":3,\"block_size\":4096,\"table\":\"none\"},\"segments\":[\
    {\"name\":\"kernel\",\"type\":\"kernel\",\"role\":\"slot\",\"offset\":0,\"size\":5000,\
    \"sha256\":\"0202020202020202020202020202020202020202020202020202020202020202\",\
    \"block_root\":\"0303030303030303030303030303030303030303030303030303030303030303\"},\
    {\"name\":\"state\",\"type\":\"state\",\"role\":\"state\",\"offset\":8192,\"size\":4096,\
    \"sha256\":\"0404040404040404040404040404040404040404040404040404040404040404\",\
    \"block_root\":\"0505050505050505050505050505050505050505050505050505050505050505\"}]}\n";

fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

fn segment(kind: SegmentKind, offset: u64, size: u64, digests: u8) -> Segment {
    Segment {
        name: kind.to_string(),
        kind,
        role: kind.role(),
        offset,
        size,
        sha256: digest(digests),
        block_root: digest(digests.wrapping_add(1)),
    }
}

fn manifest() -> Manifest {
    Manifest {
        image: ImageInfo {
            size: 12_288,
            sha256: digest(1),
            board: "qemu-virt".into(),
            profile: Profile::Dev,
            image_version: "1.0.0-rc.1".into(),
            rollback_index: 3,
            block_size: 4_096,
            table: Table::None,
            slots: Slots::One,
        },
        segments: vec![
            segment(SegmentKind::Kernel, 0, 5_000, 2),
            segment(SegmentKind::State, 8_192, 4_096, 4),
        ],
    }
}

fn gpt() -> Manifest {
    let mut disk = manifest();
    disk.image.table = Table::Gpt;
    disk.image.size = 1 << 20;
    disk.segments = vec![
        segment(SegmentKind::Gpt, 0, 17_408, 1),
        segment(SegmentKind::Rootfs, 32_768, 100, 3),
        segment(SegmentKind::GptBackup, (1 << 20) - 16_896, 16_896, 5),
    ];
    disk
}

fn two_slots() -> Manifest {
    let mut disk = gpt();
    disk.image.slots = Slots::Two;
    let record = segment(SegmentKind::BootRecord, 18_432, 12_288, 7);
    disk.segments.insert(1, record);
    disk
}

/// What parsing says of a manifest that was changed before it was encoded.
fn after(change: impl FnOnce(&mut Manifest)) -> Result<Manifest, ManifestError> {
    changed(manifest(), change)
}

fn changed(
    mut manifest: Manifest,
    change: impl FnOnce(&mut Manifest),
) -> Result<Manifest, ManifestError> {
    change(&mut manifest);
    let parsed = Manifest::parse(&manifest.encode());
    assert_eq!(parsed.is_ok(), manifest.check().is_ok());
    parsed
}

#[test]
fn bytes_are_frozen() {
    assert_eq!(String::from_utf8(manifest().encode()).unwrap(), FROZEN);
    assert_eq!(Manifest::parse(FROZEN.as_bytes()), Ok(manifest()));
    assert_eq!(changed(gpt(), |_| {}), Ok(gpt()));
}

/// The members that only a disk with two slots has; frozen like the rest.
#[test]
fn bytes_of_two_slots_are_frozen() {
    let text = String::from_utf8(two_slots().encode()).unwrap();
    let (_, text) = text.split_once("\"block_size\"").unwrap();
    assert!(text.starts_with(":4096,\"table\":\"gpt\",\"slots\":2},\"segments\":["));
    let (_, text) = text.split_once("},{").unwrap();
    assert!(text.starts_with(
        "\"name\":\"boot-record\",\"type\":\"boot-record\",\"role\":\"record\",\
         \"offset\":18432,\"size\":12288,\"sha256\":\"0707"
    ));
    assert_eq!(changed(two_slots(), |_| {}), Ok(two_slots()));
    // One slot is what a manifest without the member says, and there is no other way to say it.
    for (slots, want) in [
        ("1", "NotCanonical"),
        ("0", "Malformed"),
        ("3", "Malformed"),
    ] {
        let more = format!("\"table\":\"none\",\"slots\":{slots}}}");
        let refused = Manifest::parse(FROZEN.replace("\"table\":\"none\"}", &more).as_bytes());
        assert!(
            format!("{refused:?}").contains(want),
            "{slots}: {refused:?}"
        );
    }
}

#[test]
fn two_slots_and_a_boot_record_go_together() {
    type Change = fn(&mut Manifest);
    let cases: [(fn() -> Manifest, Change); 4] = [
        (manifest, |m| m.image.slots = Slots::Two),
        (gpt, |m| m.image.slots = Slots::Two),
        (two_slots, |m| m.image.slots = Slots::One),
        (two_slots, |m| m.segments[1].size = 12_287),
    ];
    for (number, (of, change)) in cases.into_iter().enumerate() {
        let refused = changed(of(), change);
        let slots = matches!(
            refused,
            Err(ManifestError::Bounds {
                member: "slots",
                ..
            })
        );
        assert!(slots, "case {number}: {refused:?}");
    }
}

#[test]
fn the_state_does_not_change_the_installed_digest() {
    let installed = manifest().installed_digest();
    assert_eq!(installed, Digest::of(&[2; 32]));
    let mut other = manifest();
    other.segments[1].sha256 = digest(9);
    assert_eq!(other.installed_digest(), installed);
    other.segments[0].sha256 = digest(9);
    assert_ne!(other.installed_digest(), installed);
    // Nor does the boot record, which a device rewrites.
    assert_eq!(two_slots().installed_digest(), gpt().installed_digest());
}

#[test]
fn other_documents_are_refused_by_their_first_bytes() {
    let other = |bytes: &[u8]| Manifest::parse(bytes).unwrap_err();
    for bytes in [
        "",
        "{}",
        "{\"image\":{}}",
        " {\"format\":\"nexus-os-image/1\",",
        "\u{feff}{",
    ] {
        assert!(
            matches!(other(bytes.as_bytes()), ManifestError::OtherFormat { .. }),
            "{bytes}"
        );
    }
    let next = FROZEN.replace("image/1", "image/2");
    assert_eq!(
        other(next.as_bytes()),
        ManifestError::OtherVersion { supported: 1 }
    );
    let long = vec![b' '; MANIFEST_BYTES_MAX + 1];
    assert!(matches!(other(&long), ManifestError::TooLong { .. }));
}

#[test]
fn every_other_form_of_the_same_values_is_refused() {
    let forms = [
        FROZEN.trim_end().to_string(),
        format!("{FROZEN}\n"),
        format!("{FROZEN} "),
        format!("{FROZEN}\0"),
        format!("{FROZEN}{FROZEN}"),
        FROZEN.replace("\":3,", "\": 3,"),
        FROZEN.replace("\":3,", "\":3.0,"),
        FROZEN.replace("\":3,", "\":3e0,"),
        FROZEN.replace("\":3,", "\":03,"),
        FROZEN.replace("\":3,", "\":-0,"),
        FROZEN.replace("\":3,", "\":\"3\","),
        FROZEN.replace("\":3,", "\":null,"),
        FROZEN.replace("kernel", "kerne\\u006c"),
        FROZEN.replace("1.0.0", "1.0\\u002e0"),
        FROZEN.replace("7bb4", "7BB4"),
        FROZEN.replace(
            "\"board\":\"qemu-virt\",\"profile\":\"dev\"",
            "\"profile\":\"dev\",\"board\":\"qemu-virt\"",
        ),
        FROZEN.replace("\"rollback_index\":3,", ""),
        FROZEN.replace(
            "\"rollback_index\":3,",
            "\"rollback_index\":3,\"rollback_index\":3,",
        ),
        FROZEN.replace("\"rollback_index\":3,", "\"rollback_index\":3,\"more\":1,"),
        FROZEN.replace("]}", "],\"more\":1}"),
        FROZEN.replace(
            "{\"format\":\"nexus-os-image/1\",",
            "{\"format\":\"nexus-os-image/1\",\"format\":\"nexus-os-image/1\",",
        ),
    ];
    for form in forms {
        assert_ne!(form, FROZEN);
        assert!(Manifest::parse(form.as_bytes()).is_err(), "{form}");
    }
}

#[test]
fn no_byte_can_change_unnoticed_or_make_it_panic() {
    // Whatever still parses is another manifest, in its own one form.
    let check = |bytes: &[u8]| {
        if let Ok(parsed) = Manifest::parse(bytes) {
            assert_eq!(parsed.encode(), bytes);
            assert_ne!(parsed, manifest());
        }
    };
    for at in 0..FROZEN.len() {
        for bit in 0..8 {
            let mut bytes = FROZEN.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            check(&bytes);
        }
        let mut shorter = FROZEN.as_bytes().to_vec();
        shorter.remove(at);
        check(&shorter);
        for byte in [b'0', b'"', b'{', b'[', b'\\', 0, 0xff] {
            let mut longer = FROZEN.as_bytes().to_vec();
            longer.insert(at, byte);
            check(&longer);
        }
        assert!(
            Manifest::parse(&FROZEN.as_bytes()[..at]).is_err(),
            "{at} bytes"
        );
    }
}

#[test]
fn deep_nesting_ends_in_an_error() {
    let deep = format!(
        "{{\"format\":\"nexus-os-image/1\",\"image\":{}",
        "[".repeat(60_000)
    );
    assert!(matches!(
        Manifest::parse(deep.as_bytes()),
        Err(ManifestError::Malformed { .. })
    ));
}

#[test]
fn values_out_of_bounds_are_refused_by_name() {
    type Change = fn(&mut Manifest);
    let cases: [(&str, Change); 21] = [
        ("size", |m| m.image.size = 0),
        ("size", |m| m.image.size = (256 << 30) + 1),
        ("board", |m| m.image.board = String::new()),
        ("board", |m| m.image.board = "a".repeat(65)),
        ("board", |m| m.image.board = "a b".into()),
        ("board", |m| m.image.board = "é".into()),
        ("image_version", |m| m.image.image_version = "1\n".into()),
        ("rollback_index", |m| m.image.rollback_index = 1 << 53),
        ("block_size", |m| m.image.block_size = 0),
        ("block_size", |m| m.image.block_size = 2_048),
        ("block_size", |m| m.image.block_size = 12_288),
        ("block_size", |m| m.image.block_size = 2 << 20),
        ("segments", |m| m.segments.clear()),
        ("segments", |m| drop(m.segments.remove(0))),
        ("segments", |m| {
            let one = m.segments[0].clone();
            m.segments.resize(17, one);
        }),
        ("name", |m| m.segments[0].name = "Kernel".into()),
        ("name", |m| m.segments[0].name = "k".repeat(33)),
        ("name", |m| m.segments[1].name = "kernel".into()),
        ("role", |m| m.segments[0].role = Role::Boot),
        ("offset", |m| m.segments[1].offset = 8_200),
        ("size", |m| m.segments[0].size = 0),
    ];
    for (number, (want, change)) in cases.into_iter().enumerate() {
        match after(change) {
            Err(
                ManifestError::Bounds { member, .. } | ManifestError::SegmentBounds { member, .. },
            ) => {
                assert_eq!(member, want, "case {number}");
            }
            other => panic!("case {number}: {other:?}"),
        }
    }
}

#[test]
fn segments_tile_the_image_in_order() {
    let overlap = after(|m| m.segments[1].offset = 4_992);
    assert!(
        matches!(overlap, Err(ManifestError::Overlap { .. })),
        "{overlap:?}"
    );
    let order = after(|m| m.segments.swap(0, 1));
    assert!(
        matches!(order, Err(ManifestError::Order { .. })),
        "{order:?}"
    );
    let twice = after(|m| {
        m.segments[1].kind = SegmentKind::Kernel;
        m.segments[1].role = Role::Slot;
    });
    assert!(
        matches!(twice, Err(ManifestError::Order { .. })),
        "{twice:?}"
    );
    for change in [
        (|m: &mut Manifest| m.image.size += 1) as fn(&mut Manifest),
        |m| m.segments[0].offset = 64,
        |m| m.image.table = Table::Gpt,
    ] {
        let odd = after(change);
        assert!(
            matches!(odd, Err(ManifestError::TableMismatch { .. })),
            "{odd:?}"
        );
    }
    let no_backup = changed(gpt(), |m| drop(m.segments.pop()));
    assert!(
        matches!(no_backup, Err(ManifestError::TableMismatch { .. })),
        "{no_backup:?}"
    );
}

#[test]
fn offsets_that_overflow_are_out_of_bounds() {
    for (offset, size) in [
        (u64::MAX - 63, 64),
        (u64::MAX - 63, u64::MAX),
        (0, u64::MAX),
        (1 << 63, 1 << 63),
        (1 << 32, 1 << 32),
    ] {
        let far = after(|m| (m.segments[1].offset, m.segments[1].size) = (offset, size));
        assert!(
            matches!(
                far,
                Err(ManifestError::SegmentBounds { member: "size", .. })
            ),
            "{offset} + {size}: {far:?}"
        );
    }
}

#[test]
fn a_wrong_installed_digest_is_refused() {
    let wrong = FROZEN.replace("7587", "7580");
    let refused = Manifest::parse(wrong.as_bytes());
    assert!(
        matches!(refused, Err(ManifestError::InstalledDigest { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_segment_has_at_most_4096_pages() {
    let sized = |size: u64| {
        after(|m| {
            m.segments[1].offset = size.next_multiple_of(64);
            m.segments[0].size = size;
            m.image.size = m.segments[1].end();
        })
    };
    let most = 4_096 * 1_024 * 4_096;
    assert!(sized(most).is_ok());
    let over = sized(most + 1);
    assert!(
        matches!(over, Err(ManifestError::SegmentBounds { .. })),
        "{over:?}"
    );
}

#[test]
fn blocks_and_pages_cover_a_segment_once() {
    for (size, block_size) in [
        (1, 4_096),
        (4_096, 4_096),
        (4_097, 4_096),
        (5 << 20, 4_096),
        (3 << 30, 1 << 20),
    ] {
        let segment = segment(SegmentKind::Pkgfs, 0, size, 1);
        let mut at = 0;
        for block in 0..segment.block_count(block_size) {
            let range = segment.block_range(block, block_size);
            assert_eq!(range.start, at);
            assert_eq!(
                u64::from(segment.block_len(block, block_size)),
                range.end - range.start
            );
            at = range.end;
        }
        assert_eq!(at, size);
        let pages: Vec<_> = (0..segment.page_count(block_size))
            .flat_map(|page| segment.page_blocks(page, block_size))
            .collect();
        assert!(pages.into_iter().eq(0..segment.block_count(block_size)));
        let past = segment.block_count(block_size);
        assert_eq!(segment.block_len(past, block_size), 0);
        assert!(
            segment
                .page_blocks(segment.page_count(block_size), block_size)
                .is_empty()
        );
    }
    // Values that no checked manifest has still give numbers.
    let hostile = segment(SegmentKind::Pkgfs, u64::MAX, u64::MAX, 1);
    assert_eq!(hostile.block_count(0), u32::MAX);
    assert_eq!(hostile.end(), u64::MAX);
    assert!(!hostile.block_range(u32::MAX, u32::MAX).is_empty());
}

#[test]
fn regions_tile_the_image() {
    for manifest in [manifest(), gpt()] {
        let mut at = 0;
        let mut seen = Vec::new();
        for region in manifest.regions() {
            assert_eq!(region.range.start, at);
            assert!(!region.is_empty());
            at = region.range.end;
            seen.extend(region.segment);
        }
        assert_eq!(at, manifest.image.size);
        assert!(seen.into_iter().eq(0..manifest.segments.len()));
    }
}

#[test]
fn names_go_both_ways() {
    for kind in SegmentKind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
        assert_eq!(kind.role().to_string().parse(), Ok(kind.role()));
    }
    assert!(SegmentKind::ALL.is_sorted());
    for slots in [Slots::One, Slots::Two] {
        assert_eq!(slots.to_string().parse(), Ok(slots));
    }
    assert!(Role::ALL.is_sorted());
    for profile in [Profile::Dev, Profile::Release] {
        assert_eq!(profile.to_string().parse(), Ok(profile));
    }
    for table in [Table::Gpt, Table::None] {
        assert_eq!(table.to_string().parse(), Ok(table));
    }
    assert!("Dev".parse::<Profile>().is_err());
}
