//! What is taken for an image, and what never gets that far.

use nx_flash::device::{DeviceConfig, Event, Outcome, Policy, Request, StoreStatus};
use nx_flash::machine::Machine as _;
use nx_flash::storage::MemoryStore;
use nx_flash::wire::{AbortReason, FromDevice, FromHost, Object, OfferFlags, RejectCode};
use nx_image::manifest::Profile;
use nx_image::test_image::TestImage;

use crate::bench::Bench;
use crate::image;

fn bench(change: impl FnOnce(&mut DeviceConfig)) -> Bench<MemoryStore> {
    let mut config = DeviceConfig::new(vec![TestImage::key()], 7);
    config.board = Some("virt".into());
    change(&mut config);
    let mut bench = Bench::with(MemoryStore::new(), config);
    bench.hello();
    bench
}

/// The refusal of an offer, which must not have touched the store.
fn refusal(image: &TestImage, change: impl FnOnce(&mut DeviceConfig)) -> RejectCode {
    let mut bench = bench(change);
    bench.offer(image, OfferFlags::default());
    let only_looked = |request: &Request| *request == Request::Status;
    assert!(
        bench.requests.iter().all(only_looked),
        "{:?}",
        bench.requests
    );
    assert!(bench.has(|event| matches!(event, Event::Rejected { .. })));
    bench.rejected()
}

#[test]
fn any_flipped_byte_of_manifest_or_signature_is_a_bad_signature() {
    let good = image::plain(1);
    for at in (0..good.manifest_bytes.len()).step_by(7) {
        let mut image = good.clone();
        image.manifest_bytes[at] ^= 1;
        assert_eq!(
            refusal(&image, |_| {}),
            RejectCode::Signature,
            "manifest byte {at}"
        );
    }
    for at in 0..good.signature.len() {
        let mut image = good.clone();
        image.signature[at] ^= 1;
        assert_eq!(
            refusal(&image, |_| {}),
            RejectCode::Signature,
            "signature byte {at}"
        );
    }
}

#[test]
fn the_signature_is_checked_before_the_manifest_is_read() {
    let mut image = image::plain(1);
    image.manifest_bytes = b"{no manifest at all".to_vec();
    assert_eq!(refusal(&image, |_| {}), RejectCode::Signature);
}

#[test]
fn a_device_without_keys_takes_nothing() {
    assert_eq!(
        refusal(&image::plain(1), |config| config.keys.clear()),
        RejectCode::Signature
    );
}

#[test]
fn what_is_signed_and_no_manifest_is_refused() {
    let mut image = image::plain(1);
    image.manifest_bytes.push(b' ');
    image.signature = TestImage::sign(&image.manifest_bytes);
    assert_eq!(refusal(&image, |_| {}), RejectCode::Manifest);
}

#[test]
fn another_board_is_refused_or_reported_as_the_policy_says() {
    let image = image::plain(1);
    let other = |policy| {
        move |config: &mut DeviceConfig| {
            config.board = Some("other".into());
            config.policy = policy;
        }
    };
    assert_eq!(refusal(&image, other(Policy::Strict)), RejectCode::Board);
    for policy in [Policy::Permissive, Policy::AuditOnly] {
        let mut bench = bench(other(policy));
        bench.offer(&image, OfferFlags::default());
        assert_eq!(bench.take_said(), [FromDevice::Accepted]);
        assert!(bench.has(|event| *event == Event::Tolerated(RejectCode::Board)));
    }
}

#[test]
fn a_device_of_no_board_takes_every_board() {
    let mut bench = bench(|config| config.board = None);
    bench.offer(&image::plain(1), OfferFlags::default());
    assert_eq!(bench.take_said(), [FromDevice::Accepted]);
}

#[test]
fn a_release_device_refuses_dev_images_and_a_dev_device_takes_both() {
    let dev = image::plain(1);
    let release = image::plain(1).resigned(|m| m.image.profile = Profile::Release);
    let code = refusal(&dev, |config| config.profile = Profile::Release);
    assert_eq!(code, RejectCode::Profile);
    for image in [&dev, &release] {
        let mut bench = bench(|_| {});
        bench.offer(image, OfferFlags::default());
        assert_eq!(bench.take_said(), [FromDevice::Accepted]);
    }
}

#[test]
fn an_image_larger_than_the_target_is_refused() {
    let image = image::plain(1);
    let mut bench = bench(|_| {});
    bench.intercept = |request| match request {
        Request::Status => Some(Outcome::Status(StoreStatus {
            capacity: 5 * 4_096,
            ..StoreStatus::default()
        })),
        _ => None,
    };
    bench.say(FromHost::Abort {
        reason: AbortReason::Finished,
    });
    bench.hello();
    bench.offer(&image, OfferFlags::default());
    assert_eq!(bench.rejected(), RejectCode::TooLarge);
    assert!(
        !bench
            .requests
            .iter()
            .any(|r| matches!(r, Request::Begin { .. }))
    );
}

#[test]
fn offers_of_impossible_length_are_refused_before_memory_is_taken() {
    for bytes in [0, 1, 64, 64 + 64 * 1024 + 1, u32::MAX] {
        let mut bench = bench(|_| {});
        bench.say(FromHost::Offer {
            bytes,
            flags: OfferFlags::default(),
        });
        assert_eq!(bench.rejected(), RejectCode::Limit, "{bytes}");
    }
}

#[test]
fn an_object_without_an_offer_is_not_taken() {
    let mut bench = bench(|_| {});
    bench.object(Object::Offer, &[0; 500]);
    assert!(bench.take_said().is_empty());
    assert_eq!(
        bench.unacknowledged(),
        1,
        "the host still holds it for unsent"
    );
}

#[test]
fn slices_of_an_offer_may_come_twice_and_in_any_order() {
    let image = image::plain(1);
    let mut bytes = image.signature.clone();
    bytes.extend(&image.manifest_bytes);
    let mut bench = bench(|_| {});
    bench.say(FromHost::Offer {
        bytes: bytes.len() as u32,
        flags: OfferFlags::default(),
    });
    let starts: Vec<usize> = (0..bytes.len()).step_by(100).collect();
    for start in starts.iter().rev().chain(&starts).copied() {
        if bench.said.is_empty() {
            let end = (start + 150).min(bytes.len());
            bench.object_slice(Object::Offer, start as u32, &bytes[start..end]);
        }
    }
    assert_eq!(bench.take_said(), [FromDevice::Accepted]);
}

#[test]
fn commands_out_of_order_are_refused() {
    let image = image::plain(1);
    let early = [
        FromHost::Write {
            segment: "kernel".into(),
        },
        FromHost::Done {
            manifest: image.digest(),
        },
    ];
    for message in early {
        let mut bench = bench(|_| {});
        bench.say(message.clone());
        assert_eq!(bench.rejected(), RejectCode::State, "{message:?}");
    }
    let mut bench = bench(|_| {});
    bench.say(FromHost::Verify);
    assert_eq!(bench.rejected(), RejectCode::NothingInstalled);
}

#[test]
fn a_new_offer_in_the_middle_begins_anew() {
    let mut bench = bench(|_| {});
    let (first, second) = (image::plain(1), image::plain(50));
    let needs = bench.begin(&first, OfferFlags::default());
    bench.fill(&first, &needs[..1]);
    let needs = bench.begin(&second, OfferFlags::default());
    bench.fill(&second, &needs);
    bench.done(&second);
    assert!(matches!(
        bench.take_said()[..],
        [FromDevice::Installed { .. }]
    ));
    assert_eq!(bench.store.installed().unwrap(), second.bytes);
    assert!(bench.device.poll_request().is_none());
}
