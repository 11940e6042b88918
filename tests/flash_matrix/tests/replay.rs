//! A captured session runs again: exactly, as a machine; and as a port.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::path::{Path, PathBuf};

use flash_matrix::{HostShell, Link, Rig, TestImage, run_for};
use nx_flash::capture::{Divergence, Recorder, Replay, Replayed, Side};
use nx_flash::device::{Device, DeviceConfig};
use nx_flash::drive::NoTape;
use nx_flash::host::{Event, Host, HostConfig, Job};
use nx_flash::storage::MemoryStore;
use nx_flash::wire::OfferFlags;
use nx_image::SegmentKind;
use nx_transport::OpenOptions;
use tempfile::TempDir;

fn job(image: &TestImage) -> Job {
    Job::Send {
        manifest: image.manifest_bytes.clone(),
        signature: image.signature.clone(),
        flags: OfferFlags::default(),
        chunk_bytes: 256,
    }
}

/// A faulty session of over 10,000 frames, captured on both sides.
fn captured(dir: &Path, image: &TestImage, rig: &Rig) -> [PathBuf; 2] {
    let paths = [dir.join("host.pcapng"), dir.join("device.pcapng")];
    let job = job(image);
    let mut tape = Recorder::create(&paths[0], Side::Host, &rig.host_config(job.clone())).unwrap();
    let device_path = paths[1].clone();
    let outcome = rig.run(image, job, MemoryStore::new(), &mut tape, &mut |config| {
        Box::new(Recorder::create(&device_path, Side::Device, config).unwrap())
    });
    tape.finish().unwrap();
    outcome.installed();
    paths
}

fn replay_host(path: &Path) -> (Replayed, Vec<Event>) {
    let replay = Replay::open(path).unwrap();
    assert_eq!(replay.side(), Side::Host);
    let mut machine = Host::new(replay.config::<HostConfig>().unwrap());
    let mut events = Vec::new();
    let found = replay
        .run(&mut machine, &mut Host::stop, &mut |_, event: &Event| {
            events.push(event.clone())
        })
        .unwrap();
    (found, events)
}

fn replay_device(path: &Path) -> Replayed {
    let replay = Replay::open(path).unwrap();
    let mut machine = Device::new(replay.config::<DeviceConfig>().unwrap());
    replay
        .run(
            &mut machine,
            &mut |machine, _| machine.stop(),
            &mut |_, _| {},
        )
        .unwrap()
}

fn faulty() -> (TempDir, TestImage, [PathBuf; 2]) {
    let dir = tempfile::tempdir().unwrap();
    let image = TestImage::of(2_400_000, 11);
    let rig = Rig::over(Link::Loopback)
        .with("drop_every=11&ber=1e-6&seed=9")
        .chunk_bytes(256);
    let paths = captured(dir.path(), &image, &rig);
    (dir, image, paths)
}

#[test]
fn a_session_of_ten_thousand_frames_replays_to_the_same_events_a_hundred_times() {
    let (_dir, _image, [host, device]) = faulty();
    let (first, events) = replay_host(&host);
    assert_eq!(first.divergence, None);
    let frames = first.frames_sent + first.packets_received;
    assert!(frames >= 10_000, "only {frames} frames");
    assert_eq!(events.last(), Some(&Event::Finished));
    for _ in 0..100 {
        assert_eq!(replay_host(&host), (first.clone(), events.clone()));
    }
    let device = replay_device(&device);
    assert_eq!(device.divergence, None);
    assert!(device.frames_sent > 300);
}

#[test]
fn answers_that_came_late_come_as_late_in_the_replay() {
    let dir = tempfile::tempdir().unwrap();
    let image = TestImage::of(400_000, 13);
    let rig = Rig::over(Link::Loopback)
        .with("drop_every=11&ber=1e-6&seed=9")
        .chunk_bytes(1_024)
        .late_store();
    let [host, device] = captured(dir.path(), &image, &rig);
    assert_eq!(replay_host(&host).0.divergence, None);
    let found = replay_device(&device);
    assert_eq!(found.divergence, None);
    assert!(found.frames_sent > 20, "{}", found.frames_sent);
}

#[test]
fn a_changed_byte_is_the_first_divergence_by_frame() {
    let dir = tempfile::tempdir().unwrap();
    let image = TestImage::of(60_000, 12);
    let [path, _] = captured(
        dir.path(),
        &image,
        &Rig::over(Link::Loopback).chunk_bytes(256),
    );
    let whole = fs::read(&path).unwrap();
    let packets = packet_places(&whole);
    assert!(packets.len() > 200);
    for (number, at) in packets.iter().step_by(17) {
        let mut changed = whole.clone();
        changed[*at] ^= 1;
        let copy = dir.path().join("changed.pcapng");
        fs::write(&copy, &changed).unwrap();
        let Divergence { packet, .. } = replay_host(&copy).0.divergence.unwrap();
        assert_eq!(packet, *number, "byte {at}");
    }
}

/// Number of each packet of the link in a capture, and the place of its last byte.
fn packet_places(file: &[u8]) -> Vec<(u64, usize)> {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let mut places = Vec::new();
    let (mut at, mut number) = (0, 0);
    while at < file.len() {
        let len = word(at + 4) as usize;
        if word(at) == 6 {
            number += 1;
            if word(at + 8) == 0 {
                places.push((number, at + 28 + word(at + 20) as usize - 1));
            }
        }
        at += len;
    }
    places
}

#[test]
fn a_capture_serves_as_a_port() {
    let (_dir, image, [path, _]) = faulty();
    let options = OpenOptions::new();
    let spec = format!("replay:{}", path.display()).parse().unwrap();
    let mut link = nx_transport::open(&spec, &options).unwrap();
    let mut machine = Host::new(HostConfig::new(7, job(&image)));
    let mut shell = HostShell::new(&image);
    run_for(&mut *link, &mut machine, &mut shell, &mut NoTape);
    let installed = |event: &Event| matches!(event, Event::Installed { .. });
    assert!(shell.events.iter().any(installed), "{:#?}", shell.events);
}

/// Blocks that go packed are answers of the host's shell and of the device's store: a capture
/// holds those too.
#[test]
fn a_session_of_packed_blocks_replays() {
    let dir = tempfile::tempdir().unwrap();
    let lines = (0..).flat_map(|line| format!("{line}: {}\n", line * 31).into_bytes());
    let text: Vec<u8> = lines.take(200_000).collect();
    let image = TestImage::from_segments(vec![(SegmentKind::Rootfs, text)], 65_536);
    let rig = Rig::over(Link::Loopback)
        .with("drop_every=7&seed=3")
        .slow("rate=92160&latency_ms=1");
    let [host, device] = captured(dir.path(), &image, &rig);
    let (replayed, events) = replay_host(&host);
    assert_eq!(replayed.divergence, None);
    assert_eq!(events.last(), Some(&Event::Finished));
    assert_eq!(replay_device(&device).divergence, None);
    // The same session once more, on virtual time: its blocks did go packed.
    let (outcome, _) = rig.send(&image);
    let progress = outcome.installed().progress;
    assert_eq!(progress.blocks_packed, progress.blocks_sent);
    assert!(progress.blocks_sent > 0);
}

#[test]
fn a_capture_is_for_its_owner_only_and_never_written_over() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.pcapng");
    let config = HostConfig::new(1, Job::Info);
    Recorder::create(&path, Side::Host, &config)
        .unwrap()
        .finish()
        .unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(Recorder::create(&path, Side::Host, &config).is_err());
}

#[test]
fn the_same_session_gives_the_same_capture() {
    let image = TestImage::of(100_000, 13);
    let rig = Rig::over(Link::Loopback)
        .with("ber=1e-5&seed=2")
        .slow("rate=92160&latency_ms=5");
    let files = [(); 2].map(|()| {
        let dir = tempfile::tempdir().unwrap();
        let paths = captured(dir.path(), &image, &rig);
        paths.map(|path| fs::read(path).unwrap())
    });
    assert!(files[0] == files[1], "two runs on virtual time differ");
}
