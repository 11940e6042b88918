//! The job inside a session: from the first message to the answer.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use nx_image::digest::Digest;
use nx_image::manifest::Manifest;

use crate::blocks::BlockMap;
use crate::host::event::{Event, Failure, Job, Outcome, Request};
use crate::host::plan::Plan;
use crate::limits::{ADDRESS_UNIT_BYTES, SLICE_BYTES_MAX};
use crate::session::{Channel, Slice};
use crate::time::Instant;
use crate::wire::{FromDevice, FromHost, Kind, Object, Writer};

/// An object on its way to the device.
#[derive(Debug)]
struct Sending {
    object: Object,
    bytes: Vec<u8>,
    sent: u32,
    acked: u32,
}

/// One job in one session.
#[derive(Debug)]
pub(super) struct Running {
    /// Of a transfer.
    pub(super) plan: Option<Plan>,
    objects: Vec<Sending>,
    lost_objects: VecDeque<Slice>,
    segments: Vec<String>,
    manifest: Option<Digest>,
    slice_max: usize,
    window: u32,
    done_sent: bool,
    requests: VecDeque<Request>,
}

impl Running {
    /// Sends the job's first message.
    pub(super) fn begin(job: &Job, channel: &mut Channel, slice_max: u32, window: u32) -> Self {
        let mut running = Self {
            plan: None,
            objects: Vec::new(),
            lost_objects: VecDeque::new(),
            segments: Vec::new(),
            manifest: None,
            slice_max: usize::try_from(slice_max)
                .unwrap_or(SLICE_BYTES_MAX)
                .min(SLICE_BYTES_MAX),
            window,
            done_sent: false,
            requests: VecDeque::new(),
        };
        match job {
            Job::Send {
                manifest,
                signature,
                flags,
                chunk_bytes,
            } => {
                let chunk = usize::try_from(*chunk_bytes).unwrap_or(SLICE_BYTES_MAX);
                let unit = usize::try_from(ADDRESS_UNIT_BYTES).unwrap_or(1);
                running.slice_max = running.slice_max.min(chunk).max(unit);
                running.manifest = Some(Manifest::digest_of(manifest));
                if let Ok(parsed) = Manifest::parse(manifest) {
                    running.plan = Some(Plan::new(BlockMap::of(&parsed)));
                    running.segments = parsed.segments.into_iter().map(|s| s.name).collect();
                }
                let offer = [signature.as_slice(), manifest].concat();
                let bytes = u32::try_from(offer.len()).unwrap_or(u32::MAX);
                queue(
                    channel,
                    &FromHost::Offer {
                        bytes,
                        flags: *flags,
                    },
                );
                running.objects.push(Sending {
                    object: Object::Offer,
                    bytes: offer,
                    sent: 0,
                    acked: 0,
                });
            }
            Job::Verify => queue(channel, &FromHost::Verify),
            Job::Info => queue(channel, &FromHost::Info),
            Job::Reboot(target) => queue(channel, &FromHost::Reboot { target: *target }),
        }
        running
    }

    /// Takes a message of the device; gives the event that it makes, and whether the job is
    /// over with it.
    pub(super) fn message(
        &mut self,
        message: FromDevice,
        channel: &mut Channel,
    ) -> Result<(Option<Event>, bool), Failure> {
        let event = match message {
            FromDevice::Info(info) => return Ok((Some(Event::Info(info)), true)),
            FromDevice::Rebooting { target } => {
                return Ok((Some(Event::Rebooting(target)), true));
            }
            FromDevice::Verified {
                manifest,
                installed,
                segments,
                gaps_zero,
            } => {
                let event = Event::Verified {
                    manifest,
                    installed,
                    segments,
                    gaps_zero,
                };
                return Ok((Some(event), true));
            }
            FromDevice::Installed {
                manifest,
                installed,
                state_kept,
            } => {
                if Some(manifest) != self.manifest {
                    let what = "the device installed another manifest than the one sent";
                    return Err(Failure::Protocol(what.to_string()));
                }
                return Ok((
                    Some(Event::Installed {
                        manifest,
                        installed,
                        state_kept,
                    }),
                    true,
                ));
            }
            FromDevice::Rejected { code, detail } => {
                return Err(Failure::Rejected { code, detail });
            }
            FromDevice::Accepted => {
                for segment in core::mem::take(&mut self.segments) {
                    queue(channel, &FromHost::Write { segment });
                }
                Event::Accepted
            }
            FromDevice::Want(object) => {
                self.want(object)?;
                return Ok((None, false));
            }
            FromDevice::Need(need) => {
                self.done_sent = false;
                let understood = self.plan.as_mut().is_some_and(|plan| plan.need(&need));
                if !understood {
                    let what = "the device needs blocks that the image does not have";
                    return Err(Failure::Protocol(what.to_string()));
                }
                if !need.last {
                    return Ok((None, false));
                }
                Event::Planned {
                    segment: need.segment,
                    kept: need.kept,
                }
            }
        };
        Ok((Some(event), false))
    }

    fn want(&mut self, object: Object) -> Result<(), Failure> {
        let segments = self
            .plan
            .as_ref()
            .map_or(0, |plan| plan.map().segment_count());
        let pages = |segment| {
            self.plan
                .as_ref()
                .map_or(0, |plan| plan.map().page_count(segment))
        };
        let request = match object {
            Object::Directory { segment } if segment < segments => Request::Directory { segment },
            Object::Page { segment, page } if page < pages(segment) => {
                Request::Page { segment, page }
            }
            _ => {
                let what = "the device wants block digests that the image does not have";
                return Err(Failure::Protocol(what.to_string()));
            }
        };
        self.requests.push_back(request);
        Ok(())
    }

    /// The next thing needed of the image's file.
    pub(super) fn request(&mut self, channel: &Channel) -> Option<Request> {
        // What is wanted again waits until its earlier slices are settled.
        let settled = |request: &Request| {
            let object = object_of(request);
            self.objects.iter().all(|s| Some(s.object) != object)
        };
        if let Some(at) = self.requests.iter().position(settled) {
            return self.requests.remove(at);
        }
        // Before the first acknowledgement the window is the welcome's.
        let granted = channel.peer_grant();
        let window = if granted.ranges.is_empty() {
            self.window
        } else {
            granted.window
        };
        let block = self.plan.as_mut()?.begin(window)?;
        Some(Request::Block {
            number: block.number,
            offset: block.offset,
            bytes: block.bytes,
        })
    }

    /// Takes the answer to a request.
    pub(super) fn done(&mut self, request: &Request, outcome: Outcome) -> Result<(), Failure> {
        let bytes = match outcome {
            Outcome::Bytes(bytes) => bytes,
            Outcome::Failed(why) => return Err(Failure::Source(why)),
        };
        if let Request::Block {
            number,
            bytes: expected,
            ..
        } = *request
        {
            if u32::try_from(bytes.len()) != Ok(expected) {
                let why = "the image's file is shorter than its manifest says";
                return Err(Failure::Source(why.to_string()));
            }
            if let Some(plan) = &mut self.plan {
                plan.loaded(number, bytes);
            }
        } else if let Some(object) = object_of(request) {
            self.objects.push(Sending {
                object,
                bytes,
                sent: 0,
                acked: 0,
            });
        }
        Ok(())
    }

    /// Takes note of what arrived and what is lost.
    pub(super) fn settle(&mut self, channel: &mut Channel) {
        while let Some(slice) = channel.next_acked() {
            match slice {
                Slice::Block { number, len, .. } => {
                    if let Some(plan) = &mut self.plan {
                        plan.acked(number, len);
                    }
                }
                Slice::Object { object, len, .. } => {
                    for sending in self.objects.iter_mut().filter(|s| s.object == object) {
                        sending.acked = sending.acked.saturating_add(len);
                    }
                    let whole = |s: &Sending| u32::try_from(s.bytes.len()) == Ok(s.acked);
                    self.objects.retain(|sending| !whole(sending));
                }
            }
        }
        while let Some(slice) = channel.next_lost() {
            match (slice, &mut self.plan) {
                (Slice::Block { .. }, Some(plan)) => plan.lost(slice),
                (Slice::Block { .. }, None) => {}
                (Slice::Object { .. }, _) => self.lost_objects.push_back(slice),
            }
        }
        if !self.done_sent && self.plan.as_ref().is_some_and(Plan::is_complete) {
            self.done_sent = true;
            if let Some(manifest) = self.manifest {
                queue(channel, &FromHost::Done { manifest });
            }
        }
    }

    /// Appends the next slice, if there is one.
    pub(super) fn transmit(
        &mut self,
        channel: &mut Channel,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        if let Some((slice, payload)) = self.next_object_slice(channel) {
            return Some(channel.send(now, out, slice, Kind::Meta, &payload));
        }
        let max = self.slice_max;
        let (slice, payload) = self.plan.as_mut()?.next_slice(channel, max)?;
        Some(channel.send(now, out, slice, Kind::Data, &payload))
    }

    fn next_object_slice(&mut self, channel: &Channel) -> Option<(Slice, Vec<u8>)> {
        while let Some(Slice::Object {
            object,
            offset,
            len,
        }) = self.lost_objects.pop_front()
        {
            let Some(sending) = self.objects.iter().find(|s| s.object == object) else {
                continue;
            };
            let payload = object_payload(sending, offset, len)?;
            return Some((
                Slice::Object {
                    object,
                    offset,
                    len,
                },
                payload,
            ));
        }
        let whole = |s: &&mut Sending| u32::try_from(s.bytes.len()) == Ok(s.sent);
        let max = self.slice_max;
        let sending = self.objects.iter_mut().find(|sending| !whole(sending))?;
        let sent = usize::try_from(sending.sent).ok()?;
        let left = sending.bytes.len().saturating_sub(sent);
        let len = u32::try_from(channel.slice_bytes(max).min(left)).ok()?;
        let slice = Slice::Object {
            object: sending.object,
            offset: sending.sent,
            len,
        };
        let payload = object_payload(sending, sending.sent, len)?;
        sending.sent = sending.sent.saturating_add(len);
        Some((slice, payload))
    }
}

/// The object that answers a request.
const fn object_of(request: &Request) -> Option<Object> {
    match *request {
        Request::Block { .. } => None,
        Request::Directory { segment } => Some(Object::Directory { segment }),
        Request::Page { segment, page } => Some(Object::Page { segment, page }),
    }
}

/// Payload of a `META` frame: the object, the offset, then the bytes.
fn object_payload(sending: &Sending, offset: u32, len: u32) -> Option<Vec<u8>> {
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

pub(super) fn queue(channel: &mut Channel, message: &FromHost) {
    let mut body = Vec::new();
    message.emit(&mut body);
    channel.queue(body);
}
