use rstest::rstest;

use super::*;

fn capture() -> Vec<u8> {
    let mut writer = Writer::new(Vec::new()).unwrap();
    let link = writer.add_interface(LINK_BYTES, "unix:/x").unwrap();
    let machine = writer.add_interface(148, "machine").unwrap();
    writer
        .packet(link, 5, Some(Direction::Outbound), b"hello", None)
        .unwrap();
    writer
        .packet(machine, 1 << 40, None, b"", Some("why"))
        .unwrap();
    writer
        .packet_cut(link, 7, Some(Direction::Inbound), b"abcd", 900, Some("cut"))
        .unwrap();
    writer.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<Vec<Block>, crate::TransportError> {
    Reader::new(bytes, "test").collect()
}

#[test]
fn what_was_written_is_read() {
    let blocks = read(&capture()).unwrap();
    let interface = |id, link_type, name: &str| {
        Block::Interface(Interface {
            id,
            link_type,
            name: name.to_owned(),
        })
    };
    assert_eq!(blocks[0], interface(0, LINK_BYTES, "unix:/x"));
    assert_eq!(blocks[1], interface(1, 148, "machine"));
    assert_eq!(
        blocks[3],
        Block::Packet(Packet {
            interface: 1,
            link_type: 148,
            time_us: 1 << 40,
            direction: None,
            data: Vec::new(),
            original_bytes: 0,
            comment: Some("why".to_owned()),
        })
    );
    let Block::Packet(last) = &blocks[4] else {
        panic!("{blocks:?}")
    };
    assert_eq!(
        (last.direction, last.original_bytes),
        (Some(Direction::Inbound), 900)
    );
    assert_eq!(last.data, b"abcd");
}

/// Bytes laid out by hand from the specification: if this fails the code is wrong.
#[test]
fn bytes_are_those_of_the_specification() {
    let mut writer = Writer::new(Vec::new()).unwrap();
    writer.add_interface(147, "a").unwrap();
    writer
        .packet(0, 0x1_0000_0002, Some(Direction::Inbound), &[0xAA], None)
        .unwrap();
    let want = [
        "0a0d0d0a 28000000 4d3c2b1a 0100 0000 ffffffffffffffff",
        "0400 0200 6e780000 0000 0000 28000000",
        "01000000 28000000 9300 0000 00000000",
        "0200 0100 61000000 0900 0100 06000000 0000 0000 28000000",
        "06000000 30000000 00000000 01000000 02000000 01000000 01000000 aa000000",
        "0200 0400 01000000 0000 0000 30000000",
    ];
    let hex: String = writer
        .finish()
        .unwrap()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(hex, want.concat().replace(' ', ""));
}

#[test]
fn a_file_cut_anywhere_is_an_error_or_ends_at_a_block() {
    let whole = capture();
    let blocks = read(&whole).unwrap();
    let mut clean_ends = 0;
    for length in 0..whole.len() {
        match read(&whole[..length]) {
            Ok(some) => {
                assert_eq!(some, blocks[..some.len()]);
                clean_ends += 1;
            }
            Err(error) => assert!(error.to_string().contains("damaged"), "{error}"),
        }
    }
    // Nothing at all, the section header, two interfaces and two of three packets.
    assert_eq!(clean_ends, 6);
}

#[test]
fn no_flipped_byte_makes_it_panic_or_allocate_without_bound() {
    let whole = capture();
    for index in 0..whole.len() {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[index] ^= 1 << bit;
            let _ = read(&damaged);
        }
    }
}

#[test]
fn big_endian_and_coarse_times_are_read() {
    let mut bytes = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let length = u32::try_from(body.len() + 12).unwrap().to_be_bytes();
        bytes.extend(kind.to_be_bytes().into_iter().chain(length));
        bytes.extend(body.iter().copied().chain(length));
    };
    block(
        0x0A0D_0D0A,
        &[
            0x1A, 0x2B, 0x3C, 0x4D, 0, 1, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255,
        ],
    );
    // Milliseconds.
    block(1, &[0, 147, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 3, 0, 0, 0]);
    block(0xBAD, &[1, 2, 3, 4]);
    block(
        6,
        &[
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 1, b'x', 0, 0, 0,
        ],
    );
    let blocks = read(&bytes).unwrap();
    let Block::Packet(packet) = &blocks[1] else {
        panic!("{blocks:?}")
    };
    assert_eq!(
        (packet.time_us, packet.data.as_slice()),
        (5000, b"x".as_slice())
    );
}

#[rstest]
#[case(b"not a capture at all", "no pcapng")]
#[case(b"\x0a\x0d\x0d\x0a\x1c\0\0\0abcd", "byte order")]
#[case(b"\x0a\x0d\x0d\x0a\xff\xff\xff\xff\x4d\x3c\x2b\x1a", "length")]
fn what_is_no_capture_says_why(#[case] bytes: &[u8], #[case] reason: &str) {
    let error = read(bytes).unwrap_err().to_string();
    assert!(error.contains(reason), "{error}");
}

#[test]
fn limits_are_refused_not_broken() {
    let mut writer = Writer::new(Vec::new()).unwrap();
    assert!(writer.packet(0, 0, None, b"", None).is_err());
    writer.add_interface(147, "").unwrap();
    let long = "x".repeat(70_000);
    assert!(writer.packet(0, 0, None, b"", Some(&long)).is_err());
    let huge = vec![0; usize::try_from(BLOCK_BYTES_MAX).unwrap()];
    assert!(writer.packet(0, 0, None, &huge, None).is_err());
    // A refused packet leaves no trace.
    assert_eq!(read(&writer.finish().unwrap()).unwrap().len(), 1);
}

#[cfg(unix)]
#[test]
fn a_file_is_new_and_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.pcapng");
    drop(Writer::create(&path).unwrap());
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(
        Writer::create(&path).unwrap_err().kind(),
        std::io::ErrorKind::AlreadyExists
    );
}
