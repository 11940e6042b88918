use std::fs;
use std::sync::LazyLock;

use nx_image::sidecar::BlockTable;
use nx_image::test_image::TestImage;

use crate::Target;
use crate::scratch;

pub(crate) const TARGET: Target = Target {
    name: "sidecar",
    bytes_max: 512,
    run,
    seeds,
};

static IMAGE: LazyLock<TestImage> = LazyLock::new(|| TestImage::of(20_000, 1));

/// Digests are taken only where they prove themselves.
fn run(bytes: &[u8]) -> bool {
    let path = scratch::path("os.blocks");
    fs::write(&path, bytes).unwrap();
    let Some(table) = BlockTable::read(&path, &IMAGE.manifest) else {
        return false;
    };
    let proven = seeds().remove(0);
    let digests = proven.len() / 36 * 32;
    assert_eq!(
        bytes[..digests],
        proven[..digests],
        "digests that nobody signed"
    );
    assert_eq!(table.segments().len(), IMAGE.manifest.segments.len());
    true
}

fn seeds() -> Vec<Vec<u8>> {
    let segments = 0..u8::try_from(IMAGE.manifest.segments.len()).unwrap();
    let mut bytes: Vec<u8> = segments.clone().flat_map(|s| IMAGE.page(s, 0)).collect();
    for block in segments.flat_map(|segment| IMAGE.blocks(segment, 0)) {
        bytes.extend(crc32fast::hash(block).to_le_bytes());
    }
    vec![bytes]
}
