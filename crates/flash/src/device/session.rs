//! A session: what it is at, and how far.

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use crate::device::config::DeviceConfig;
use crate::device::desk::{Desk, Purpose};
use crate::device::offer::{Incoming, Offer, Refused, judge};
use crate::device::request::{Request, StoreStatus};
use crate::device::transfer::Transfer;
use crate::device::verify::Verify;
use crate::session::Channel;
use crate::time::Instant;
use crate::wire::{
    BootTarget, Busy, Codec, Frame, Kind, Object, OfferFlags, Reader, RejectCode, Welcome,
};

/// What a session is at.
#[derive(Debug)]
pub(super) enum Stage {
    /// Nothing is being transferred.
    Idle,
    /// The signed manifest is coming.
    Offered {
        flags: OfferFlags,
        incoming: Incoming,
    },
    /// The store gets ready for the image.
    Beginning(Option<Offer>),
    /// The image is coming.
    Transfer(Box<Transfer>),
    /// What is installed is being digested.
    Verifying(Verify),
}

/// One host's session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) channel: Channel,
    pub(super) nonce: u64,
    pub(super) welcome: Welcome,
    pub(super) last_heard: Instant,
    pub(super) stage: Stage,
    pub(super) reboot: Option<Reboot>,
    /// When the welcome went out, until the host has answered it.
    pub(super) welcomed: Option<Welcomed>,
    /// The offer was refused: what the host asked on the way is not looked at.
    pub(super) has_refused: bool,
    /// Segments that the host asked about before its offer was accepted.
    pub(super) asked_early: Vec<String>,
    pub(super) busy_at: Option<Instant>,
}

/// What became of a welcome.
#[derive(Clone, Copy, Debug)]
pub(super) enum Welcomed {
    /// It went out once, then.
    Once(Instant),
    /// More than once: nothing tells which of them is answered.
    Again,
    /// The host has answered.
    Heard,
}

/// A restart that was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reboot {
    pub(super) target: BootTarget,
    /// When it happens even if the host does not hear of it.
    pub(super) at: Instant,
    /// The answer is on its way.
    pub(super) told: bool,
}

impl Session {
    pub(super) fn payload(
        &mut self,
        frame: &Frame<'_>,
        config: &DeviceConfig,
        status: &StoreStatus,
        desk: &mut Desk,
        now: Instant,
    ) -> Result<(), Refused> {
        let kind = Kind::from_number(frame.kind).unwrap_or(Kind::Data);
        if kind == Kind::Packed && self.welcome.codecs & Codec::bits() == 0 {
            let detail = "packed data in a session without a codec";
            return Err((RejectCode::Malformed, detail.to_string()));
        }
        let channel = &mut self.channel;
        let taken = match (&mut self.stage, kind) {
            (Stage::Offered { incoming, .. }, Kind::Meta) => {
                let mut fields = Reader::new(frame.payload);
                let (Ok(object), Ok(offset)) = (fields.u32(), fields.u32()) else {
                    return Ok(());
                };
                let offered = Object::from_number(object) == Some(Object::Offer);
                offered && incoming.fit(offset, fields.rest())
            }
            (Stage::Transfer(transfer), Kind::Meta) => {
                let (taken, whole) = transfer.meta(frame.payload);
                if let Some((object, bytes)) = whole {
                    transfer.object(object, bytes, channel, desk)?;
                }
                taken
            }
            (Stage::Transfer(transfer), kind) => {
                transfer.data_at = now;
                transfer.data(kind, frame.payload, channel, desk)?
            }
            // Slices that were had before; what is new is not wanted now.
            (Stage::Beginning(_), Kind::Meta) => true,
            _ => false,
        };
        if taken {
            self.channel.accept(frame.seq, now);
        }
        let whole = matches!(&self.stage, Stage::Offered { incoming, .. } if incoming.is_whole());
        if !whole {
            return Ok(());
        }
        let offered = core::mem::replace(&mut self.stage, Stage::Idle);
        if let Stage::Offered { flags, incoming } = offered {
            let offer = judge(&incoming.into_bytes(), flags, config, status)?;
            let begin = Request::Begin {
                manifest: offer.manifest_bytes.clone(),
                signature: offer.signature.clone(),
                image_bytes: offer.manifest.image.size,
                restart: flags.restart,
                keeps_state: offer.keeps.state,
            };
            desk.ask(begin, Purpose::Begin);
            self.stage = Stage::Beginning(Some(offer));
        }
        Ok(())
    }

    pub(super) fn busy(&self) -> Option<Busy> {
        match &self.stage {
            Stage::Transfer(transfer) => transfer.busy(),
            Stage::Verifying(verify) => Some(verify.busy()),
            Stage::Idle | Stage::Offered { .. } | Stage::Beginning(_) => None,
        }
    }
}
