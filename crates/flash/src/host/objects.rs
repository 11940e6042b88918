//! The objects that a device wants, on their way.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::session::{Channel, Piece, Slice};
use crate::wire::{Object, Writer};

/// Most bytes of an object in one frame. A few small frames tell a loss by their order, where one
/// large one would be missed only after a time; and little is known of the line yet.
const OBJECT_SLICE_BYTES: usize = 320;

/// An object on its way to the device.
#[derive(Debug)]
struct Sending {
    object: Object,
    bytes: Vec<u8>,
    sent: u32,
    acked: u32,
}

/// Objects on their way to the device, each until all of it has arrived.
#[derive(Debug, Default)]
pub(super) struct Objects {
    sending: Vec<Sending>,
    lost: VecDeque<Slice>,
}

impl Objects {
    pub(super) fn push(&mut self, object: Object, bytes: Vec<u8>) {
        self.sending.push(Sending {
            object,
            bytes,
            sent: 0,
            acked: 0,
        });
    }

    /// Whether it is on its way.
    pub(super) fn has(&self, object: Object) -> bool {
        self.sending.iter().any(|sending| sending.object == object)
    }

    /// A slice has arrived.
    pub(super) fn acked(&mut self, object: Object, len: u32) {
        for sending in self.sending.iter_mut().filter(|s| s.object == object) {
            sending.acked = sending.acked.saturating_add(len);
        }
        let whole = |s: &Sending| u32::try_from(s.bytes.len()) == Ok(s.acked);
        self.sending.retain(|sending| !whole(sending));
    }

    /// A slice is lost: it goes out again before anything new.
    pub(super) fn lost(&mut self, slice: Slice) {
        self.lost.push_back(slice);
    }

    /// The next slice to send, and its payload; lost ones first.
    pub(super) fn next_piece(&mut self, channel: &Channel, max: usize) -> Option<Piece> {
        while let Some(Slice::Object {
            object,
            offset,
            len,
        }) = self.lost.pop_front()
        {
            let Some(sending) = self.sending.iter().find(|s| s.object == object) else {
                continue;
            };
            // Cut to the size of now: what was too large for the line would be lost for ever.
            let now = u32::try_from(channel.slice_bytes(max)).map_or(len, |now| now.min(len));
            let rest = len.saturating_sub(now);
            if rest > 0 {
                self.lost.push_front(Slice::Object {
                    object,
                    offset: offset.saturating_add(now),
                    len: rest,
                });
            }
            let payload = payload(sending, offset, now)?;
            let slice = Slice::Object {
                object,
                offset,
                len: now,
            };
            return Some(Piece {
                slice,
                again: true,
                payload,
            });
        }
        let whole = |s: &&mut Sending| u32::try_from(s.bytes.len()) == Ok(s.sent);
        let sending = self.sending.iter_mut().find(|sending| !whole(sending))?;
        let sent = usize::try_from(sending.sent).ok()?;
        let left = sending.bytes.len().saturating_sub(sent);
        let bytes = channel.slice_bytes(max.min(OBJECT_SLICE_BYTES));
        let len = u32::try_from(bytes.min(left)).ok()?;
        let slice = Slice::Object {
            object: sending.object,
            offset: sending.sent,
            len,
        };
        let payload = payload(sending, sending.sent, len)?;
        sending.sent = sending.sent.saturating_add(len);
        Some(Piece {
            slice,
            again: false,
            payload,
        })
    }
}

/// Payload of a `META` frame: the object, the offset, then the bytes.
fn payload(sending: &Sending, offset: u32, len: u32) -> Option<Vec<u8>> {
    let from = usize::try_from(offset).ok()?;
    let to = from.checked_add(usize::try_from(len).ok()?)?;
    let data = sending.bytes.get(from..to)?;
    let mut out = Vec::with_capacity(data.len().saturating_add(8));
    Writer::new(&mut out)
        .u32(sending.object.number())
        .u32(offset)
        .bytes(data);
    Some(out)
}
