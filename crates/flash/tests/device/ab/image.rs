//! Small images for disks with two slots, and what their partitions hold.

use std::io::Cursor;

use gptman::{GPT, GPTPartitionEntry};
use nx_image::boot_record::{BootRecord, SlotContents};
use nx_image::manifest::{SegmentKind, Slots, Table};
use nx_image::test_image::{TestImage, random_bytes};

use crate::image::BLOCK;

/// Bytes of every disk in these tests.
pub(crate) const DISK_BYTES: u64 = 1_572_864;
const GPT_BYTES: usize = 34 * 512;
const BACKUP_BYTES: usize = 33 * 512;

/// Partitions in the order of the disk: name, first block, blocks.
const PARTITIONS: [(&str, usize, usize); 9] = [
    ("bootloader", 5, 3),
    ("boot-record", 8, 256),
    ("kernel-a", 264, 4),
    ("initrd-a", 268, 3),
    ("rootfs-a", 271, 8),
    ("kernel-b", 279, 4),
    ("initrd-b", 283, 3),
    ("rootfs-b", 286, 8),
    ("state", 294, 4),
];

/// Where a partition is, in bytes.
pub(crate) fn place(name: &str) -> u64 {
    let found = PARTITIONS.iter().find(|(known, ..)| *known == name);
    (found.unwrap().1 * BLOCK) as u64
}

/// What a release has in its segments.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    pub(crate) bootloader: Vec<u8>,
    pub(crate) kernel: Vec<u8>,
    pub(crate) initrd: Vec<u8>,
    pub(crate) rootfs: Vec<u8>,
}

impl Release {
    /// One of its own; with `shares`, half of the rootfs and the initrd are those of release 0.
    pub(crate) fn new(seed: u64, shares: bool) -> Self {
        let from = |n: u64| if shares { n } else { 100 * seed + n };
        let mut rootfs = random_bytes(3 * BLOCK, from(3));
        rootfs.extend(random_bytes(2 * BLOCK + 700, 100 * seed + 4));
        Self {
            bootloader: random_bytes(2 * BLOCK, 100 * seed + 5),
            kernel: random_bytes(2 * BLOCK + 100 + seed as usize, 100 * seed + 1),
            initrd: random_bytes(BLOCK + 9, from(2)),
            rootfs,
        }
    }

    /// The image of it.
    pub(crate) fn image(&self) -> TestImage {
        let record = BootRecord::first(SlotContents {
            kernel_sectors: self.kernel.len().div_ceil(512) as u32,
            initrd_sectors: self.initrd.len().div_ceil(512) as u32,
            manifest: None,
        });
        let state = b"fresh state header".to_vec();
        let mut bytes = vec![0; DISK_BYTES as usize];
        table(&mut bytes, self.kernel.len() as u8);
        let contents = [
            (SegmentKind::Gpt, 0, bytes[..GPT_BYTES].to_vec()),
            (
                SegmentKind::Bootloader,
                place("bootloader"),
                self.bootloader.clone(),
            ),
            (
                SegmentKind::BootRecord,
                place("boot-record"),
                record.segment(),
            ),
            (SegmentKind::Kernel, place("kernel-a"), self.kernel.clone()),
            (SegmentKind::Initrd, place("initrd-a"), self.initrd.clone()),
            (SegmentKind::Rootfs, place("rootfs-a"), self.rootfs.clone()),
            (SegmentKind::State, place("state"), state),
            (
                SegmentKind::GptBackup,
                DISK_BYTES - BACKUP_BYTES as u64,
                bytes[bytes.len() - BACKUP_BYTES..].to_vec(),
            ),
        ];
        for (_, at, content) in &contents {
            let at = *at as usize;
            bytes[at..at + content.len()].copy_from_slice(content);
        }
        // Their digests are right wherever they lie.
        let offsets = contents.each_ref().map(|(_, at, _)| *at);
        let segments = contents.map(|(kind, _, content)| (kind, content)).to_vec();
        let mut image = TestImage::from_segments(segments, BLOCK as u32);
        image.bytes = bytes;
        image.resigned(|manifest| {
            manifest.image.table = Table::Gpt;
            manifest.image.slots = Slots::Two;
            for (segment, offset) in manifest.segments.iter_mut().zip(offsets) {
                segment.offset = offset;
            }
        })
    }
}

fn table(disk: &mut [u8], unique: u8) {
    let mut disk = Cursor::new(disk);
    let mut table = GPT::new_from(&mut disk, 512, [unique; 16]).unwrap();
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
