//! What is refused, why, and that nothing is lost by it.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::time::Duration;

use flash_matrix::{HostShell, Link, Rig, TestImage, on_every_link, run_for};
use nx_flash::device::{DeviceConfig, Event as DeviceEvent, Policy};
use nx_flash::drive::NoTape;
use nx_flash::host::{Event, Failure, Host, HostConfig, Job};
use nx_flash::storage::MemoryStore;
use nx_flash::wire::{BootTarget, Frame, FromDevice, Kind, Refusal, RejectCode, Verdict, Welcome};
use nx_image::manifest::{Manifest, Profile};
use nx_transport::{Transport, VirtualClock, loopback};

fn assert_rejected(failure: Option<&Failure>, code: RejectCode) {
    match failure {
        Some(Failure::Rejected { code: got, .. }) => assert_eq!(*got, code.number(), "{code:?}"),
        other => panic!("expected {code:?}, got {other:?}"),
    }
}

/// An old image is installed; the offer of `bad` must change nothing.
#[track_caller]
fn assert_refused(link: Link, device: Option<DeviceConfig>, bad: &TestImage, code: RejectCode) {
    let old = TestImage::of(50_000, 20);
    let (first, store) = Rig::over(Link::Loopback).send(&old);
    first.installed();
    let mut rig = Rig::over(link).boot(2);
    if let Some(device) = device {
        rig = rig.device(device);
    }
    let writes = store.writes();
    let outcome = rig.send_to(bad, store.clone());
    assert_rejected(outcome.failure(), code);
    assert!(
        store.installed().unwrap() == old.bytes,
        "the installed image was changed"
    );
    assert_eq!(store.writes(), writes, "something was written");
    assert!(
        outcome
            .device
            .iter()
            .any(|event| matches!(event, DeviceEvent::Rejected { .. }))
    );
}

on_every_link! {
    fn a_strangers_signature_is_refused(link: Link) {
        let mut bad = TestImage::of(50_000, 21);
        bad.signature[3] ^= 1;
        assert_refused(link, None, &bad, RejectCode::Signature);
    }
}

#[test]
fn every_changed_byte_of_the_manifest_is_refused() {
    let image = TestImage::of(50_000, 21);
    for at in 0..image.manifest_bytes.len() {
        let mut bad = image.clone();
        bad.manifest_bytes[at] ^= 0x20;
        let (outcome, store) = Rig::over(Link::Loopback).send(&bad);
        assert_rejected(outcome.failure(), RejectCode::Signature);
        assert!(store.installed().is_none());
    }
}

#[test]
fn every_changed_byte_of_the_signature_is_refused() {
    let image = TestImage::of(50_000, 21);
    for at in 0..image.signature.len() {
        let mut bad = image.clone();
        bad.signature[at] ^= 0x01;
        let (outcome, store) = Rig::over(Link::Loopback).send(&bad);
        assert_rejected(outcome.failure(), RejectCode::Signature);
        assert!(store.installed().is_none());
    }
}

#[test]
fn an_image_that_is_not_the_signed_one_never_gets_installed() {
    let mut bad = TestImage::of(50_000, 22);
    let honest = bad.clone();
    bad.bytes[30_000] ^= 1;
    // The digests that this host would compute are those of the changed bytes.
    let (outcome, store) = Rig::over(Link::Loopback).send(&bad);
    assert_rejected(outcome.failure(), RejectCode::Digests);
    assert!(store.installed().is_none());
    Rig::over(Link::Loopback)
        .boot(2)
        .send_to(&honest, store.clone())
        .installed();
    assert!(store.installed().unwrap() == honest.bytes);
}

fn resigned(change: impl FnOnce(&mut Manifest)) -> TestImage {
    let image = TestImage::of(50_000, 23);
    let mut manifest = image.manifest.clone();
    change(&mut manifest);
    TestImage::signed(image.bytes, manifest)
}

#[test]
fn another_board_is_refused_unless_the_policy_is_lenient() {
    let image = resigned(|manifest| manifest.image.board = "other".into());
    let mut device = DeviceConfig::new(vec![image.key], 2);
    device.board = Some("virt".into());
    assert_refused(
        Link::Loopback,
        Some(device.clone()),
        &image,
        RejectCode::Board,
    );
    device.policy = Policy::Permissive;
    let (outcome, _) = Rig::over(Link::Loopback).device(device).send(&image);
    let outcome = outcome.installed();
    assert!(
        outcome
            .device
            .contains(&DeviceEvent::Tolerated(RejectCode::Board))
    );
}

#[test]
fn a_dev_image_on_a_release_device_is_refused() {
    let image = TestImage::of(50_000, 23);
    let mut device = DeviceConfig::new(vec![image.key], 2);
    device.profile = Profile::Release;
    assert_refused(Link::Loopback, Some(device), &image, RejectCode::Profile);
}

#[test]
fn an_image_larger_than_the_target_is_refused() {
    let image = resigned(|manifest| {
        manifest.image.size = (1 << 30) + 64;
        let size = manifest.image.size;
        let last = manifest.segments.last_mut().unwrap();
        last.size = size - last.offset;
    });
    assert_refused(Link::Loopback, None, &image, RejectCode::TooLarge);
}

#[test]
fn a_device_without_keys_takes_nothing() {
    let image = TestImage::of(50_000, 23);
    let device = DeviceConfig::new(Vec::new(), 2);
    assert_refused(Link::Loopback, Some(device), &image, RejectCode::Signature);
}

on_every_link! {
    fn verify_info_and_reboot_are_answered(link: Link) {
        let image = TestImage::of(50_000, 24);
        let (first, store) = Rig::over(Link::Loopback).send(&image);
        first.installed();
        let rig = Rig::over(link).boot(2).with("drop_every=4");
        let verified = rig.job(&image, Job::Verify, store.clone());
        let found = verified.host.iter().find_map(|event| match event {
            Event::Verified {
                manifest,
                installed,
                segments,
                gaps_zero,
            } => Some((manifest, installed, segments, gaps_zero)),
            _ => None,
        });
        let (manifest, installed, segments, gaps_zero) = found.unwrap();
        assert_eq!(*manifest, Manifest::digest_of(&image.manifest_bytes));
        assert_eq!(*installed, image.manifest.installed_digest());
        assert!(*gaps_zero);
        assert!(
            segments
                .iter()
                .all(|segment| segment.verdict == Verdict::Matches)
        );
        let info = rig.job(&image, Job::Info, store.clone());
        let holds = |event: &Event| {
            matches!(event, Event::Info(info, _) if info.installed.is_some())
        };
        assert!(info.host.iter().any(holds), "{info:#?}");
        let reboot = rig.job(&image, Job::Reboot(BootTarget::Recovery), store.clone());
        assert!(
            reboot
                .host
                .contains(&Event::Rebooting(BootTarget::Recovery)),
            "{reboot:#?}"
        );
        assert!(
            reboot
                .device
                .contains(&DeviceEvent::Reboot(BootTarget::Recovery)),
            "{reboot:#?}"
        );
        assert_eq!(store.next_boot(), Some(BootTarget::Recovery));
    }
}

#[test]
fn verify_of_an_empty_device_says_so() {
    let image = TestImage::of(50_000, 24);
    let outcome = Rig::over(Link::Loopback).job(&image, Job::Verify, MemoryStore::new());
    assert_rejected(outcome.failure(), RejectCode::NothingInstalled);
}

/// Runs a host against a peer that is no `flashd`, in virtual time.
fn against(peer: impl FnOnce(&mut dyn Transport) + Send + 'static) -> (Vec<Event>, Duration) {
    let clock = VirtualClock::new();
    let (mut near, mut far) = loopback::pair(&clock, "host", "peer");
    let thread = std::thread::spawn(move || peer(&mut far));
    let image = TestImage::of(50_000, 25);
    let mut machine = Host::new(HostConfig::new(7, Job::Info));
    let mut shell = HostShell::new(&image);
    run_for(&mut near, &mut machine, &mut shell, &mut NoTape);
    let elapsed = near.clock().now();
    drop(near);
    thread.join().unwrap();
    (shell.events, elapsed)
}

/// Says this until the other side hangs up.
fn say_for_ever(link: &mut dyn Transport, text: &[u8]) {
    let mut sink = [0; 4_096];
    let clock = link.clock();
    loop {
        let until = clock.now() + Duration::from_millis(100);
        let mut sent = 0;
        while clock.now() < until {
            let left = until.saturating_sub(clock.now());
            match link.exchange(&text[sent..], &mut sink, left) {
                Ok(moved) => sent += moved.sent,
                Err(_) => return,
            }
        }
    }
}

#[test]
fn silence_is_told_within_the_stated_time() {
    let (events, elapsed) = against(|link| say_for_ever(link, b""));
    assert!(
        matches!(events.last(), Some(Event::Failed(Failure::Silent { .. }))),
        "{events:#?}"
    );
    assert!((30..32).contains(&elapsed.as_secs()), "{elapsed:?}");
}

#[test]
fn a_shell_on_the_line_is_told_from_a_device() {
    let (events, _) = against(|link| say_for_ever(link, b"login: what?\r\nsh: not found\r\n"));
    let failed = matches!(
        events.last(),
        Some(Event::Failed(Failure::NotADevice { .. }))
    );
    assert!(failed, "{events:#?}");
    assert!(events.contains(&Event::Console("sh: not found".into())));
}

#[test]
fn a_device_of_another_version_is_told() {
    let (events, elapsed) = against(|link| {
        let mut payload = Vec::new();
        let refusal = Refusal {
            code: RejectCode::Version.number(),
            nonce: 7,
            session: 0,
            version_min: 2,
            version_max: 3,
        };
        refusal.emit(&mut payload);
        let mut bytes = Vec::new();
        Frame::new(Kind::Refuse, 0, 0, &payload).emit(&mut bytes);
        say_for_ever(link, &bytes);
    });
    assert_eq!(
        events.last(),
        Some(&Event::Failed(Failure::Version { min: 2, max: 3 }))
    );
    assert!(elapsed < Duration::from_secs(5));
}

#[test]
fn a_device_that_stops_answering_is_given_up() {
    let (events, elapsed) = against(|link| {
        let mut payload = Vec::new();
        let welcome = Welcome {
            version: 1,
            nonce: 7,
            session: 99,
            boot: 1,
            window: 1 << 20,
            slice_max: 4_096,
            codecs: 0,
            last_good_seq: 0,
            board: String::new(),
            profile: Profile::Dev,
        };
        welcome.emit(&mut payload);
        let mut bytes = Vec::new();
        Frame::new(Kind::Welcome, 0, 0, &payload).emit(&mut bytes);
        let mut sent = 0;
        let mut sink = [0; 4_096];
        while let Ok(moved) = link.exchange(&bytes[sent..], &mut sink, Duration::from_secs(1)) {
            sent += moved.sent;
        }
    });
    let stalled = matches!(events.last(), Some(Event::Failed(Failure::Stalled { .. })));
    assert!(stalled, "{events:#?}");
    assert!((30..33).contains(&elapsed.as_secs()), "{elapsed:?}");
}

#[test]
fn nothing_a_device_says_makes_the_host_panic() {
    // A device that answers in form and lies in content.
    let (events, _) = against(|link| {
        let mut bytes = Vec::new();
        let mut payload = Vec::new();
        let welcome = Welcome {
            version: 1,
            nonce: 7,
            session: 5,
            boot: 1,
            window: 0,
            slice_max: 0,
            codecs: u32::MAX,
            last_good_seq: u32::MAX,
            board: "x".into(),
            profile: Profile::Dev,
        };
        welcome.emit(&mut payload);
        Frame::new(Kind::Welcome, 0, 0, &payload).emit(&mut bytes);
        let mut body = 0_u32.to_le_bytes().to_vec();
        let object = nx_flash::wire::Object::Page {
            segment: 200,
            page: 9,
        };
        FromDevice::Want(object).emit(&mut body);
        Frame::new(Kind::Message, 5, u32::MAX, &body).emit(&mut bytes);
        Frame::new(Kind::Ack, 5, 0, &[0xff; 40]).emit(&mut bytes);
        say_for_ever(link, &bytes);
    });
    assert!(
        matches!(events.last(), Some(Event::Failed(_))),
        "{events:#?}"
    );
}
