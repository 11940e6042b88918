//! How the machines' configurations and answers are recorded. No private key is among them.

use std::time::Duration;

use nx_image::digest::Digest;
use nx_image::key::PublicKey;
use nx_image::manifest::Profile;

use super::record::Recorded;
use crate::device::{self, DeviceConfig, Policy, SlotStatus, StoreError, StoreStatus};
use crate::host::{self, HostConfig, Job};
use crate::wire::{BootTarget, Codec, DecodeError, FromDevice, OfferFlags, Reader, Writer};

fn put_bytes(fields: &mut Writer<'_>, bytes: &[u8]) {
    fields
        .u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX))
        .bytes(bytes);
}

fn bytes(fields: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
    let len = usize::try_from(fields.u32()?).map_err(|_| DecodeError::Value)?;
    Ok(fields.bytes(len)?.to_vec())
}

fn put_string(fields: &mut Writer<'_>, text: &str) {
    put_bytes(fields, text.as_bytes());
}

fn string(fields: &mut Reader<'_>) -> Result<String, DecodeError> {
    String::from_utf8(bytes(fields)?).map_err(|_| DecodeError::Value)
}

fn put_option<T>(fields: &mut Writer<'_>, value: Option<&T>, put: impl Fn(&mut Writer<'_>, &T)) {
    fields.u8(u8::from(value.is_some()));
    if let Some(value) = value {
        put(fields, value);
    }
}

fn option<T>(
    fields: &mut Reader<'_>,
    read: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    match fields.u8()? {
        0 => Ok(None),
        1 => read(fields).map(Some),
        _ => Err(DecodeError::Value),
    }
}

fn digest(fields: &mut Reader<'_>) -> Result<Digest, DecodeError> {
    fields.digest()
}

fn put_digest(fields: &mut Writer<'_>, digest: &Digest) {
    fields.digest(digest);
}

fn put_duration(fields: &mut Writer<'_>, duration: Duration) {
    fields.u64(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
}

fn duration(fields: &mut Reader<'_>) -> Result<Duration, DecodeError> {
    fields.u64().map(Duration::from_micros)
}

/// A speed, which captures of earlier versions do not have.
fn baud(fields: &mut Reader<'_>) -> Result<Option<u32>, DecodeError> {
    if fields.is_empty() {
        return Ok(None);
    }
    fields.u32().map(|baud| (baud > 0).then_some(baud))
}

impl Recorded for HostConfig {
    fn record(&self, fields: &mut Writer<'_>) {
        fields.u64(self.nonce);
        put_string(fields, &self.name);
        fields.u32(self.codecs);
        put_duration(fields, self.give_up_after);
        match &self.job {
            Job::Send {
                manifest,
                signature,
                flags,
                chunk_bytes,
            } => {
                fields.u8(0);
                put_bytes(fields, manifest);
                put_bytes(fields, signature);
                // One byte, as captures of earlier versions have it.
                let wipe = u8::from(flags.wipe_state);
                let boot = u8::from(flags.update_bootloader) << 1;
                fields.u8(u8::from(flags.restart)).u8(wipe | boot);
                fields.u32(*chunk_bytes);
            }
            Job::Verify => {
                fields.u8(1);
            }
            Job::Info => {
                fields.u8(2);
            }
            Job::Reboot(target) => {
                fields.u8(if *target == BootTarget::Normal { 3 } else { 4 });
            }
        }
        fields.u32(self.baud.unwrap_or(0));
        for baud in &self.fast_baud {
            fields.u32(*baud);
        }
    }

    fn restore(fields: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let nonce = fields.u64()?;
        let name = string(fields)?;
        let codecs = fields.u32()?;
        let give_up_after = duration(fields)?;
        let job = match fields.u8()? {
            0 => Job::Send {
                manifest: bytes(fields)?,
                signature: bytes(fields)?,
                flags: {
                    let (restart, bits) = (fields.u8()?, fields.u8()?);
                    OfferFlags {
                        restart: restart == 1,
                        wipe_state: bits & 1 != 0,
                        update_bootloader: bits & 2 != 0,
                    }
                },
                chunk_bytes: fields.u32()?,
            },
            1 => Job::Verify,
            2 => Job::Info,
            3 => Job::Reboot(BootTarget::Normal),
            4 => Job::Reboot(BootTarget::Recovery),
            _ => return Err(DecodeError::Value),
        };
        let baud = baud(fields)?;
        let mut fast_baud = Vec::new();
        while !fields.is_empty() {
            fast_baud.push(fields.u32()?);
        }
        Ok(Self {
            nonce,
            name,
            codecs,
            give_up_after,
            baud,
            fast_baud,
            job,
        })
    }
}

impl Recorded for host::Outcome {
    fn record(&self, fields: &mut Writer<'_>) {
        match self {
            Self::Bytes(bytes) => put_bytes(fields.u8(0), bytes),
            Self::Failed(why) => put_string(fields.u8(1), why),
            Self::Packed(codec, bytes) => put_bytes(fields.u8(2).u8(codec.number()), bytes),
            Self::Speed { held } => {
                fields.u8(8).u8(u8::from(*held));
            }
        }
    }

    fn restore(fields: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match fields.u8()? {
            0 => bytes(fields).map(Self::Bytes),
            1 => string(fields).map(Self::Failed),
            2 => {
                let number = fields.u8()?;
                let codec = Codec::from_number(number).ok_or(DecodeError::Value)?;
                Ok(Self::Packed(codec, bytes(fields)?))
            }
            8 => Ok(Self::Speed {
                held: fields.u8()? == 1,
            }),
            _ => Err(DecodeError::Value),
        }
    }

    fn has_image_data(&self) -> bool {
        matches!(self, Self::Bytes(_) | Self::Packed(..))
    }
}

impl Recorded for DeviceConfig {
    fn record(&self, fields: &mut Writer<'_>) {
        fields.u32(u32::try_from(self.keys.len()).unwrap_or(0));
        for key in &self.keys {
            fields.bytes(key.as_bytes());
        }
        put_option(fields, self.board.as_ref(), |fields, board| {
            put_string(fields, board)
        });
        fields.u8(u8::from(self.profile == Profile::Release));
        fields.u8(match self.policy {
            Policy::Strict => 0,
            Policy::Permissive => 1,
            Policy::AuditOnly => 2,
        });
        fields.u32(self.boot);
        put_string(fields, &self.agent);
        fields.u32(self.codecs);
        fields.u32(self.window_bytes);
        put_duration(fields, self.give_up_after);
        fields.u32(self.baud.unwrap_or(0));
    }

    fn restore(fields: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = fields.u32()?;
        let mut keys = Vec::new();
        for _ in 0..count {
            let raw = fields.bytes(PublicKey::BYTES)?;
            let raw = raw.try_into().map_err(|_| DecodeError::Value)?;
            keys.push(PublicKey::from_bytes(raw).map_err(|_| DecodeError::Value)?);
        }
        Ok(Self {
            keys,
            board: option(fields, string)?,
            profile: if fields.u8()? == 1 {
                Profile::Release
            } else {
                Profile::Dev
            },
            policy: match fields.u8()? {
                0 => Policy::Strict,
                1 => Policy::Permissive,
                2 => Policy::AuditOnly,
                _ => return Err(DecodeError::Value),
            },
            boot: fields.u32()?,
            agent: string(fields)?,
            codecs: fields.u32()?,
            window_bytes: fields.u32()?,
            give_up_after: duration(fields)?,
            baud: baud(fields)?,
        })
    }
}

fn record_slots(status: &SlotStatus, fields: &mut Writer<'_>) {
    let told = FromDevice::Slots(status.told.clone());
    let mut body = Vec::new();
    told.emit(&mut body);
    put_bytes(fields, &body);
    put_option(fields, status.unconfirmed.as_ref(), |f, why| {
        put_string(f, why)
    });
    fields.u8(u8::from(status.state_in_use));
    for (name, room) in &status.rooms {
        put_string(fields, name);
        fields.u64(*room);
    }
}

/// What of a disk with two slots was recorded; captures of other devices end here.
fn slots(fields: &mut Reader<'_>) -> Result<Option<Box<SlotStatus>>, DecodeError> {
    if fields.is_empty() {
        return Ok(None);
    }
    let FromDevice::Slots(told) = FromDevice::parse(&bytes(fields)?)? else {
        return Err(DecodeError::Value);
    };
    let mut status = SlotStatus {
        told,
        unconfirmed: option(fields, string)?,
        state_in_use: fields.u8()? == 1,
        rooms: Vec::new(),
    };
    while !fields.is_empty() {
        status.rooms.push((string(fields)?, fields.u64()?));
    }
    Ok(Some(Box::new(status)))
}

impl Recorded for device::Outcome {
    fn record(&self, fields: &mut Writer<'_>) {
        match self {
            Self::Status(status) => {
                fields.u8(0);
                put_option(fields, status.installed.as_ref(), |f, raw| {
                    put_bytes(f, raw)
                });
                put_option(fields, status.interrupted.as_ref(), |f, raw| {
                    put_bytes(f, raw)
                });
                put_option(fields, status.staged.as_ref(), put_digest);
                fields.u64(status.capacity);
                put_string(fields, &status.layout);
                if let Some(slots) = &status.slots {
                    record_slots(slots, fields);
                }
            }
            Self::Began { resumed } => {
                fields.u8(1).u8(u8::from(*resumed));
            }
            Self::Bytes(found) => {
                put_option(fields.u8(2), found.as_ref(), |f, found| put_bytes(f, found));
            }
            Self::Digest(found) => put_option(fields.u8(3), found.as_ref(), put_digest),
            Self::Flag(flag) => {
                fields.u8(4).u8(u8::from(*flag));
            }
            Self::Done => {
                fields.u8(5);
            }
            Self::Speed { held } => {
                fields.u8(8).u8(u8::from(*held));
            }
            Self::Digests(found) => {
                fields.u8(9);
                for digest in found {
                    fields.digest(digest);
                }
            }
            Self::Failed(error) => {
                let (kind, text) = match error {
                    StoreError::Full(text) => (0, text),
                    StoreError::Failed(text) => (1, text),
                    StoreError::Unsupported(text) => (2, text),
                };
                put_string(fields.u8(6).u8(kind), text);
            }
        }
    }

    fn restore(fields: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match fields.u8()? {
            0 => Self::Status(StoreStatus {
                installed: option(fields, bytes)?,
                interrupted: option(fields, bytes)?,
                staged: option(fields, digest)?,
                capacity: fields.u64()?,
                layout: string(fields)?,
                slots: slots(fields)?,
            }),
            1 => Self::Began {
                resumed: fields.u8()? == 1,
            },
            2 => Self::Bytes(option(fields, bytes)?),
            3 => Self::Digest(option(fields, digest)?),
            4 => Self::Flag(fields.u8()? == 1),
            5 => Self::Done,
            8 => Self::Speed {
                held: fields.u8()? == 1,
            },
            9 => {
                let mut found = Vec::new();
                while !fields.is_empty() {
                    found.push(fields.digest()?);
                }
                Self::Digests(found)
            }
            6 => {
                let kind = fields.u8()?;
                let text = string(fields)?;
                Self::Failed(match kind {
                    0 => StoreError::Full(text),
                    1 => StoreError::Failed(text),
                    2 => StoreError::Unsupported(text),
                    _ => return Err(DecodeError::Value),
                })
            }
            _ => return Err(DecodeError::Value),
        })
    }

    fn has_image_data(&self) -> bool {
        matches!(self, Self::Bytes(Some(_)))
    }
}
