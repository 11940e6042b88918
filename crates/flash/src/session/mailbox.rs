//! Messages: each arrives exactly once and in the order in which it was sent.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use crate::limits::{MESSAGE_BYTES_MAX, MESSAGES_IN_FLIGHT_MAX};

/// Messages on their way out.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<(u32, Vec<u8>)>,
    under_way: BTreeMap<u32, Vec<u8>>,
    next_id: u32,
}

impl Outbox {
    pub(super) fn push(&mut self, body: Vec<u8>) {
        self.waiting.push_back((self.next_id, body));
        self.next_id = self.next_id.wrapping_add(1);
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len().saturating_add(self.under_way.len())
    }

    /// The next message to send now; it counts as under way from here on.
    pub(super) fn take(&mut self) -> Option<(u32, &[u8])> {
        let (first, _) = self.waiting.front()?;
        // A lost message goes again at once; a new one only into the peer's window.
        let oldest = self
            .under_way
            .keys()
            .next()
            .copied()
            .unwrap_or(*first)
            .min(*first);
        let window = u32::try_from(MESSAGES_IN_FLIGHT_MAX).unwrap_or(0);
        if first.wrapping_sub(oldest) >= window {
            return None;
        }
        let (id, body) = self.waiting.pop_front()?;
        let body = self.under_way.entry(id).or_insert(body);
        Some((id, body))
    }

    pub(super) fn arrived(&mut self, id: u32) {
        self.under_way.remove(&id);
    }

    pub(super) fn lost(&mut self, id: u32) {
        if let Some(body) = self.under_way.remove(&id) {
            let at = self.waiting.partition_point(|(waiting, _)| *waiting < id);
            self.waiting.insert(at, (id, body));
        }
    }
}

/// Messages on their way in.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    next_id: u32,
    early: BTreeMap<u32, Vec<u8>>,
}

impl Inbox {
    /// Takes a message; returns whether it is taken or was before, so that it can be
    /// acknowledged.
    pub(super) fn receive(&mut self, id: u32, body: &[u8]) -> bool {
        let window = u32::try_from(MESSAGES_IN_FLIGHT_MAX).unwrap_or(0);
        if id < self.next_id {
            return true;
        }
        if id.saturating_sub(self.next_id) >= window || body.len() > MESSAGE_BYTES_MAX {
            return false;
        }
        self.early.entry(id).or_insert_with(|| body.to_vec());
        true
    }

    /// The next message in order.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        let body = self.early.remove(&self.next_id)?;
        self.next_id = self.next_id.saturating_add(1);
        Some(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_in_order_and_once() {
        let mut inbox = Inbox::default();
        assert!(inbox.receive(1, b"second"));
        assert!(inbox.next().is_none());
        assert!(inbox.receive(0, b"first"));
        assert!(inbox.receive(1, b"second"));
        assert_eq!(inbox.next().as_deref(), Some(&b"first"[..]));
        assert_eq!(inbox.next().as_deref(), Some(&b"second"[..]));
        assert!(inbox.receive(0, b"first") && inbox.next().is_none());
    }

    #[test]
    fn a_message_far_ahead_is_not_taken() {
        assert!(!Inbox::default().receive(16, b"far"));
    }

    #[test]
    fn a_lost_message_goes_before_later_ones() {
        let mut outbox = Outbox::default();
        (0..40).for_each(|n| outbox.push(alloc::vec![n]));
        let mut ids = Vec::new();
        while let Some((id, _)) = outbox.take() {
            ids.push(id);
        }
        assert_eq!(ids, (0..16).collect::<Vec<_>>());
        outbox.lost(3);
        outbox.arrived(0);
        assert_eq!(outbox.take().map(|(id, _)| id), Some(3));
        assert_eq!(outbox.take().map(|(id, _)| id), Some(16));
        assert!(outbox.take().is_none());
    }
}
