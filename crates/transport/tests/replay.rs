//! A captured session plays again.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests stop at the first surprise"
)]

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nx_transport::pcapng::{Block, Direction, LINK_BYTES, Reader, Writer};
use nx_transport::{Captured, OpenOptions, Transport, TransportError, VirtualClock, loopback};

const SECOND: Duration = Duration::from_secs(1);

fn open(port: &str) -> Result<Box<dyn Transport>, TransportError> {
    nx_transport::open(&port.parse().unwrap(), &OpenOptions::default())
}

/// A host that asks and waits for each answer, until there is none; returns the answers.
fn ask(link: &mut dyn Transport) -> Vec<(Vec<u8>, Duration)> {
    let mut answers = Vec::new();
    for question in [b"one".as_slice(), b"second", b"3"] {
        assert_eq!(
            link.exchange(question, &mut [], SECOND).unwrap().sent,
            question.len()
        );
        let mut inp = [0; 16];
        let moved = link.exchange(&[], &mut inp, 10 * SECOND).unwrap();
        answers.push((inp[..moved.received].to_vec(), link.clock().now()));
    }
    answers
}

/// A device that answers each question with its length, after a second.
fn answer(link: &mut dyn Transport) {
    let mut inp = [0; 16];
    while let Ok(moved) = link.exchange(&[], &mut inp, 60 * SECOND) {
        link.clock().sleep_until(link.clock().now() + SECOND);
        link.exchange(format!("<{}>", moved.received).as_bytes(), &mut [], SECOND)
            .unwrap();
    }
}

fn record(path: &Path) -> Vec<(Vec<u8>, Duration)> {
    let (near, mut far) = loopback::pair(&VirtualClock::new(), "host", "device");
    let device = thread::spawn(move || answer(&mut far));
    let mut host = Captured::new(near, "loopback:x", path).unwrap();
    let answers = ask(&mut host);
    drop(host);
    device.join().unwrap();
    answers
}

#[test]
fn a_recorded_session_gives_the_same_answers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("session.pcapng");
    let recorded = record(&path);
    let answers: Vec<_> = recorded
        .iter()
        .map(|(answer, _)| answer.as_slice())
        .collect();
    assert_eq!(answers, [b"<3>", b"<6>", b"<1>"]);
    let mut link = open(&format!("replay:{}", path.display())).unwrap();
    let replayed = ask(&mut *link);
    assert!(
        replayed
            .iter()
            .map(|(answer, _)| answer)
            .eq(recorded.iter().map(|(answer, _)| answer))
    );
    assert!(
        link.exchange(&[], &mut [0; 1], SECOND)
            .unwrap_err()
            .is_closed()
    );
}

#[test]
fn the_other_part_can_be_played_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("session.pcapng");
    record(&path);
    let mut link = open(&format!("replay:{}?side=device", path.display())).unwrap();
    let mut heard = Vec::new();
    let mut inp = [0; 16];
    while let Ok(moved) = link.exchange(&[], &mut inp, 60 * SECOND) {
        heard.extend_from_slice(&inp[..moved.received]);
        link.exchange(b"<?>", &mut [], SECOND).unwrap();
    }
    assert_eq!(heard, b"onesecond3");
}

#[test]
fn who_says_less_than_recorded_still_gets_the_answers_later() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("session.pcapng");
    record(&path);
    let mut link = open(&format!("replay:{}", path.display())).unwrap();
    let mut inp = [0; 16];
    // A second as recorded, and one of grace.
    assert!(link.exchange(&[], &mut inp, SECOND).unwrap().is_nothing());
    assert_eq!(
        link.exchange(&[], &mut inp, 5 * SECOND).unwrap().received,
        3
    );
    assert_eq!(link.clock().now(), 2 * SECOND);
}

#[test]
fn what_answers_nothing_comes_at_its_recorded_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("busy.pcapng");
    let mut writer = Writer::create(&path).unwrap();
    let link = writer.add_interface(LINK_BYTES, "x").unwrap();
    writer
        .packet(link, 100, Some(Direction::Outbound), b"?", None)
        .unwrap();
    writer
        .packet(link, 200, Some(Direction::Inbound), b"busy", None)
        .unwrap();
    writer
        .packet(link, 500_200, Some(Direction::Inbound), b"busy", None)
        .unwrap();
    let mut link = open(&format!("replay:{}", path.display())).unwrap();
    let mut inp = [0; 16];
    link.exchange(b"?", &mut [], SECOND).unwrap();
    assert_eq!(link.exchange(&[], &mut inp, SECOND).unwrap().received, 4);
    let first = link.clock().now();
    assert_eq!(link.exchange(&[], &mut inp, SECOND).unwrap().received, 4);
    assert_eq!(link.clock().now() - first, Duration::from_millis(500));
}

#[test]
fn a_capture_holds_what_passed_with_direction_and_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("session.pcapng");
    record(&path);
    let packets: Vec<_> = Reader::new(fs::File::open(&path).unwrap(), "x")
        .filter_map(|block| match block.unwrap() {
            Block::Packet(packet) => Some((packet.time_us, packet.direction, packet.data)),
            Block::Interface(interface) => {
                assert_eq!(
                    (interface.link_type, interface.name.as_str()),
                    (147, "loopback:x")
                );
                None
            }
        })
        .collect();
    assert_eq!(packets[0], (0, Some(Direction::Outbound), b"one".to_vec()));
    assert_eq!(
        packets[1],
        (1_000_000, Some(Direction::Inbound), b"<3>".to_vec())
    );
    assert_eq!(packets.len(), 6);
}

#[test]
fn a_capture_never_overwrites() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x");
    fs::write(&path, b"precious").unwrap();
    let port = format!("capture+loopback:never-overwrites?file={}", path.display());
    assert!(matches!(
        open(&port),
        Err(TransportError::Io { op: "capture", .. })
    ));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[test]
fn what_cannot_be_replayed_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x");
    let error = |port: String| match open(&port) {
        Ok(link) => panic!("{port} opened: {link:?}"),
        Err(error) => error.to_string(),
    };
    let port = format!("replay:{}", path.display());
    assert!(error(port.clone()).contains("does not exist"));
    let folder = format!("replay:{}", directory.path().display());
    assert!(error(folder).contains("is no regular file"));
    fs::write(&path, b"no capture").unwrap();
    assert!(error(port.clone()).contains("no pcapng"));
    fs::remove_file(&path).unwrap();
    let mut writer = Writer::create(&path).unwrap();
    let link = writer.add_interface(LINK_BYTES, "x").unwrap();
    writer
        .packet_cut(link, 0, Some(Direction::Inbound), b"head", 900, None)
        .unwrap();
    assert!(error(port.clone()).contains("without its payloads"));
    assert!(error(format!("{port}?side=both")).contains("not host or device"));
}
