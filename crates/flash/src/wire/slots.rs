//! What a disk with two slots is at, as a host is told it.

use nx_image::boot_record::Slot;
use nx_image::digest::Digest;

use crate::wire::codec::{DecodeError, Reader, Writer};
use crate::wire::message::{
    BootTarget, boot_target, boot_target_number, emit_optional_digest, flag, optional_digest,
};

/// The layout of a device that has a disk with two slots, and so answers `SLOTS?`.
pub const LAYOUT_AB: &str = "ab";

/// What a disk with two slots is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotsInfo {
    /// The slot of the running system; nothing where it runs from elsewhere, or is not known.
    pub running: Option<Slot>,
    /// The slot that is known to be good; no update writes it.
    pub confirmed: Slot,
    /// The slot that boots next.
    pub boots: Slot,
    /// Whether the other slot of the two is a confirmed one as well.
    pub fallback: bool,
    /// While the slot that boots next is on trial: how often it may still be started.
    pub tries: Option<u8>,
    /// Whether the system or its recovery boots next.
    pub next: BootTarget,
    /// SHA-256 of the manifest of what slot a holds, if that is known.
    pub a: Option<Digest>,
    /// Of what slot b holds.
    pub b: Option<Digest>,
}

impl SlotsInfo {
    /// The slot that is on trial while [`tries`](Self::tries) are told.
    pub const fn on_trial(&self) -> Slot {
        self.confirmed.other()
    }

    /// SHA-256 of the manifest of what a slot holds, if that is known.
    pub const fn manifest(&self, slot: Slot) -> Option<Digest> {
        match slot {
            Slot::A => self.a,
            Slot::B => self.b,
        }
    }

    pub(super) fn parse(fields: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            running: match fields.u8()? {
                0 => None,
                number => Some(slot(number)?),
            },
            confirmed: slot(fields.u8()?)?,
            boots: slot(fields.u8()?)?,
            fallback: flag(fields.u8()?)?,
            tries: if flag(fields.u8()?)? {
                Some(fields.u8()?)
            } else {
                None
            },
            next: boot_target(fields.u8()?)?,
            a: optional_digest(fields)?,
            b: optional_digest(fields)?,
        })
    }

    pub(super) fn emit(&self, fields: &mut Writer<'_>) {
        fields
            .u8(self.running.map_or(0, number))
            .u8(number(self.confirmed))
            .u8(number(self.boots))
            .u8(u8::from(self.fallback))
            .u8(u8::from(self.tries.is_some()));
        if let Some(tries) = self.tries {
            fields.u8(tries);
        }
        fields.u8(boot_target_number(self.next));
        emit_optional_digest(self.a.as_ref(), fields);
        emit_optional_digest(self.b.as_ref(), fields);
    }
}

const fn slot(number: u8) -> Result<Slot, DecodeError> {
    match number {
        1 => Ok(Slot::A),
        2 => Ok(Slot::B),
        _ => Err(DecodeError::Value),
    }
}

const fn number(slot: Slot) -> u8 {
    match slot {
        Slot::A => 1,
        Slot::B => 2,
    }
}
