//! The partition table: every number and name in it follows from the image's content.

use std::fs::File;
use std::path::Path;

use gptman::{GPT, GPTPartitionEntry};

use super::error::BuildError;
use super::layout::{Place, SECTOR_BYTES};
use crate::boot_record::{Slot, partition_name, partition_number};
use crate::digest::Digest;
use crate::manifest::{Role, SegmentKind, Slots};

const WHAT: &str = "a partition table";

/// "Linux filesystem data": what the file systems are, for any tool that looks.
const LINUX_DATA: [u8; 16] = guid(
    0x0fc6_3daf,
    0x8483,
    0x4772,
    [0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4],
);

/// "EFI system partition": where firmware looks for a boot loader.
const EFI_SYSTEM: [u8; 16] = guid(
    0xc12a_7328,
    0xf81f,
    0x11d2,
    [0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b],
);

/// The type of a partition. What is no file system gets a type of its own, so that nothing takes
/// raw bytes for one. A boot loader is one, FAT, only where it has to choose between slots.
fn type_of(kind: SegmentKind, slots: Slots) -> [u8; 16] {
    match kind {
        SegmentKind::Rootfs | SegmentKind::Pkgfs => LINUX_DATA,
        SegmentKind::Bootloader if slots == Slots::Two => EFI_SYSTEM,
        other => derived(&[b"type", other.as_str().as_bytes()]),
    }
}

/// A GUID as a disk holds it: the first three fields little-endian.
const fn guid(a: u32, b: u16, c: u16, d: [u8; 8]) -> [u8; 16] {
    let (a, b, c) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
    [
        a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6],
        d[7],
    ]
}

/// A GUID that follows from these parts, marked as version 8 of RFC 9562.
fn derived(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = Digest::hasher();
    hasher.update(b"nexus-os-image guid\0");
    for part in parts {
        hasher.update(&u64::try_from(part.len()).unwrap_or(0).to_le_bytes());
        hasher.update(part);
    }
    let digest = hasher.finish();
    let mut bytes = [0; 16];
    for (byte, from) in bytes.iter_mut().zip(digest.as_bytes()) {
        *byte = *from;
    }
    let [.., version, variant, _, _, _, _, _, _, _] = &mut bytes;
    // Byte 7 holds the version on disk, byte 8 the variant.
    *version = (*version & 0x0f) | 0x80;
    *variant = (*variant & 0x3f) | 0x80;
    bytes
}

/// Writes both tables into the image; each place comes with its segment's block root. With two
/// slots there are the `empty` partitions of slot b too, and every number follows from a name.
pub(super) fn write(
    (image, path): (&mut File, &Path),
    board: &str,
    partitions: &[(Place, Digest)],
    (slots, empty): (Slots, &[Place]),
) -> Result<(), BuildError> {
    let mut parts: Vec<&[u8]> = vec![b"disk", board.as_bytes()];
    for (place, digest) in partitions {
        parts.extend([place.kind.as_str().as_bytes(), digest.as_bytes()]);
    }
    let mut table = GPT::new_from(image, SECTOR_BYTES, derived(&parts)).map_err(refused(path))?;
    for (count, (place, digest)) in (1_u32..).zip(partitions) {
        let (number, name) = match slots {
            Slots::One => (count, place.kind.to_string()),
            Slots::Two => numbered(place.kind, Slot::A),
        };
        let unique = match place.kind.role() {
            // The state partition is the same one whatever image is installed around it.
            Role::State => derived(&[b"state", board.as_bytes()]),
            _ => derived(&[b"partition", name.as_bytes(), digest.as_bytes()]),
        };
        table[number] = entry(place, slots, unique, &name);
    }
    for place in empty {
        let (number, name) = numbered(place.kind, Slot::B);
        // Nothing lies there that a GUID could follow from.
        let unique = derived(&[b"partition", name.as_bytes(), board.as_bytes()]);
        table[number] = entry(place, slots, unique, &name);
    }
    GPT::write_protective_mbr_into(image, SECTOR_BYTES).map_err(refused(path))?;
    table.write_into(image).map_err(refused(path))?;
    Ok(())
}

/// What the system refused is no fault of the table.
fn refused(path: &Path) -> impl Fn(gptman::Error) -> BuildError {
    move |error| match error {
        gptman::Error::Io(source) => BuildError::io("write", path)(source),
        other => BuildError::encode(WHAT)(other),
    }
}

fn numbered(kind: SegmentKind, slot: Slot) -> (u32, String) {
    (partition_number(kind, slot), partition_name(kind, slot))
}

fn entry(place: &Place, slots: Slots, unique: [u8; 16], name: &str) -> GPTPartitionEntry {
    let sectors = place.region.div_ceil(SECTOR_BYTES);
    let first = place.offset.checked_div(SECTOR_BYTES).unwrap_or(0);
    GPTPartitionEntry {
        partition_type_guid: type_of(place.kind, slots),
        unique_partition_guid: unique,
        starting_lba: first,
        ending_lba: first.saturating_add(sectors).saturating_sub(1),
        attribute_bits: 0,
        partition_name: name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(guid: [u8; 16]) -> String {
        let [a, b, c, d, e, f, g, h, rest @ ..] = guid;
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        format!(
            "{}-{}-{}-{}-{}",
            hex(&[d, c, b, a]),
            hex(&[f, e]),
            hex(&[h, g]),
            hex(&rest[..2]),
            hex(&rest[2..])
        )
    }

    /// Part of the format: `docs/provisioning/image-format.md`, "Partition table". Disks in the
    /// field are found by these; never change them.
    #[test]
    fn partition_types_are_frozen() {
        for (kind, want) in [
            (
                SegmentKind::Bootloader,
                "e4b5f5b2-b116-8813-9dba-2f3d9b8400f9",
            ),
            (SegmentKind::Kernel, "66423f65-671c-8607-9a41-92bce16e0936"),
            (SegmentKind::Initrd, "6fd81f37-0adc-85ad-9340-f880d8d23667"),
            (SegmentKind::Rootfs, "0fc63daf-8483-4772-8e79-3d69d8477de4"),
            (SegmentKind::Pkgfs, "0fc63daf-8483-4772-8e79-3d69d8477de4"),
            (SegmentKind::State, "0af3c666-b669-868f-8b06-1561960ccc90"),
        ] {
            assert_eq!(text(type_of(kind, Slots::One)), want, "{kind}");
            if kind != SegmentKind::Bootloader {
                assert_eq!(text(type_of(kind, Slots::Two)), want, "{kind}");
            }
        }
        for (kind, want) in [
            (
                SegmentKind::Bootloader,
                "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
            ),
            (
                SegmentKind::BootRecord,
                "129cfd00-91e3-8af4-a88a-e127421292e0",
            ),
        ] {
            assert_eq!(text(type_of(kind, Slots::Two)), want, "{kind}");
        }
    }

    #[test]
    fn the_state_partition_is_the_same_one_in_every_image_of_a_board() {
        assert_eq!(
            text(derived(&[b"state", b"qemu-virt"])),
            "ad9cb82e-d70d-8425-abfc-2b6f81968095"
        );
    }

    #[test]
    fn a_table_that_the_system_refuses_is_told_with_the_image() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        File::create(&path).unwrap().set_len(8 << 20).unwrap();
        let mut only_read = File::open(&path).unwrap();
        match write((&mut only_read, &path), "a", &[], (Slots::One, &[])) {
            Err(BuildError::Io { path: told, .. }) => assert_eq!(told, path),
            other => panic!("{other:?}"),
        }
    }
}
