//! Requests that are asked and not yet answered, and events that are not yet told.

use alloc::collections::{BTreeMap, VecDeque};

use crate::device::event::Event;
use crate::device::request::Request;
use crate::machine::RequestId;

/// Why something was asked: what to do with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Status,
    Begin,
    /// Of the survey.
    Survey,
    /// A page, to prove the block with this number that is whole.
    Prove(u32),
    /// A page, before a block needs it.
    Ahead(u8, u16),
    /// The block with this number is on the medium.
    Written(u32),
    /// So many received blocks are durable.
    Synced(u32),
    /// Of the read-back and the install.
    Finish,
    Verify,
    Boot,
    /// The line's speed.
    Speed,
    /// Nothing depends on it but that it succeeds.
    Kept,
}

/// Requests and events on their way out.
#[derive(Debug, Default)]
pub(super) struct Desk {
    requests: VecDeque<(RequestId, Request)>,
    pending: BTreeMap<RequestId, Purpose>,
    next_id: u64,
    events: VecDeque<Event>,
}

impl Desk {
    pub(super) fn ask(&mut self, request: Request, purpose: Purpose) {
        let id = RequestId(self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        self.requests.push_back((id, request));
        self.pending.insert(id, purpose);
    }

    pub(super) fn next_request(&mut self) -> Option<(RequestId, Request)> {
        self.requests.pop_front()
    }

    /// Why this was asked; nothing when it was forgotten since.
    pub(super) fn answered(&mut self, id: RequestId) -> Option<Purpose> {
        self.pending.remove(&id)
    }

    /// Whether what the store holds is asked, and not known yet.
    pub(super) fn awaits_status(&self) -> bool {
        self.pending
            .values()
            .any(|purpose| *purpose == Purpose::Status)
    }

    /// The answers of a transfer are of no interest any more; what was not asked yet never is.
    pub(super) fn forget(&mut self) {
        self.pending.retain(|_, purpose| {
            matches!(purpose, Purpose::Status | Purpose::Boot | Purpose::Speed)
        });
        let pending = &self.pending;
        self.requests.retain(|(id, _)| pending.contains_key(id));
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }

    pub(super) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}
