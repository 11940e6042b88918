use nx_flash::limits::{FRAME_OVERHEAD_BYTES, HEADER_BYTES, TRAILER_BYTES};
use nx_flash::wire::{Frame, Kind};

use crate::Target;

pub(crate) const TARGET: Target = Target {
    name: "frame",
    bytes_max: 1_024,
    run,
    seeds,
};

/// The header's check, as the protocol states it, apart from the code under test.
const HEADER_CHECK: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_IBM_3740);

fn run(bytes: &[u8]) -> bool {
    let raw = parse(bytes);
    let checked = with_checks(bytes).is_some_and(|bytes| parse(&bytes));
    raw || checked
}

fn parse(bytes: &[u8]) -> bool {
    match Frame::parse(bytes) {
        Ok((frame, len)) => {
            assert!(len <= bytes.len());
            assert_eq!(len, frame.payload.len() + FRAME_OVERHEAD_BYTES);
            let mut again = Vec::new();
            assert_eq!(frame.emit(&mut again), len);
            assert_eq!(again, bytes[..len], "a frame has one form");
            true
        }
        Err(error) => {
            // A prefix of nothing waits for no more than the longest frame.
            if let nx_flash::wire::FrameError::Incomplete { needed } = error {
                assert!(needed > bytes.len());
                assert!(needed <= nx_flash::limits::FRAME_BYTES_MAX);
            }
            false
        }
    }
}

/// The same with checks that match, which no engine would hit upon.
pub(crate) fn with_checks(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    let check_at = HEADER_BYTES - 2;
    let header = bytes.get(..check_at)?;
    let len = usize::from(u16::from_le_bytes([header[12], header[13]]));
    let check = HEADER_CHECK.checksum(header);
    bytes
        .get_mut(check_at..HEADER_BYTES)?
        .copy_from_slice(&check.to_le_bytes());
    let end = len + HEADER_BYTES;
    if let Some(crc) = bytes.get(..end).map(crc32fast::hash)
        && let Some(trailer) = bytes.get_mut(end..end + TRAILER_BYTES)
    {
        trailer.copy_from_slice(&crc.to_le_bytes());
    }
    Some(bytes)
}

fn seeds() -> Vec<Vec<u8>> {
    let of = |kind, session, seq, payload: &[u8]| {
        let mut out = Vec::new();
        Frame::new(kind, session, seq, payload).emit(&mut out);
        out
    };
    vec![
        of(Kind::Hello, 0, 0, &[]),
        of(Kind::Data, 7, 1, &[1, 2, 3, 4, 5]),
        of(Kind::Message, u32::MAX, u32::MAX, &[0; 100]),
    ]
}
