//! Parts of several signed images, put together; and sizes at the edges of integers.

use nx_flash::device::Request;
use nx_flash::storage::MemoryStore;
use nx_flash::wire::{FromDevice, FromHost, Object, OfferFlags, RejectCode};
use nx_image::manifest::Manifest;
use nx_image::test_image::TestImage;
use rstest::rstest;

use crate::bench::{Bench, needed};
use crate::image;

fn opened() -> Bench<MemoryStore> {
    let mut bench = Bench::new(MemoryStore::new());
    bench.hello();
    bench
}

#[test]
fn the_signature_of_another_image_vouches_for_nothing() {
    let (one, other) = (image::plain(1), image::plain(2));
    let mixed = TestImage {
        signature: other.signature,
        ..one
    };
    let mut bench = opened();
    bench.offer(&mixed, OfferFlags::default());
    assert_eq!(bench.rejected(), RejectCode::Signature);
}

#[test]
fn blocks_of_another_signed_image_are_never_written() {
    let (one, other) = (image::plain(1), image::plain(2));
    let mut bench = opened();
    let needs = bench.begin(&one, OfferFlags::default());
    for (offset, block) in needed(&other, &needs) {
        bench.data(offset, &block);
    }
    bench.done(&other);
    // They are asked for again, until the device has had enough of them.
    let said = bench.take_said();
    let refused = |said: &FromDevice| matches!(said, FromDevice::Rejected { .. });
    assert!(said.iter().any(refused), "{said:?}");
    assert_eq!(bench.store.writes(), 0);
    assert!(bench.store.installed().is_none());
}

#[test]
fn block_digests_of_another_signed_image_prove_nothing() {
    let (one, other) = (image::plain(1), image::plain(2));
    let mut bench = opened();
    bench.offer(&one, OfferFlags::default());
    assert_eq!(bench.take_said(), [FromDevice::Accepted]);
    bench.say(FromHost::Write {
        segment: "kernel".into(),
    });
    let said = bench.take_said();
    let [FromDevice::Want(object @ Object::Page { segment, page })] = said[..] else {
        panic!("{said:?}");
    };
    bench.object(object, &other.page(segment, page));
    assert_eq!(bench.rejected(), RejectCode::Digests);
    assert_eq!(bench.store.writes(), 0);
}

#[test]
fn what_trails_a_manifest_is_refused_signed_or_not() {
    for tail in [b"\n".as_slice(), b" ", b"\0", b"{}"] {
        let mut image = image::plain(1);
        image.manifest_bytes.extend(tail);
        let mut bench = opened();
        bench.offer(&image, OfferFlags::default());
        assert_eq!(bench.rejected(), RejectCode::Signature, "{tail:?}");
        image.signature = TestImage::sign(&image.manifest_bytes);
        let mut bench = opened();
        bench.offer(&image, OfferFlags::default());
        assert_eq!(bench.rejected(), RejectCode::Manifest, "{tail:?}");
    }
}

/// A manifest that is signed, and says of sizes what would wrap somewhere.
#[rstest]
fn sizes_at_the_edges_of_integers_are_refused_before_anything_is_touched(
    #[values(1 << 31, 1 << 32, 1 << 63, u64::MAX)] edge: u64,
    #[values(-4_096, -1, 0, 1, 4_096)] beside: i64,
    #[values(0, 1, 2, 3)] field: u8,
) {
    let value = edge.wrapping_add_signed(beside);
    let change = |manifest: &mut Manifest| {
        let last = manifest.segments.last_mut().unwrap();
        match field {
            0 => manifest.image.size = value,
            1 => last.size = value,
            2 => last.offset = value,
            _ => {
                // A sum that wraps round to something small.
                last.offset = value;
                last.size = value.wrapping_neg().wrapping_add(4_096);
            }
        }
    };
    let image = image::plain(1);
    if value < 1_000_000 {
        return;
    }
    let image = image.resigned(change);
    let mut bench = opened();
    bench.offer(&image, OfferFlags::default());
    let code = bench.rejected();
    let right = [RejectCode::Manifest, RejectCode::TooLarge].contains(&code);
    assert!(right, "{code:?}");
    let only_looked = |request: &Request| *request == Request::Status;
    assert!(
        bench.requests.iter().all(only_looked),
        "{:?}",
        bench.requests
    );
}
