//! The images of these tests, in blocks of 4 KiB.

use nx_image::manifest::{SegmentKind, Table};
use nx_image::test_image::{TestImage, random_bytes};

pub(crate) const BLOCK: usize = 4_096;

/// Kernel and rootfs, with a gap between them.
pub(crate) fn plain(seed: u64) -> TestImage {
    of(vec![
        (SegmentKind::Kernel, random_bytes(3 * BLOCK + 100, seed)),
        (SegmentKind::Rootfs, random_bytes(5 * BLOCK + 700, seed + 1)),
    ])
}

/// A disk with a kernel, and a state header with so many blocks of room behind it.
pub(crate) fn with_state(seed: u64, kernel_blocks: usize, room_blocks: usize) -> TestImage {
    let kernel = random_bytes(kernel_blocks * BLOCK, seed + 1);
    let mut image = of(vec![
        (SegmentKind::Gpt, random_bytes(BLOCK, seed)),
        (SegmentKind::Kernel, kernel),
        (SegmentKind::State, b"fresh state header".to_vec()),
        (SegmentKind::GptBackup, random_bytes(BLOCK, seed + 2)),
    ]);
    let backup = image.manifest.segments[3].offset as usize;
    let room = room_blocks * BLOCK;
    image.bytes.splice(backup..backup, vec![0; room]);
    image.resigned(|manifest| {
        manifest.image.table = Table::Gpt;
        manifest.segments[3].offset += room as u64;
    })
}

/// These segments, each at the next block.
pub(crate) fn of(contents: Vec<(SegmentKind, Vec<u8>)>) -> TestImage {
    TestImage::from_segments(contents, BLOCK as u32)
}
