//! Which ports a device has come to, while `nx` waits for devices.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::wanted::{Found, Node};

/// Pause before a port is called again where no device answered.
const CALL_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Remembers which ports were taken, so that no device is written twice.
///
/// A port is taken when it is there. It is taken again when it was gone and is back, or is another
/// file by the same name. Not so if the USB device that makes it, known by its serial number, has
/// been written already: it has only started again. Where no device answered, the port is called
/// again and again.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    known: BTreeMap<String, Known>,
    written: BTreeSet<String>,
}

#[derive(Debug)]
struct Known {
    node: Node,
    usb: Option<String>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Taken,
    Ended,
    CalledInVain { again_at: Duration },
}

/// How it ended for a port that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The device has the image.
    Written,
    /// The device has not.
    Failed,
    /// No device answered.
    NobodyThere,
}

/// What is to be done about a port.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// A device may have come: this port is taken.
    New(Found),
    /// This port is back, and its device has been written already.
    Known(Found),
}

impl Arrivals {
    /// Looks at what is there; takes at most `room` ports.
    pub(crate) fn look(
        &mut self,
        found: Vec<Found>,
        now: Duration,
        room: usize,
        usb: impl Fn(&Found) -> Option<String>,
    ) -> Vec<Arrival> {
        let there: BTreeSet<&str> = found.iter().map(|found| found.place.as_str()).collect();
        self.known.retain(|place, known| {
            matches!(known.state, State::Taken) || there.contains(place.as_str())
        });
        let mut arrivals = Vec::new();
        let mut taken = 0_usize;
        for found in found {
            if taken >= room || self.is_settled(&found, now) {
                continue;
            }
            let usb = usb(&found);
            let written = usb.as_ref().is_some_and(|usb| self.written.contains(usb));
            let state = if written { State::Ended } else { State::Taken };
            let node = found.node.clone();
            self.known
                .insert(found.place.clone(), Known { node, usb, state });
            if written {
                arrivals.push(Arrival::Known(found));
            } else {
                taken = taken.saturating_add(1);
                arrivals.push(Arrival::New(found));
            }
        }
        arrivals
    }

    /// A port that was taken is free again; `node` is there now.
    pub(crate) fn ended(&mut self, place: &str, node: Option<Node>, end: End, now: Duration) {
        let Some(mut known) = self.known.remove(place) else {
            return;
        };
        if end == End::Written
            && let Some(usb) = known.usb.take()
        {
            self.written.insert(usb);
        }
        // What is gone now is new when it is back.
        let Some(node) = node else { return };
        let state = match end {
            End::Written | End::Failed => State::Ended,
            End::NobodyThere => State::CalledInVain {
                again_at: now.saturating_add(CALL_AGAIN_AFTER),
            },
        };
        let usb = known.usb;
        self.known
            .insert(place.to_owned(), Known { node, usb, state });
    }

    /// Whether there is nothing to do about this port now.
    fn is_settled(&self, found: &Found, now: Duration) -> bool {
        self.known
            .get(&found.place)
            .is_some_and(|known| match known.state {
                State::Taken => true,
                State::Ended => known.node == found.node,
                State::CalledInVain { again_at } => known.node == found.node && now < again_at,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(port: &str, number: u64) -> Found {
        Found {
            port: port.to_owned(),
            place: format!("unix:{port}"),
            node: Node::File(1, number, None),
        }
    }

    fn look(arrivals: &mut Arrivals, there: &[Found], seconds: u64) -> Vec<Arrival> {
        let usb = |found: &Found| found.port.strip_prefix("usb-").map(str::to_owned);
        arrivals.look(there.to_vec(), Duration::from_secs(seconds), 64, usb)
    }

    fn end(arrivals: &mut Arrivals, now_there: &Found, end: End) {
        let node = Some(now_there.node.clone());
        arrivals.ended(&now_there.place, node, end, Duration::ZERO);
    }

    #[test]
    fn a_port_that_stays_is_taken_once() {
        let mut arrivals = Arrivals::default();
        let a = found("a", 1);
        assert_eq!(
            look(&mut arrivals, &[a.clone(), a.clone()], 0),
            [Arrival::New(a.clone())]
        );
        // Also when its file is another one for a while: its lane knows what to make of that.
        assert_eq!(look(&mut arrivals, &[], 1), []);
        assert_eq!(look(&mut arrivals, &[found("a", 2)], 1), []);
        for how in [End::Written, End::Failed] {
            end(&mut arrivals, &found("a", 2), how);
            assert_eq!(look(&mut arrivals, &[found("a", 2)], 9), []);
            assert_eq!(look(&mut arrivals, &[], 10), []);
            let back = look(&mut arrivals, &[found("a", 2)], 10);
            assert_eq!(back, [Arrival::New(found("a", 2))]);
        }
    }

    #[test]
    fn another_file_of_the_name_is_another_device() {
        let mut arrivals = Arrivals::default();
        look(&mut arrivals, &[found("a", 1)], 0);
        end(&mut arrivals, &found("a", 1), End::Written);
        let other = found("a", 2);
        assert_eq!(
            look(&mut arrivals, std::slice::from_ref(&other), 0),
            [Arrival::New(other)]
        );
    }

    #[test]
    fn a_usb_device_that_has_been_written_is_not_written_again_wherever_it_is() {
        let mut arrivals = Arrivals::default();
        look(&mut arrivals, &[found("usb-x", 1)], 0);
        // It starts again, and is gone when its lane ends.
        arrivals.ended("unix:usb-x", None, End::Written, Duration::ZERO);
        let back = found("usb-x", 7);
        let there = [back.clone()];
        assert_eq!(look(&mut arrivals, &there, 1), [Arrival::Known(back)]);
        assert_eq!(look(&mut arrivals, &there, 2), []);
    }

    #[test]
    fn a_usb_device_that_failed_is_tried_again_when_it_is_back() {
        let mut arrivals = Arrivals::default();
        look(&mut arrivals, &[found("usb-x", 1)], 0);
        end(&mut arrivals, &found("usb-x", 1), End::Failed);
        look(&mut arrivals, &[], 1);
        let back = found("usb-x", 1);
        assert_eq!(
            look(&mut arrivals, std::slice::from_ref(&back), 2),
            [Arrival::New(back)]
        );
    }

    #[test]
    fn where_nobody_answered_is_called_again_after_a_second() {
        let mut arrivals = Arrivals::default();
        let a = found("a", 1);
        look(&mut arrivals, std::slice::from_ref(&a), 0);
        end(&mut arrivals, &a, End::NobodyThere);
        assert_eq!(look(&mut arrivals, std::slice::from_ref(&a), 0), []);
        assert_eq!(
            look(&mut arrivals, std::slice::from_ref(&a), 1),
            [Arrival::New(a)]
        );
    }

    #[test]
    fn what_there_is_no_room_for_is_taken_later() {
        let mut arrivals = Arrivals::default();
        let (a, b) = (found("a", 1), found("b", 1));
        let mut look = |room| {
            let there = vec![a.clone(), b.clone()];
            arrivals.look(there, Duration::ZERO, room, |_| None)
        };
        assert_eq!(look(1), [Arrival::New(a.clone())]);
        assert_eq!(look(0), []);
        assert_eq!(look(1), [Arrival::New(b.clone())]);
    }
}
