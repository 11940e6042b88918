//! The job inside a session: from the first message to the answer.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::ToString as _;
use alloc::vec::Vec;

use nx_image::digest::Digest;
use nx_image::manifest::Manifest;

use crate::blocks::BlockMap;
use crate::host::event::{Event, Failure, Job, Outcome, Request};
use crate::host::objects::Objects;
use crate::host::packing::Packing;
use crate::host::plan::{Plan, asked_max};
use crate::host::working::Working;
use crate::limits::{ADDRESS_UNIT_BYTES, PACK_RATE_MAX, PACKED_AHEAD_BLOCKS, SLICE_BYTES_MAX};
use crate::session::{Channel, Slice};
use crate::time::Instant;
use crate::wire::{DeviceInfo, FromDevice, FromHost, Kind, LAYOUT_AB, Object};

/// One job in one session.
#[derive(Debug)]
pub(super) struct Running {
    /// Of a transfer.
    pub(super) plan: Option<Plan>,
    objects: Objects,
    manifest: Option<Digest>,
    slice_max: usize,
    window: u32,
    packing: Packing,
    accepted: bool,
    done_sent: bool,
    requests: VecDeque<Request>,
    wanted: u32,
    pub(super) working: Working,
    moved_on: bool,
    /// What the device said of itself, while it is asked more.
    info: Option<Box<DeviceInfo>>,
}

impl Running {
    /// Sends the job's first message.
    pub(super) fn begin(
        job: &Job,
        channel: &mut Channel,
        slice_max: u32,
        window: u32,
        codecs: u32,
    ) -> Self {
        let mut running = Self {
            plan: None,
            objects: Objects::default(),
            manifest: None,
            slice_max: usize::try_from(slice_max)
                .unwrap_or(SLICE_BYTES_MAX)
                .min(SLICE_BYTES_MAX),
            window,
            packing: Packing::new(codecs, PACK_RATE_MAX),
            accepted: false,
            done_sent: false,
            requests: VecDeque::new(),
            wanted: 0,
            working: Working::default(),
            moved_on: false,
            info: None,
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
                let offer = [signature.as_slice(), manifest].concat();
                let bytes = u32::try_from(offer.len()).unwrap_or(u32::MAX);
                queue(
                    channel,
                    &FromHost::Offer {
                        bytes,
                        flags: *flags,
                    },
                );
                running.objects.push(Object::Offer, offer);
                if let Ok(parsed) = Manifest::parse(manifest) {
                    running.plan = Some(Plan::new(BlockMap::of(&parsed)));
                    // To ask before the offer is accepted saves a round trip.
                    for segment in parsed.segments {
                        let segment = segment.name;
                        queue(channel, &FromHost::Write { segment });
                    }
                }
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
            FromDevice::Info(info) if info.layout == LAYOUT_AB => {
                queue(channel, &FromHost::Slots);
                self.info = Some(Box::new(info));
                return Ok((None, false));
            }
            FromDevice::Info(info) => return Ok((Some(Event::Info(info, None)), true)),
            FromDevice::Slots(slots) => {
                let unasked = "the device tells of slots that nobody asked for";
                let info = self.info.take();
                let info = info.ok_or_else(|| Failure::Protocol(unasked.to_string()))?;
                return Ok((Some(Event::Info(*info, slots.map(Box::new))), true));
            }
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
                if let Some(plan) = &mut self.plan {
                    plan.installed();
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
                if core::mem::replace(&mut self.accepted, true) || self.manifest.is_none() {
                    let what = "the device accepts what was not offered";
                    return Err(Failure::Protocol(what.to_string()));
                }
                self.moved_on = true;
                Event::Accepted
            }
            FromDevice::Want(object) => {
                self.want(object)?;
                return Ok((None, false));
            }
            FromDevice::Need(need) => {
                let no_image = Err("the device needs blocks of no image");
                let news = self.plan.as_mut().map_or(no_image, |plan| plan.need(&need));
                let news = news.map_err(|what| Failure::Protocol(what.to_string()))?;
                self.moved_on |= news.any;
                self.done_sent &= !news.to_send;
                if !news.planned {
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
        let map = self.plan.as_ref().map(Plan::map);
        let segments = map.map_or(0, BlockMap::segment_count);
        let pages = |segment| map.map_or(0, |map| map.page_count(segment));
        let objects = |segment| {
            let pages = u32::from(pages(segment));
            pages.saturating_mul(2).saturating_add(1)
        };
        let objects: u32 = (0..segments).map(objects).sum();
        let request = match object {
            Object::Directory { segment } if segment < segments => Request::Directory { segment },
            Object::Page { segment, page } if page < pages(segment) => {
                Request::Page { segment, page }
            }
            Object::Sums { segment, page } if page < pages(segment) => {
                Request::Sums { segment, page }
            }
            _ => {
                let what = "the device wants block digests that the image does not have";
                return Err(Failure::Protocol(what.to_string()));
            }
        };
        if self.requests.contains(&request) {
            return Ok(());
        }
        self.wanted = self.wanted.saturating_add(1);
        if self.wanted > asked_max(objects) {
            let what = "the device wants the same block digests again and again";
            return Err(Failure::Protocol(what.to_string()));
        }
        self.requests.push_back(request);
        Ok(())
    }

    /// Whether the job got on since this was asked.
    pub(super) fn take_moved_on(&mut self) -> bool {
        core::mem::take(&mut self.moved_on)
    }

    /// The next thing needed of the image's file.
    pub(super) fn request(&mut self, channel: &Channel) -> Option<Request> {
        // What is wanted again waits until its earlier slices are settled.
        let objects = &self.objects;
        let settled =
            |request: &Request| object_of(request).is_none_or(|object| !objects.has(object));
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
        // What is not packed is quickly read, and gets the window that there is.
        let rate = channel.rate();
        let ahead = if self.packing.pays(rate) {
            PACKED_AHEAD_BLOCKS
        } else {
            usize::MAX
        };
        let plan = self.plan.as_mut()?;
        let block = plan.begin(window, ahead)?;
        Some(Request::Block {
            number: block.number,
            offset: block.offset,
            bytes: block.bytes,
            codec: self.packing.next(rate),
            again: plan.was_asked_again(block.number),
        })
    }

    /// Takes the answer to a request.
    pub(super) fn done(&mut self, request: &Request, outcome: Outcome) -> Result<(), Failure> {
        let (packed, bytes) = match outcome {
            Outcome::Bytes(bytes) => (None, bytes),
            Outcome::Packed(codec, bytes) => (Some(codec), bytes),
            Outcome::Failed(why) => return Err(Failure::Source(why)),
            Outcome::Speed { .. } => return Ok(()),
        };
        if let Request::Block {
            number,
            bytes: expected,
            codec,
            ..
        } = *request
        {
            let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            if packed.is_none() && len != expected {
                let why = "the image's file is shorter than its manifest says";
                return Err(Failure::Source(why.to_string()));
            }
            if packed.is_some() && (packed != codec || !(1..expected).contains(&len)) {
                let why = "the image's source packs what it was not asked to, or makes it longer";
                return Err(Failure::Source(why.to_string()));
            }
            if codec.is_some() {
                self.packing.tried(packed.is_some());
            }
            if let Some(plan) = &mut self.plan {
                plan.loaded(number, packed, bytes);
            }
        } else if let Some(object) = object_of(request) {
            self.objects.push(object, bytes);
        }
        Ok(())
    }

    /// Takes note of what arrived and what is lost.
    pub(super) fn settle(&mut self, channel: &mut Channel) {
        while let Some(slice) = channel.next_acked() {
            self.moved_on = true;
            match slice {
                Slice::Block { number, len, .. } => {
                    if let Some(plan) = &mut self.plan {
                        plan.acked(number, len);
                    }
                }
                Slice::Object { object, len, .. } => self.objects.acked(object, len),
            }
        }
        while let Some(slice) = channel.next_lost() {
            match (slice, &mut self.plan) {
                (Slice::Block { .. }, Some(plan)) => plan.lost(slice),
                (Slice::Block { .. }, None) => {}
                (Slice::Object { .. }, _) => self.objects.lost(slice),
            }
        }
        self.say_done(channel);
    }

    /// Says `DONE` as soon as all is under way: the device waits for what is missing still.
    fn say_done(&mut self, channel: &mut Channel) {
        if !self.done_sent && self.plan.as_ref().is_some_and(Plan::is_under_way) {
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
        let max = self.slice_max;
        if let Some(piece) = self.objects.next_piece(channel, max) {
            return Some(channel.send(now, out, Kind::Meta, &piece));
        }
        let (kind, piece) = self.plan.as_mut()?.next_piece(channel, max)?;
        let len = channel.send(now, out, kind, &piece);
        self.say_done(channel);
        Some(len)
    }
}

/// The object that answers a request.
const fn object_of(request: &Request) -> Option<Object> {
    match *request {
        Request::Block { .. } | Request::Speed(_) => None,
        Request::Directory { segment } => Some(Object::Directory { segment }),
        Request::Page { segment, page } => Some(Object::Page { segment, page }),
        Request::Sums { segment, page } => Some(Object::Sums { segment, page }),
    }
}

pub(super) fn queue(channel: &mut Channel, message: &FromHost) {
    let mut body = Vec::new();
    message.emit(&mut body);
    channel.queue(body);
}
