use std::fs;
use std::path::{Path, PathBuf};

use flash_matrix::{Link, Rig, TestImage};
use nx_flash::capture::{Record, Recorder, Replay, Side};
use nx_flash::device::{Device, DeviceConfig};
use nx_flash::host::{Host, HostConfig, Job};
use nx_flash::storage::MemoryStore;
use nx_flash::wire::OfferFlags;
use nx_transport::pcapng;

use crate::Target;
use crate::scratch;

pub(crate) const TARGET: Target = Target {
    name: "capture",
    bytes_max: 65_536,
    run,
    seeds,
};

/// A capture file: read as packets, then as records, then run again on the machine it names.
fn run(bytes: &[u8]) -> bool {
    let mut packets = pcapng::Reader::new(bytes, "input");
    let mut total = 0;
    while let Ok(Some(packet)) = packets.next_packet() {
        total += packet.data.len();
        assert!(total <= bytes.len(), "a file holds no more than its bytes");
        if let Ok(record) = Record::parse(&packet.data) {
            let again = Record::parse(&record.to_bytes());
            assert_eq!(again.as_ref(), Ok(&record));
        }
    }
    let path = scratch::path("input.pcapng");
    fs::write(&path, bytes).unwrap();
    let _ = nx_flash::capture::first_nonce(&path);
    replay(&path).is_some()
}

/// Runs the machine; something where the whole file could be read.
fn replay(path: &Path) -> Option<()> {
    let replay = Replay::open(path).ok()?;
    let side = replay.side();
    if replay.is_elided() {
        return replay.events(&mut |_, _| {}).ok();
    }
    match side {
        Side::Host => {
            let mut host = Host::new(replay.config::<HostConfig>().ok()?);
            replay
                .run(&mut host, &mut Host::stop, &mut |_, _| {})
                .ok()?;
        }
        Side::Device => {
            let mut device = Device::new(replay.config::<DeviceConfig>().ok()?);
            let mut stop = |device: &mut Device, _| device.stop();
            replay.run(&mut device, &mut stop, &mut |_, _| {}).ok()?;
        }
    }
    Some(())
}

fn seeds() -> Vec<Vec<u8>> {
    let image = TestImage::of(9_000, 11);
    let send = Job::Send {
        manifest: image.manifest_bytes.clone(),
        signature: image.signature.clone(),
        flags: OfferFlags::default(),
        chunk_bytes: 4_096,
    };
    let mut seeds = Vec::new();
    for job in [Job::Info, send] {
        seeds.extend(captured(&image, &job));
    }
    seeds
}

/// The captures of both sides of a session.
fn captured(image: &TestImage, job: &Job) -> [Vec<u8>; 2] {
    let paths: [PathBuf; 2] = ["host.pcapng", "device.pcapng"].map(scratch::path);
    for path in &paths {
        let _ = fs::remove_file(path);
    }
    let rig = Rig::over(Link::Loopback);
    let config = rig.host_config(job.clone());
    let mut tape = Recorder::create(&paths[0], Side::Host, &config).unwrap();
    let device = paths[1].clone();
    rig.run(
        image,
        job.clone(),
        MemoryStore::new(),
        &mut tape,
        &mut |config| Box::new(Recorder::create(&device, Side::Device, config).unwrap()),
    );
    tape.finish().unwrap();
    paths.map(|path| fs::read(path).unwrap())
}
