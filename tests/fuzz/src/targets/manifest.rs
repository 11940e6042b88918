use nx_image::Manifest;
use nx_image::manifest::SegmentKind;
use nx_image::test_image::{TestImage, random_bytes};

use crate::Target;

pub(crate) const TARGET: Target = Target {
    name: "manifest",
    bytes_max: 8_192,
    run,
    seeds,
};

fn run(bytes: &[u8]) -> bool {
    let Ok(manifest) = Manifest::parse(bytes) else {
        return false;
    };
    assert_eq!(manifest.encode(), bytes, "a manifest has one form");
    assert_eq!(manifest.check(), Ok(()));
    let size = manifest.image.size;
    let mut end = 0;
    for region in manifest.regions() {
        assert_eq!(region.range.start, end, "regions leave nothing out");
        end = region.range.end;
    }
    assert_eq!(end, size);
    for segment in &manifest.segments {
        let blocks = segment.block_count(manifest.image.block_size);
        assert!(segment.end() <= size);
        if let Some(last) = blocks.checked_sub(1) {
            let range = segment.block_range(last, manifest.image.block_size);
            assert!(range.start < range.end && range.end <= segment.size.max(segment.end()));
        }
    }
    let map = nx_flash::blocks::BlockMap::of(&manifest);
    assert!(map.block_count() >= u32::try_from(manifest.segments.len()).unwrap());
    true
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let full = TestImage::from_segments(
        vec![
            (SegmentKind::Kernel, random_bytes(9_000, 1)),
            (SegmentKind::Initrd, random_bytes(100, 2)),
            (SegmentKind::Rootfs, random_bytes(5_000, 3)),
            (SegmentKind::State, random_bytes(4_096, 4)),
        ],
        4_096,
    );
    vec![TestImage::of(10_000, 1).manifest_bytes, full.manifest_bytes]
}
