//! An image arrives whole, whatever the link, the loss and the frame size.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use flash_matrix::{Link, Rig, TestImage, on_every_link};
use rstest::rstest;

on_every_link! {
    fn image_arrives_whole(
        link: Link,
        #[values(
            "",
            "drop_every=5",
            "dup_every=3",
            "truncate_every=7",
            "ber=1e-5&seed=3",
            "burst_rate=0.01&burst_len=64&seed=5",
            "stall_every=9&stall_ms=40"
        )]
        faults: &str,
        #[values(64, 512, 65_536)] chunk_bytes: u32,
    ) {
        let image = TestImage::of(100_000, 1);
        let (outcome, store) = Rig::over(link)
            .with(faults)
            .chunk_bytes(chunk_bytes)
            .send(&image);
        outcome.installed();
        assert!(
            store.installed().unwrap() == image.bytes,
            "the installed image differs"
        );
    }
}

/// Every n-th frame lost, for every n, every phase and each direction, in virtual time.
#[rstest]
fn every_periodic_loss_is_survived(
    #[values(2, 3, 4, 5, 6, 7, 8, 9)] n: u32,
    #[values("tx", "rx", "both")] direction: &str,
) {
    let image = TestImage::of(60_000, 2);
    for phase in 0..n {
        let faults = format!("drop_every={n}&phase={phase}&dir={direction}");
        let (outcome, store) = Rig::over(Link::Loopback)
            .with(&faults)
            .slow("rate=92160&latency_ms=1")
            .send(&image);
        assert!(outcome.is_installed(), "{faults}: {outcome:#?}");
        assert!(
            store.installed().unwrap() == image.bytes,
            "{faults}: another image"
        );
    }
}

/// How many frames an offer takes, and which, decides what a fixed period hits.
#[rstest]
fn every_periodic_loss_is_survived_whatever_the_size_of_the_frames(
    #[values(64, 128, 192, 256, 320, 512)] chunk_bytes: u32,
    #[values("rate=2880", "rate=92160")] line: &str,
) {
    let image = TestImage::of(9_000, 1);
    for n in 2..=12 {
        for phase in 0..n {
            let faults = format!("drop_every={n}&phase={phase}");
            let (outcome, _) = Rig::over(Link::Loopback)
                .with(&faults)
                .slow(line)
                .chunk_bytes(chunk_bytes)
                .send(&image);
            assert!(outcome.is_installed(), "{faults}: {outcome:#?}");
        }
    }
}

#[test]
fn every_registered_scheme_is_in_the_matrix() {
    let mut tested: Vec<&str> = Link::ALL.iter().map(|link| link.scheme()).collect();
    tested.push("replay"); // tests/replay.rs
    tested.sort_unstable();
    let registered: Vec<&str> = nx_transport::schemes().iter().map(|d| d.scheme).collect();
    assert_eq!(registered, tested, "a scheme is missing from the matrix");
}
