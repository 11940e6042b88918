//! The messages: reliable, in order, at most 1,024 bytes each.

use alloc::string::String;
use alloc::vec::Vec;

use nx_image::digest::Digest;
use nx_image::manifest::Profile;

use crate::wire::codec::{DecodeError, Reader, Writer};
use crate::wire::hello::{profile, profile_number};
use crate::wire::kind::MessageKind;
use crate::wire::object::Object;
use crate::wire::reject::RejectCode;
use crate::wire::slots::SlotsInfo;

/// What the host asks of the device besides taking a manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfferFlags {
    /// Forget what an interrupted transfer left, and what is installed: ask for every block.
    pub restart: bool,
    /// Write the state segment even where the device has a state of its own.
    pub wipe_state: bool,
    /// Write the bootloader too where an update would leave it alone.
    pub update_bootloader: bool,
}

impl OfferFlags {
    fn from_bits(bits: u8) -> Option<Self> {
        (bits <= 7).then_some(Self {
            restart: bits & 1 != 0,
            wipe_state: bits & 2 != 0,
            update_bootloader: bits & 4 != 0,
        })
    }

    fn bits(self) -> u8 {
        u8::from(self.restart)
            | (u8::from(self.wipe_state) << 1)
            | (u8::from(self.update_bootloader) << 2)
    }
}

/// What the device starts next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootTarget {
    /// The system.
    Normal,
    /// The recovery.
    Recovery,
}

impl BootTarget {
    /// `normal` or `recovery`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Recovery => "recovery",
        }
    }
}

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortReason {
    /// Everything asked for is done.
    Finished,
    /// The operator stopped it.
    Operator,
    /// The host cannot go on.
    Failed,
}

/// A message from the host: the seed's commands, and what they need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromHost {
    /// `INFO?`
    Info,
    /// `MANIFEST`: a signed manifest follows as the object `Offer`.
    Offer {
        /// Length of the object in bytes: 64 and the manifest's.
        bytes: u32,
        /// What else the host wants.
        flags: OfferFlags,
    },
    /// `WRITE seg=<name> off=?`
    Write {
        /// The segment's name in the manifest.
        segment: String,
    },
    /// `DONE`
    Done {
        /// SHA-256 of the manifest.
        manifest: Digest,
    },
    /// `ABORT`
    Abort {
        /// Why.
        reason: AbortReason,
    },
    /// `VERIFY`
    Verify,
    /// `REBOOT normal|recovery`
    Reboot {
        /// What to start.
        target: BootTarget,
    },
    /// `SLOTS?`: what is a disk with two slots at?
    Slots,
}

impl FromHost {
    /// Reads a message's body.
    ///
    /// # Errors
    /// `Value` for a kind that is none of the host's, or fields that are not the kind's.
    pub fn parse(body: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Reader::new(body);
        let kind = MessageKind::from_number(fields.u8()?).ok_or(DecodeError::Value)?;
        let message = match kind {
            MessageKind::Info => Self::Info,
            MessageKind::Offer => {
                let bytes = fields.u32()?;
                let flags = OfferFlags::from_bits(fields.u8()?).ok_or(DecodeError::Value)?;
                Self::Offer { bytes, flags }
            }
            MessageKind::Write => Self::Write {
                segment: fields.text()?,
            },
            MessageKind::Done => Self::Done {
                manifest: fields.digest()?,
            },
            MessageKind::Abort => Self::Abort {
                reason: match fields.u8()? {
                    0 => AbortReason::Finished,
                    1 => AbortReason::Operator,
                    2 => AbortReason::Failed,
                    _ => return Err(DecodeError::Value),
                },
            },
            MessageKind::Verify => Self::Verify,
            MessageKind::Reboot => Self::Reboot {
                target: boot_target(fields.u8()?)?,
            },
            MessageKind::Slots => Self::Slots,
            _ => return Err(DecodeError::Value),
        };
        fields.finish()?;
        Ok(message)
    }

    /// Appends the message's body.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let mut fields = Writer::new(out);
        match self {
            Self::Info => fields.u8(MessageKind::Info.number()),
            Self::Offer { bytes, flags } => fields
                .u8(MessageKind::Offer.number())
                .u32(*bytes)
                .u8(flags.bits()),
            Self::Write { segment } => fields.u8(MessageKind::Write.number()).text(segment),
            Self::Done { manifest } => fields.u8(MessageKind::Done.number()).digest(manifest),
            Self::Abort { reason } => fields.u8(MessageKind::Abort.number()).u8(match reason {
                AbortReason::Finished => 0,
                AbortReason::Operator => 1,
                AbortReason::Failed => 2,
            }),
            Self::Verify => fields.u8(MessageKind::Verify.number()),
            Self::Reboot { target } => fields
                .u8(MessageKind::Reboot.number())
                .u8(boot_target_number(*target)),
            Self::Slots => fields.u8(MessageKind::Slots.number()),
        };
    }
}

/// The blocks of one page that the device needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Index of the segment in the manifest.
    pub segment: u8,
    /// Index of the page in the segment.
    pub page: u16,
    /// This is the segment's last page.
    pub last: bool,
    /// The device keeps its own content of this segment (its state): nothing to send.
    pub kept: bool,
    /// One bit a block, least significant first: 1 is needed. At most 128 bytes; blocks
    /// behind its end are not needed.
    pub bitmap: Vec<u8>,
}

/// What a device says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Name and version of the software that answers.
    pub agent: String,
    /// The board, or empty.
    pub board: String,
    /// The profile of images it takes.
    pub profile: Profile,
    /// Which boot of the device this is.
    pub boot: u32,
    /// SHA-256 of the installed manifest.
    pub installed: Option<Digest>,
    /// Version of the installed image, or empty.
    pub installed_version: String,
    /// SHA-256 of the manifest of an interrupted transfer.
    pub staged: Option<Digest>,
    /// Bytes that the target can hold.
    pub capacity: u64,
    /// How images are installed: `file`, `in-place` or `ab`.
    pub layout: String,
    /// Fingerprints of the keys it trusts, at most eight.
    pub keys: Vec<String>,
}

/// What a segment's content turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The digest is the manifest's.
    Matches,
    /// The digest is another.
    Differs,
    /// The device's own state: not compared.
    Kept,
}

/// One segment of a `VERIFY` answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedSegment {
    /// Its name.
    pub name: String,
    /// SHA-256 of what the medium holds.
    pub sha256: Digest,
    /// Compared with the installed manifest.
    pub verdict: Verdict,
}

/// A message from the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromDevice {
    /// The answer to `INFO?`.
    Info(DeviceInfo),
    /// Send this object.
    Want(Object),
    /// The manifest is accepted.
    Accepted,
    /// The answer to `WRITE`, one per page; again after a `DONE` that came too early.
    Need(Need),
    /// Installed, from a read-back that proved every block.
    Installed {
        /// SHA-256 of the manifest.
        manifest: Digest,
        /// Digest over what does not change: `installed_sha256` of the manifest.
        installed: Digest,
        /// Whether the device kept a state of its own.
        state_kept: bool,
    },
    /// The answer to `VERIFY`.
    Verified {
        /// SHA-256 of the installed manifest.
        manifest: Digest,
        /// Digest over the segments that do not change, from the medium.
        installed: Digest,
        /// One entry a segment.
        segments: Vec<VerifiedSegment>,
        /// Bytes between the segments are zero, as they should be.
        gaps_zero: bool,
    },
    /// The next boot is set.
    Rebooting {
        /// To this.
        target: BootTarget,
    },
    /// The command is refused.
    Rejected {
        /// Why, as a number.
        code: u16,
        /// More about it, printable ASCII.
        detail: String,
    },
    /// The answer to `SLOTS?`; nothing while the disk is not provisioned.
    Slots(Option<SlotsInfo>),
}

impl FromDevice {
    /// Reads a message's body.
    ///
    /// # Errors
    /// `Value` for a kind that is none of the device's, or fields that are not the kind's.
    pub fn parse(body: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Reader::new(body);
        let kind = MessageKind::from_number(fields.u8()?).ok_or(DecodeError::Value)?;
        let message = match kind {
            MessageKind::DeviceInfo => Self::Info(device_info(&mut fields)?),
            MessageKind::Want => {
                Self::Want(Object::from_number(fields.u32()?).ok_or(DecodeError::Value)?)
            }
            MessageKind::Accepted => Self::Accepted,
            MessageKind::Need => Self::Need(Need {
                segment: fields.u8()?,
                page: fields.u16()?,
                last: flag(fields.u8()?)?,
                kept: flag(fields.u8()?)?,
                bitmap: fields.blob()?.to_vec(),
            }),
            MessageKind::Installed => Self::Installed {
                manifest: fields.digest()?,
                installed: fields.digest()?,
                state_kept: flag(fields.u8()?)?,
            },
            MessageKind::Verified => {
                let manifest = fields.digest()?;
                let installed = fields.digest()?;
                let gaps_zero = flag(fields.u8()?)?;
                let count = fields.u8()?;
                let segments = (0..count)
                    .map(|_| verified_segment(&mut fields))
                    .collect::<Result<_, _>>()?;
                Self::Verified {
                    manifest,
                    installed,
                    segments,
                    gaps_zero,
                }
            }
            MessageKind::Rebooting => Self::Rebooting {
                target: boot_target(fields.u8()?)?,
            },
            MessageKind::Rejected => Self::Rejected {
                code: fields.u16()?,
                detail: fields.text()?,
            },
            MessageKind::DeviceSlots => Self::Slots(if flag(fields.u8()?)? {
                Some(SlotsInfo::parse(&mut fields)?)
            } else {
                None
            }),
            _ => return Err(DecodeError::Value),
        };
        fields.finish()?;
        Ok(message)
    }

    /// A refusal.
    pub fn rejected(code: RejectCode, detail: impl Into<String>) -> Self {
        Self::Rejected {
            code: code.number(),
            detail: detail.into(),
        }
    }

    /// Appends the message's body.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let mut fields = Writer::new(out);
        match self {
            Self::Info(info) => emit_device_info(info, &mut fields),
            Self::Want(object) => {
                fields.u8(MessageKind::Want.number()).u32(object.number());
            }
            Self::Accepted => {
                fields.u8(MessageKind::Accepted.number());
            }
            Self::Need(need) => {
                fields
                    .u8(MessageKind::Need.number())
                    .u8(need.segment)
                    .u16(need.page)
                    .u8(u8::from(need.last))
                    .u8(u8::from(need.kept))
                    .blob(&need.bitmap);
            }
            Self::Installed {
                manifest,
                installed,
                state_kept,
            } => {
                fields
                    .u8(MessageKind::Installed.number())
                    .digest(manifest)
                    .digest(installed)
                    .u8(u8::from(*state_kept));
            }
            Self::Verified {
                manifest,
                installed,
                segments,
                gaps_zero,
            } => {
                fields
                    .u8(MessageKind::Verified.number())
                    .digest(manifest)
                    .digest(installed)
                    .u8(u8::from(*gaps_zero))
                    .u8(u8::try_from(segments.len()).unwrap_or(u8::MAX));
                for segment in segments.iter().take(usize::from(u8::MAX)) {
                    fields
                        .text(&segment.name)
                        .digest(&segment.sha256)
                        .u8(match segment.verdict {
                            Verdict::Matches => 0,
                            Verdict::Differs => 1,
                            Verdict::Kept => 2,
                        });
                }
            }
            Self::Rebooting { target } => {
                fields
                    .u8(MessageKind::Rebooting.number())
                    .u8(boot_target_number(*target));
            }
            Self::Rejected { code, detail } => {
                fields
                    .u8(MessageKind::Rejected.number())
                    .u16(*code)
                    .text(detail);
            }
            Self::Slots(slots) => {
                fields
                    .u8(MessageKind::DeviceSlots.number())
                    .u8(u8::from(slots.is_some()));
                if let Some(slots) = slots {
                    slots.emit(&mut fields);
                }
            }
        }
    }
}

fn verified_segment(fields: &mut Reader<'_>) -> Result<VerifiedSegment, DecodeError> {
    Ok(VerifiedSegment {
        name: fields.text()?,
        sha256: fields.digest()?,
        verdict: match fields.u8()? {
            0 => Verdict::Matches,
            1 => Verdict::Differs,
            2 => Verdict::Kept,
            _ => return Err(DecodeError::Value),
        },
    })
}

fn device_info(fields: &mut Reader<'_>) -> Result<DeviceInfo, DecodeError> {
    Ok(DeviceInfo {
        agent: fields.text()?,
        board: fields.text()?,
        profile: profile(fields.u8()?)?,
        boot: fields.u32()?,
        installed: optional_digest(fields)?,
        installed_version: fields.text()?,
        staged: optional_digest(fields)?,
        capacity: fields.u64()?,
        layout: fields.text()?,
        keys: {
            let count = fields.u8()?;
            if count > 8 {
                return Err(DecodeError::Value);
            }
            (0..count)
                .map(|_| fields.text())
                .collect::<Result<_, _>>()?
        },
    })
}

fn emit_device_info(info: &DeviceInfo, fields: &mut Writer<'_>) {
    fields
        .u8(MessageKind::DeviceInfo.number())
        .text(&info.agent)
        .text(&info.board)
        .u8(profile_number(info.profile))
        .u32(info.boot);
    emit_optional_digest(info.installed.as_ref(), fields);
    fields.text(&info.installed_version);
    emit_optional_digest(info.staged.as_ref(), fields);
    fields.u64(info.capacity).text(&info.layout);
    let keys = info.keys.get(..8).unwrap_or(&info.keys);
    fields.u8(u8::try_from(keys.len()).unwrap_or(0));
    for key in keys {
        fields.text(key);
    }
}

pub(super) fn optional_digest(fields: &mut Reader<'_>) -> Result<Option<Digest>, DecodeError> {
    Ok(if flag(fields.u8()?)? {
        Some(fields.digest()?)
    } else {
        None
    })
}

pub(super) fn emit_optional_digest(digest: Option<&Digest>, fields: &mut Writer<'_>) {
    fields.u8(u8::from(digest.is_some()));
    if let Some(digest) = digest {
        fields.digest(digest);
    }
}

pub(super) const fn flag(byte: u8) -> Result<bool, DecodeError> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Value),
    }
}

pub(super) const fn boot_target(number: u8) -> Result<BootTarget, DecodeError> {
    match number {
        0 => Ok(BootTarget::Normal),
        1 => Ok(BootTarget::Recovery),
        _ => Err(DecodeError::Value),
    }
}

pub(super) const fn boot_target_number(target: BootTarget) -> u8 {
    match target {
        BootTarget::Normal => 0,
        BootTarget::Recovery => 1,
    }
}
