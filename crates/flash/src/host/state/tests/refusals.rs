//! What ends a transfer early.

use alloc::vec;

use nx_image::digest::Digest;

use super::bench::{BLOCK, Bench};
use super::image::{Image, need};
use crate::host::{Failure, Outcome};
use crate::machine::Machine as _;
use crate::wire::{AbortReason, FromDevice, FromHost, Need, Object, RejectCode};

#[test]
fn a_rejection_ends_the_job_and_the_device_is_told() {
    let image = Image::new();
    let mut bench = Bench::connected(image.job());
    bench.say(&FromDevice::Rejected {
        code: RejectCode::Board.number(),
        detail: "this is rpi5".into(),
    });
    let failure = Failure::Rejected {
        code: 18,
        detail: "this is rpi5".into(),
    };
    assert_eq!(bench.failure(), &failure);
    let reason = AbortReason::Failed;
    assert_eq!(bench.messages.last(), Some(&FromHost::Abort { reason }));
    // It said of no block that it has it.
    assert_eq!(bench.host.progress().blocks_skipped(), 0);
}

#[test]
fn a_device_that_asks_for_what_is_not_there_is_left() {
    let image = Image::new();
    let page = Object::Page {
        segment: 0,
        page: 1,
    };
    for wrong in [
        FromDevice::Want(page),
        FromDevice::Want(Object::Directory { segment: 2 }),
        FromDevice::Want(Object::Offer),
        need(2, 1),
        FromDevice::Need(Need {
            segment: 0,
            page: 1,
            last: true,
            kept: false,
            bitmap: vec![1],
        }),
        FromDevice::Installed {
            manifest: Digest::of(b"another"),
            installed: Digest::of(b""),
            state_kept: false,
        },
    ] {
        let mut bench = image.accepted();
        bench.say(&wrong);
        let failure = bench.failure();
        assert!(matches!(failure, Failure::Protocol(_)), "{wrong:?}");
        assert!(bench.host.is_finished());
    }
}

#[test]
fn an_image_that_cannot_be_read_ends_the_job() {
    let image = Image::new();
    for outcome in [
        Outcome::Failed("gone".into()),
        Outcome::Bytes(vec![0; BLOCK as usize - 1]),
    ] {
        let mut bench = image.accepted();
        bench.say(&need(0, 1));
        let (id, _) = bench.host.poll_request().unwrap();
        bench.host.handle_done(id, outcome, bench.now);
        bench.pump();
        assert!(matches!(bench.failure(), Failure::Source(_)));
        let reason = AbortReason::Failed;
        assert_eq!(bench.messages.last(), Some(&FromHost::Abort { reason }));
    }
}
