//! Which attempt of a host a capture holds.

use std::path::Path;

use nx_transport::pcapng::{Direction, Packet, Reader};

use super::record::CaptureError;
use super::recorder::FRAMES_LINK_TYPE;
use crate::wire::{Deframer, Hello, Kind, Piece};

/// The nonce of the first `HELLO` in a capture of a link, by whichever side it was made; none if
/// no host called.
///
/// A device's recorded answers are for that nonce: a host that is to be given them, through
/// `replay:`, has to call with the same one.
///
/// # Errors
/// When the file cannot be read up to there, or is no capture.
pub fn first_nonce(path: &Path) -> Result<Option<u64>, CaptureError> {
    let unreadable = |source| CaptureError::Unreadable {
        path: path.to_owned(),
        source: Box::new(source),
    };
    let mut reader = Reader::open(path).map_err(unreadable)?;
    // A capture of bytes cuts frames where the link did; the two directions have nothing in common.
    let mut directions = [Deframer::new(), Deframer::new()];
    while let Some(packet) = reader.next_packet().map_err(unreadable)? {
        let [first, other] = &mut directions;
        let deframer = match packet.direction {
            Some(Direction::Outbound) => first,
            _ => other,
        };
        if packet.link_type == FRAMES_LINK_TYPE
            && let Some(nonce) = nonce_in(deframer, &packet)
        {
            return Ok(Some(nonce));
        }
    }
    Ok(None)
}

fn nonce_in(deframer: &mut Deframer, packet: &Packet) -> Option<u64> {
    let mut bytes = packet.data.as_slice();
    while !bytes.is_empty() {
        let taken = deframer.push(bytes);
        bytes = bytes.get(taken..).unwrap_or_default();
        while let Some(piece) = deframer.next_piece() {
            if let Piece::Frame(frame) = piece
                && Kind::from_number(frame.kind) == Some(Kind::Hello)
                && let Ok(hello) = Hello::parse(frame.payload)
            {
                return Some(hello.nonce);
            }
        }
        if taken == 0 {
            deframer.abandon_partial();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use nx_transport::pcapng::Writer;

    use super::*;
    use crate::wire::Frame;

    fn hello(nonce: u64) -> Vec<u8> {
        let (mut payload, mut frame) = (Vec::new(), Vec::new());
        let hello = Hello {
            version_min: 1,
            version_max: 1,
            nonce,
            codecs: 0,
            host: "nx".into(),
        };
        hello.emit(&mut payload);
        Frame::new(Kind::Hello, 0, 0, &payload).emit(&mut frame);
        frame
    }

    #[test]
    fn the_first_call_is_found_however_the_link_cut_it_and_whoever_recorded_it() {
        let folder = tempfile::tempdir().unwrap();
        for (name, direction) in [
            ("host", Direction::Outbound),
            ("device", Direction::Inbound),
        ] {
            let path = folder.path().join(name);
            let mut writer = Writer::create(&path).unwrap();
            let link = writer.add_interface(FRAMES_LINK_TYPE, "x").unwrap();
            let mut put = |direction, bytes: &[u8]| {
                writer
                    .packet(link, 0, Some(direction), bytes, None)
                    .unwrap();
            };
            let other = match direction {
                Direction::Outbound => Direction::Inbound,
                Direction::Inbound => Direction::Outbound,
            };
            put(other, b"a login prompt\n");
            let call = hello(0x1234_5678_9abc);
            put(direction, &call[..9]);
            put(other, b"more of it\n");
            put(direction, &call[9..]);
            put(direction, &hello(7));
            writer.finish().unwrap();
            assert_eq!(
                first_nonce(&path).unwrap(),
                Some(0x1234_5678_9abc),
                "{name}"
            );
        }
    }

    #[test]
    fn where_nobody_called_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        Writer::create(&path).unwrap().finish().unwrap();
        assert_eq!(first_nonce(&path).unwrap(), None);
    }
}
