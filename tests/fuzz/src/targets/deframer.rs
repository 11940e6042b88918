use nx_flash::limits::RX_BYTES_MAX;
use nx_flash::wire::{Deframer, Frame, Kind, Piece};

use crate::Target;
use crate::targets::frame::with_checks;

pub(crate) const TARGET: Target = Target {
    name: "deframer",
    bytes_max: 4_096,
    run,
    seeds,
};

/// The first byte says how the rest is cut, and whether checks that do not match are mended.
fn run(bytes: &[u8]) -> bool {
    let Some((&how, stream)) = bytes.split_first() else {
        return false;
    };
    let stream = if how & 0x80 == 0 {
        stream.to_vec()
    } else {
        mended(stream)
    };
    let whole = frames(&stream, stream.len().max(1));
    let cut = frames(&stream, usize::from(how & 0x7f) + 1);
    assert_eq!(
        whole, cut,
        "how a stream arrives does not change what is in it"
    );
    !whole.is_empty()
}

/// Frames, as bytes, that are found in a stream that comes in pieces of this length.
fn frames(stream: &[u8], piece_bytes: usize) -> Vec<Vec<u8>> {
    let mut deframer = Deframer::new();
    let mut frames = Vec::new();
    let mut counted = 0;
    for piece in stream.chunks(piece_bytes) {
        let mut rest = piece;
        loop {
            let taken = deframer.push(rest);
            rest = &rest[taken..];
            take(&mut deframer, &mut frames, &mut counted);
            assert!(deframer.pending().len() <= RX_BYTES_MAX);
            if rest.is_empty() {
                break;
            }
        }
    }
    // What waits for its end is given up, as after a silence on the line.
    while deframer.is_waiting() {
        deframer.abandon_partial();
        let before = deframer.pending().len();
        take(&mut deframer, &mut frames, &mut counted);
        assert!(deframer.pending().len() < before, "giving up gets on");
    }
    assert_eq!(counted, stream.len(), "no byte is lost or found twice");
    frames
}

fn take(deframer: &mut Deframer, frames: &mut Vec<Vec<u8>>, counted: &mut usize) {
    while let Some(piece) = deframer.next_piece() {
        match piece {
            Piece::Frame(frame) => {
                let mut bytes = Vec::new();
                *counted += frame.emit(&mut bytes);
                frames.push(bytes);
            }
            Piece::OtherVersion { .. } => *counted += 1,
            Piece::Noise { bytes, .. } => {
                assert!(!bytes.is_empty());
                *counted += bytes.len();
            }
        }
    }
}

/// Every header in it gets checks that match.
fn mended(stream: &[u8]) -> Vec<u8> {
    let mut stream = stream.to_vec();
    let mut at = 0;
    while let Some(rest) = stream.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(&nx_flash::wire::MAGIC)
            && let Some(bytes) = with_checks(rest)
        {
            stream[at..].copy_from_slice(&bytes);
            at += Frame::parse(&bytes).map_or(1, |(_, len)| len);
        } else {
            at += 1;
        }
    }
    stream
}

fn seeds() -> Vec<Vec<u8>> {
    let mut stream = vec![0x85];
    stream.extend(b"login: ");
    Frame::new(Kind::Hello, 0, 0, &[9; 20]).emit(&mut stream);
    stream.extend([0x9e, b'N', 0x9e]);
    Frame::new(Kind::Data, 3, 1, &[0x9e; 40]).emit(&mut stream);
    Frame::new(Kind::Data, 3, 2, &[]).emit(&mut stream);
    let mut cut = stream.clone();
    cut.truncate(stream.len() - 5);
    // A frame inside the payload of one that is damaged.
    let mut inner = Vec::new();
    Frame::new(Kind::Ack, 3, 3, &[1, 2]).emit(&mut inner);
    let mut nested = vec![0x03];
    Frame::new(Kind::Data, 3, 4, &inner).emit(&mut nested);
    let last = nested.len() - 1;
    nested[last] ^= 1;
    vec![stream, cut, nested]
}
