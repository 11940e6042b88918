//! What a device has is not sent: bytes both ways, as a share of the image.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::time::Duration;

use flash_matrix::{TestImage, random_bytes};
use goodput::{Condition, Line};
use nx_flash::storage::MemoryStore;
use nx_image::manifest::SegmentKind;

const BLOCK: usize = 65_536;
const BLOCKS: usize = 1_024;

/// A fast line: only the bytes are of interest.
const LINE: Line = Line {
    bytes_per_second: 50_000_000,
    latency: Duration::from_millis(1),
    condition: Condition::Clean,
    seed: 1,
};

fn image(content: Vec<u8>) -> TestImage {
    TestImage::from_segments(vec![(SegmentKind::Rootfs, content)], BLOCK as u32)
}

/// Bytes both ways, as a share of the image.
fn share(image: &TestImage, store: &MemoryStore) -> f64 {
    let sent = LINE.send_to(image, store.clone());
    (sent.wire_bytes + sent.received_bytes) as f64 / sent.image_bytes as f64
}

#[test]
fn the_same_image_again_costs_next_to_nothing_and_one_percent_costs_one_percent() {
    let mut content = random_bytes(BLOCKS * BLOCK, 5);
    let store = MemoryStore::new();
    let first = share(&image(content.clone()), &store);
    assert!((1.0..1.02).contains(&first), "the first time: {first}");

    let again = share(&image(content.clone()), &store);
    assert!(again < 0.001, "the same again: {again}");

    for changed in (0..BLOCKS).step_by(BLOCKS / 10).take(10) {
        content[changed * BLOCK + 777] ^= 1;
    }
    let update = image(content);
    let changed = share(&update, &store);
    assert!((0.0097..0.02).contains(&changed), "one percent: {changed}");
    assert!(
        store
            .installed()
            .is_some_and(|installed| installed == update.bytes)
    );
}
