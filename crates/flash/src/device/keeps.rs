//! What of a device an image leaves as it is, and whether it fits into the rest.

use alloc::format;
use alloc::string::ToString as _;

use nx_image::manifest::{Manifest, Role, Slots};

use crate::device::finish::state_region;
use crate::device::offer::Refused;
use crate::device::request::{SlotStatus, StoreStatus};
use crate::wire::{OfferFlags, RejectCode};

/// The roles whose segments stay what they are on the device: nothing of them is taken from the
/// image, read back or compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Keeps {
    table: bool,
    boot: bool,
    record: bool,
    /// The device has a state of its own.
    pub(super) state: bool,
}

impl Keeps {
    /// What an install of this image keeps.
    pub(super) fn of_install(
        manifest: &Manifest,
        flags: OfferFlags,
        status: &StoreStatus,
    ) -> Result<Self, Refused> {
        let Some(slots) = &status.slots else {
            fits_target(manifest, status)?;
            let state = !flags.wipe_state && has_state(manifest, status)?;
            return Ok(Self {
                state,
                ..Self::default()
            });
        };
        if manifest.image.slots != Slots::Two {
            let detail = "the disk has two slots, the image is for one";
            return Err((RejectCode::Slots, detail.to_string()));
        }
        if slots.told.is_none() {
            fits_target(manifest, status)?;
            // The device makes a record of its own.
            return Ok(Self {
                record: true,
                ..Self::default()
            });
        }
        if let Some(why) = &slots.unconfirmed {
            return Err((RejectCode::Unconfirmed, why.clone()));
        }
        if flags.wipe_state && slots.state_in_use {
            let detail = "it would be written under the running system";
            return Err((RejectCode::StateInUse, detail.to_string()));
        }
        let keeps = Self {
            table: true,
            boot: !flags.update_bootloader,
            record: true,
            state: !flags.wipe_state,
        };
        keeps.fits_partitions(manifest, slots)?;
        Ok(keeps)
    }

    /// What of an installed image is the device's own by now.
    pub(super) const fn of_installed(status: &StoreStatus) -> Self {
        let slots = status.slots.is_some();
        Self {
            table: slots,
            boot: slots,
            record: true,
            state: true,
        }
    }

    /// Whether segments of this role are kept.
    pub(super) const fn role(self, role: Role) -> bool {
        match role {
            Role::Table => self.table,
            Role::Boot => self.boot,
            Role::Record => self.record,
            Role::State => self.state,
            Role::Slot => false,
        }
    }

    /// On a disk that is in use, each segment has a partition of its own to fit into.
    fn fits_partitions(self, manifest: &Manifest, slots: &SlotStatus) -> Result<(), Refused> {
        let written = manifest.segments.iter().filter(|s| !self.role(s.role));
        for segment in written {
            let (name, size) = (&segment.name, segment.size);
            let room = slots.rooms.iter().find(|(room, _)| room == name);
            let detail = match room {
                Some((_, room)) if size <= *room => continue,
                Some((_, room)) => format!("{name} of {size} bytes, its partition holds {room}"),
                None => format!("{name} of {size} bytes, the disk has no partition for it"),
            };
            return Err((RejectCode::TooLarge, detail));
        }
        Ok(())
    }
}

/// Whether the target holds the whole image.
fn fits_target(manifest: &Manifest, status: &StoreStatus) -> Result<(), Refused> {
    let (size, capacity) = (manifest.image.size, status.capacity);
    if size > capacity {
        let detail = format!("image of {size} bytes, target holds {capacity}");
        return Err((RejectCode::TooLarge, detail));
    }
    Ok(())
}

/// Whether the device has a state that this image has a place for.
fn has_state(manifest: &Manifest, status: &StoreStatus) -> Result<bool, Refused> {
    let held = status.installed.as_ref().or(status.interrupted.as_ref());
    let held = held.and_then(|raw| Manifest::parse(raw).ok());
    let (Some((old, old_end)), Some((new, new_end))) =
        (held.as_ref().and_then(state_region), state_region(manifest))
    else {
        return Ok(false);
    };
    if old != new || old_end > new_end {
        let detail = format!("it is at {old}..{old_end}, the image's at {new}..{new_end}");
        return Err((RejectCode::StatePlace, detail));
    }
    Ok(true)
}
