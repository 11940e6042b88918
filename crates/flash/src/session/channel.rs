//! One side's half of a session.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::limits::ADDRESS_UNIT_BYTES;
use crate::session::mailbox::{Inbox, Outbox};
use crate::session::receipt::Receipt;
use crate::session::tracker::{Item, Piece, Slice, Tracker};
use crate::time::Instant;
use crate::wire::{Ack, Frame, Kind, Reader, Writer};

/// What [`Channel::handle_frame`] did with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// Everything that there is to do.
    Done,
    /// Nothing: it carries a slice. Whoever takes it calls [`Channel::accept`].
    Payload,
    /// Nothing: its payload is not what its kind promises.
    Malformed,
    /// Nothing: its kind has no place in a session, or is unknown.
    Foreign,
}

/// Numbers, acknowledges, paces and repeats the frames of one session.
#[derive(Debug)]
pub struct Channel {
    session: u32,
    tracker: Tracker,
    outbox: Outbox,
    inbox: Inbox,
    receipt: Receipt,
    /// What our acknowledgements say beside what arrived.
    grant: Ack,
    /// The newest acknowledgement of the peer.
    peer: Ack,
    unnumbered: u32,
    acked: VecDeque<Slice>,
    lost: VecDeque<Slice>,
    wire_bytes: u64,
}

impl Channel {
    /// A new session's half; `session` is the id in its frames.
    pub fn new(session: u32, now: Instant) -> Self {
        Self {
            session,
            tracker: Tracker::new(now),
            outbox: Outbox::default(),
            inbox: Inbox::default(),
            receipt: Receipt::default(),
            grant: Ack::default(),
            peer: Ack::default(),
            unnumbered: 0,
            acked: VecDeque::new(),
            lost: VecDeque::new(),
            wire_bytes: 0,
        }
    }

    /// Takes a round trip of so many bytes, both ways, that was measured while the session was
    /// made: until the first frame is acknowledged nothing else tells when silence means loss.
    pub fn took(&mut self, rtt: Duration, bytes: usize) {
        self.tracker.took(rtt, bytes);
    }

    /// The session's id.
    pub const fn session(&self) -> u32 {
        self.session
    }

    /// Sends a message: at most 1,024 bytes, reliable, in order.
    pub fn queue(&mut self, body: Vec<u8>) {
        self.outbox.push(body);
    }

    /// Messages that are not acknowledged yet.
    pub fn queued(&self) -> usize {
        self.outbox.len()
    }

    /// Takes a frame of this session.
    pub fn handle_frame(&mut self, frame: &Frame<'_>, now: Instant) -> Handled {
        match Kind::from_number(frame.kind) {
            Some(Kind::Message) => {
                let mut fields = Reader::new(frame.payload);
                let Ok(id) = fields.u32() else {
                    return Handled::Malformed;
                };
                if self.inbox.receive(id, fields.rest()) {
                    self.accept(frame.seq, now);
                }
                Handled::Done
            }
            Some(Kind::Ack) => {
                let Ok(ack) = Ack::parse(frame.payload) else {
                    return Handled::Malformed;
                };
                self.tracker.acknowledged(&ack, now);
                self.peer = ack;
                self.settle();
                Handled::Done
            }
            Some(Kind::Data | Kind::Packed | Kind::Meta) => Handled::Payload,
            Some(Kind::Hello | Kind::Welcome | Kind::Refuse | Kind::Busy | Kind::Baud) | None => {
                Handled::Foreign
            }
        }
    }

    /// The frame with this number arrived and is taken, now or before: acknowledge it.
    pub fn accept(&mut self, seq: u32, now: Instant) {
        self.receipt.arrived(seq, now);
    }

    /// An acknowledgement is due now.
    pub const fn urge(&mut self) {
        self.receipt.urge();
    }

    /// Says again what has arrived, if anything has.
    pub fn remind(&mut self) {
        if self.receipt.newest().is_some() {
            self.receipt.urge();
        }
    }

    /// The next message from the peer, in order, each once.
    pub fn next_message(&mut self) -> Option<Vec<u8>> {
        self.inbox.next()
    }

    /// The next slice that is known to have arrived.
    pub fn next_acked(&mut self) -> Option<Slice> {
        self.acked.pop_front()
    }

    /// The next slice that is lost and has to go out again.
    pub fn next_lost(&mut self) -> Option<Slice> {
        self.lost.pop_front()
    }

    /// What the peer's newest acknowledgement says.
    pub const fn peer_grant(&self) -> &Ack {
        &self.peer
    }

    /// What our acknowledgements say from now on. A change of the window is told at once.
    pub fn set_grant(&mut self, window: u32, received: u32, durable: u32) {
        if self.grant.window != window {
            self.remind();
        }
        self.grant.window = window;
        self.grant.received_blocks = received;
        self.grant.durable_blocks = durable;
    }

    /// Appends an acknowledgement or a message, if one is due; returns its length in bytes.
    pub fn poll_control(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<usize> {
        if self.receipt.is_due(now) {
            self.receipt.reported();
            self.grant.ranges = self.receipt.ranges().to_vec();
            let mut payload = Vec::new();
            self.grant.emit(&mut payload);
            return Some(self.send_unnumbered(Kind::Ack, &payload, out));
        }
        let (id, body) = self.outbox.take()?;
        let mut payload = Vec::with_capacity(body.len().saturating_add(4));
        Writer::new(&mut payload).u32(id).bytes(body);
        Some(self.emit(now, out, Item::Message(id), Kind::Message, &payload))
    }

    /// Appends a frame that is neither numbered with the others nor acknowledged.
    pub fn send_unnumbered(&mut self, kind: Kind, payload: &[u8], out: &mut Vec<u8>) -> usize {
        let seq = self.unnumbered;
        self.unnumbered = seq.wrapping_add(1);
        let len = Frame::new(kind, self.session, seq, payload).emit(out);
        self.wire_bytes = self
            .wire_bytes
            .saturating_add(u64::try_from(len).unwrap_or(0));
        len
    }

    /// There is nothing more to send for now: what is under way is the last for a while.
    pub const fn note_idle(&mut self) {
        self.tracker.note_idle();
    }

    /// Whether another slice may be under way now.
    pub fn may_send(&self) -> bool {
        self.tracker.may_send()
    }

    /// Bytes per second that the line delivers, as far as is known; zero while nothing is.
    pub const fn rate(&self) -> u64 {
        self.tracker.rate()
    }

    /// Data bytes that the next slice should carry, at most `max`: a multiple of 64 unless
    /// `max` is smaller.
    pub fn slice_bytes(&self, max: usize) -> usize {
        let unit = usize::try_from(ADDRESS_UNIT_BYTES).unwrap_or(1);
        let bytes = self.tracker.slice_bytes().min(max);
        let whole = bytes.saturating_sub(bytes.checked_rem(unit).unwrap_or(0));
        if whole == 0 { max.min(unit) } else { whole }
    }

    /// Appends a frame with a slice and keeps track of it; returns its length in bytes.
    pub fn send(&mut self, now: Instant, out: &mut Vec<u8>, kind: Kind, piece: &Piece) -> usize {
        let item = Item::Slice(piece.slice, piece.again);
        self.emit(now, out, item, kind, &piece.payload)
    }

    /// Repeats what was not answered in time.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.tracker.handle_timeout(now) {
            self.remind();
        }
        self.settle();
    }

    /// When an acknowledgement is due, or silence will mean loss.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let timers = [self.receipt.due_at(), self.tracker.probe_at()];
        timers.into_iter().flatten().min()
    }

    /// Bytes sent and neither acknowledged nor lost.
    pub const fn in_flight_bytes(&self) -> usize {
        self.tracker.in_flight_bytes()
    }

    /// Bytes of frames that went out and were lost.
    pub const fn retransmitted_bytes(&self) -> u64 {
        self.tracker.lost_bytes()
    }

    /// Bytes of all frames that went out.
    pub const fn wire_bytes(&self) -> u64 {
        self.wire_bytes
    }

    /// The newest number of the peer's that arrived whole; zero before the first.
    pub fn last_good_seq(&self) -> u32 {
        self.receipt.newest().unwrap_or(0)
    }

    fn emit(
        &mut self,
        now: Instant,
        out: &mut Vec<u8>,
        item: Item,
        kind: Kind,
        payload: &[u8],
    ) -> usize {
        let seq = self.tracker.next_seq();
        let len = Frame::new(kind, self.session, seq, payload).emit(out);
        self.tracker.sent(item, len, now);
        self.wire_bytes = self
            .wire_bytes
            .saturating_add(u64::try_from(len).unwrap_or(0));
        len
    }

    fn settle(&mut self) {
        while let Some((item, arrived)) = self.tracker.next_settled() {
            match (item, arrived) {
                (Item::Message(id), true) => self.outbox.arrived(id),
                (Item::Message(id), false) => self.outbox.lost(id),
                (Item::Slice(slice, _), true) => self.acked.push_back(slice),
                (Item::Slice(slice, _), false) => self.lost.push_back(slice),
            }
        }
    }
}
