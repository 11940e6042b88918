//! Protocol: an in-process loopback of `nx flash` and `flashd` that loses every 5th frame is
//! interrupted, resumes, and ends with the image's hash.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use flash_matrix::{Link, Rig, TestImage};
use nx_flash::host::Failure;
use nx_flash::storage::MemoryStore;
use nx_image::digest::Digest;

#[test]
fn every_fifth_frame_lost_resume_works_and_the_final_hash_matches() {
    let image = TestImage::of(500_000, 42);
    let store = MemoryStore::new();
    let rig = || Rig::over(Link::Loopback).with("drop_every=5&dir=both");
    let cut = rig().stop_after_blocks(50).send_to(&image, store.clone());
    assert_eq!(cut.failure(), Some(&Failure::Stopped), "{cut:#?}");
    assert!(store.installed().is_none(), "nothing is installed half");
    let staged = store.writes();
    assert!(staged >= 50, "only {staged} blocks were kept");

    let resumed = rig().boot(2).send_to(&image, store.clone()).installed();
    let sent = u64::from(resumed.progress.blocks_sent);
    assert_eq!(
        sent,
        u64::from(resumed.progress.blocks_total).saturating_sub(staged)
    );
    assert!(
        resumed.progress.retransmitted_bytes > 0,
        "no frame was lost: no proof"
    );
    let installed = store.installed().unwrap();
    assert_eq!(Digest::of(&installed), image.manifest.image.sha256);
}
