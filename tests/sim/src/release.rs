//! Small images for disks with two slots, made apart from the builder.

use std::io::Cursor;

use flash_matrix::{TestImage, random_bytes};
use gptman::{GPT, GPTPartitionEntry};
use nx_image::boot_record::{BootRecord, SlotContents};
use nx_image::manifest::{SegmentKind, Slots, Table};

/// Bytes of every disk here.
pub(crate) const DISK_BYTES: usize = 1_572_864;
const BLOCK: usize = 4_096;
const GPT_BYTES: usize = 34 * 512;
const BACKUP_BYTES: usize = 33 * 512;

/// Partitions in the order of the disk: name, first block, blocks.
const PARTITIONS: [(&str, usize, usize); 9] = [
    ("bootloader", 5, 1),
    ("boot-record", 8, 256),
    ("kernel-a", 264, 4),
    ("initrd-a", 268, 3),
    ("rootfs-a", 271, 8),
    ("kernel-b", 279, 4),
    ("initrd-b", 283, 3),
    ("rootfs-b", 286, 8),
    ("state", 294, 4),
];

/// Where a partition is, and how long, in bytes.
pub(crate) fn place(name: &str) -> (usize, usize) {
    let found = PARTITIONS.iter().find(|(known, ..)| *known == name);
    let (_, first, blocks) = found.expect("it is in the table");
    (first * BLOCK, blocks * BLOCK)
}

/// What a release has in the partitions of a slot.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    pub(crate) parts: [(&'static str, Vec<u8>); 3],
    pub(crate) image: TestImage,
}

impl Release {
    /// Of this kernel, initrd and rootfs.
    pub(crate) fn of(kernel: Vec<u8>, initrd: Vec<u8>, rootfs: Vec<u8>) -> Self {
        let sectors = |part: &[u8]| u32::try_from(part.len().div_ceil(512)).unwrap();
        let record = BootRecord::first(SlotContents {
            kernel_sectors: sectors(&kernel),
            initrd_sectors: sectors(&initrd),
            manifest: None,
        });
        let mut bytes = vec![0; DISK_BYTES];
        table(&mut bytes);
        let backup = DISK_BYTES - BACKUP_BYTES;
        let at = |name| place(name).0;
        let contents = [
            (SegmentKind::Gpt, 0, bytes[..GPT_BYTES].to_vec()),
            (
                SegmentKind::Bootloader,
                at("bootloader"),
                random_bytes(BLOCK, 77),
            ),
            (SegmentKind::BootRecord, at("boot-record"), record.segment()),
            (SegmentKind::Kernel, at("kernel-a"), kernel.clone()),
            (SegmentKind::Initrd, at("initrd-a"), initrd.clone()),
            (SegmentKind::Rootfs, at("rootfs-a"), rootfs.clone()),
            (SegmentKind::State, at("state"), b"fresh state".to_vec()),
            (SegmentKind::GptBackup, backup, bytes[backup..].to_vec()),
        ];
        for (_, at, content) in &contents {
            bytes[*at..*at + content.len()].copy_from_slice(content);
        }
        let offsets = contents.each_ref().map(|(_, at, _)| *at as u64);
        let segments = contents.map(|(kind, _, content)| (kind, content)).to_vec();
        let mut image = TestImage::from_segments(segments, BLOCK as u32);
        image.bytes = bytes;
        let image = image.resigned(|manifest| {
            manifest.image.table = Table::Gpt;
            manifest.image.slots = Slots::Two;
            for (segment, offset) in manifest.segments.iter_mut().zip(offsets) {
                segment.offset = offset;
            }
        });
        Self {
            parts: [("kernel", kernel), ("initrd", initrd), ("rootfs", rootfs)],
            image,
        }
    }
}

fn table(disk: &mut [u8]) {
    let mut disk = Cursor::new(disk);
    let mut table = GPT::new_from(&mut disk, 512, [9; 16]).unwrap();
    for (number, (name, first, blocks)) in (1..).zip(PARTITIONS) {
        let sectors = |blocks: usize| (blocks * BLOCK / 512) as u64;
        table[number] = GPTPartitionEntry {
            partition_type_guid: [7; 16],
            unique_partition_guid: [number as u8; 16],
            starting_lba: sectors(first),
            ending_lba: sectors(first + blocks) - 1,
            attribute_bits: 0,
            partition_name: name.into(),
        };
    }
    GPT::write_protective_mbr_into(&mut disk, 512).unwrap();
    table.write_into(&mut disk).unwrap();
}
