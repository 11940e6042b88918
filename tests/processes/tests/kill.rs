//! Either side is killed in the middle, as `kill -9` does it, and the same command goes on.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use processes::{Bench, Ran};

const IMAGE_BYTES: u64 = 12 << 20;
const BLOCK_BYTES: u64 = 64 << 10;
/// What the device grants.
const WINDOW_BYTES: u64 = 1 << 20;
/// When a side is killed.
const FORTY_PERCENT: u64 = IMAGE_BYTES * 2 / 5;

fn bench(seed: u64) -> Bench {
    let bench = Bench::new();
    bench.image("os", usize::try_from(IMAGE_BYTES).unwrap(), seed);
    bench
}

/// No more was sent again than the window and two blocks, one for each side of it.
#[track_caller]
fn assert_resumed(bench: &Bench, sent: &Ran, staged: u64) {
    let json = sent.json();
    let member = |name: &str| json["data"][name].as_u64().unwrap();
    let again = (member("blocks_sent") * BLOCK_BYTES + staged).saturating_sub(IMAGE_BYTES);
    let allowed = WINDOW_BYTES + 2 * BLOCK_BYTES;
    assert!(again <= allowed, "{again} bytes were sent again: {json:#}");
    assert!(member("blocks_skipped") > 0, "{json:#}");
    bench.assert_installed("os");
}

#[test]
fn a_killed_nx_resumes_also_with_another_chunk() {
    let bench = bench(1);
    let _flashd = bench.flashd();
    let first = bench.start_slowly("os", &[]);
    bench.wait_for_staged(FORTY_PERCENT);
    first.kill();
    let staged = bench.staged_bytes();
    let sent = bench.send("os", &["--chunk", "4096"]).ok();
    assert_resumed(&bench, &sent, staged);
}

#[test]
fn a_killed_flashd_resumes() {
    let bench = bench(2);
    let flashd = bench.flashd();
    let first = bench.start_slowly("os", &["--no-reconnect"]);
    bench.wait_for_staged(FORTY_PERCENT);
    flashd.kill();
    let ran = first.wait();
    assert_eq!(
        ran.code, 5,
        "a device that goes away is a delegate failure: {ran:#?}"
    );
    let staged = bench.staged_bytes();
    let _flashd = bench.flashd();
    let sent = bench.send("os", &[]).ok();
    assert_resumed(&bench, &sent, staged);
}

#[test]
fn another_manifest_starts_at_zero_and_the_same_image_sends_nothing() {
    let bench = bench(3);
    let _flashd = bench.flashd();
    let first = bench.start_slowly("os", &[]);
    bench.wait_for_staged(FORTY_PERCENT);
    first.kill();
    bench.image("other", usize::try_from(IMAGE_BYTES).unwrap(), 4);
    let other = bench.send("other", &[]).ok().json();
    let member = |json: &serde_json::Value, name: &str| json["data"][name].as_u64().unwrap();
    assert_eq!(
        member(&other, "blocks_sent"),
        member(&other, "blocks_total")
    );
    let again = bench.send("other", &[]).ok().json();
    assert_eq!(member(&again, "blocks_sent"), 0, "{again:#}");
    assert_eq!(member(&again, "payload_bytes"), 0, "{again:#}");
}
