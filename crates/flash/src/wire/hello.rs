//! Payloads of the frames outside the message stream: `HELLO`, `WELCOME`, `REFUSE`, `BUSY`.

use alloc::string::String;
use alloc::vec::Vec;

use nx_image::manifest::Profile;

use crate::wire::codec::{DecodeError, Reader, Writer};
use crate::wire::reject::RejectCode;

/// Payload of `HELLO`. Its layout is the same in every version of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Lowest protocol version that the host speaks.
    pub version_min: u8,
    /// Highest protocol version that the host speaks.
    pub version_max: u8,
    /// Tells one host's attempt from another's; the answer repeats it.
    pub nonce: u64,
    /// Codecs that the host can use: the bits of [`Codec`](crate::wire::Codec).
    pub codecs: u32,
    /// What the host calls itself: printable ASCII.
    pub host: String,
}

impl Hello {
    /// Reads the payload.
    ///
    /// # Errors
    /// When it is not exactly the fields of a `HELLO`.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Reader::new(payload);
        let hello = Self {
            version_min: fields.u8()?,
            version_max: fields.u8()?,
            nonce: fields.u64()?,
            codecs: fields.u32()?,
            host: fields.text()?,
        };
        // Later versions may add fields behind: a device of this version leaves them alone.
        Ok(hello)
    }

    /// Appends the payload.
    pub fn emit(&self, out: &mut Vec<u8>) {
        Writer::new(out)
            .u8(self.version_min)
            .u8(self.version_max)
            .u64(self.nonce)
            .u32(self.codecs)
            .text(&self.host);
    }
}

/// Payload of `WELCOME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The protocol version of the session.
    pub version: u8,
    /// The nonce of the `HELLO` that this answers.
    pub nonce: u64,
    /// The new session's id, never zero.
    pub session: u32,
    /// Which boot of the device this is: a change means that it restarted.
    pub boot: u32,
    /// Bytes of blocks that the host may have open at once.
    pub window: u32,
    /// Most image data in one `DATA` frame, in bytes.
    pub slice_max: u32,
    /// Those of the host's codecs that the device can use.
    pub codecs: u32,
    /// The newest sequence number that arrived in the session before this one.
    pub last_good_seq: u32,
    /// The board the device says it is; empty when it has no opinion.
    pub board: String,
    /// The profile of images it takes.
    pub profile: Profile,
}

impl Welcome {
    /// Reads the payload.
    ///
    /// # Errors
    /// When it is not exactly the fields of a `WELCOME`, or names session zero.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Reader::new(payload);
        let welcome = Self {
            version: fields.u8()?,
            nonce: fields.u64()?,
            session: fields.u32()?,
            boot: fields.u32()?,
            window: fields.u32()?,
            slice_max: fields.u32()?,
            codecs: fields.u32()?,
            last_good_seq: fields.u32()?,
            board: fields.text()?,
            profile: profile(fields.u8()?)?,
        };
        fields.finish()?;
        if welcome.session == 0 {
            return Err(DecodeError::Value);
        }
        Ok(welcome)
    }

    /// Appends the payload.
    pub fn emit(&self, out: &mut Vec<u8>) {
        Writer::new(out)
            .u8(self.version)
            .u64(self.nonce)
            .u32(self.session)
            .u32(self.boot)
            .u32(self.window)
            .u32(self.slice_max)
            .u32(self.codecs)
            .u32(self.last_good_seq)
            .text(&self.board)
            .u8(profile_number(self.profile));
    }
}

pub(super) fn profile(number: u8) -> Result<Profile, DecodeError> {
    match number {
        0 => Ok(Profile::Dev),
        1 => Ok(Profile::Release),
        _ => Err(DecodeError::Value),
    }
}

pub(super) const fn profile_number(profile: Profile) -> u8 {
    match profile {
        Profile::Dev => 0,
        Profile::Release => 1,
    }
}

/// Payload of `REFUSE`. Its layout is the same in every version of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why; a number that this version does not know is kept as it came.
    pub code: u16,
    /// The nonce of the `HELLO` that this answers, or zero.
    pub nonce: u64,
    /// The session that the refused frame named, or zero.
    pub session: u32,
    /// Lowest protocol version that the device speaks.
    pub version_min: u8,
    /// Highest protocol version that the device speaks.
    pub version_max: u8,
}

impl Refusal {
    /// The code, if this version knows it.
    pub fn known_code(&self) -> Option<RejectCode> {
        RejectCode::from_number(self.code)
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// When it is shorter than the fields of a `REFUSE`.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Reader::new(payload);
        Ok(Self {
            code: fields.u16()?,
            nonce: fields.u64()?,
            session: fields.u32()?,
            version_min: fields.u8()?,
            version_max: fields.u8()?,
        })
    }

    /// Appends the payload.
    pub fn emit(&self, out: &mut Vec<u8>) {
        Writer::new(out)
            .u16(self.code)
            .u64(self.nonce)
            .u32(self.session)
            .u8(self.version_min)
            .u8(self.version_max);
    }
}

/// What a device is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusyPhase {
    /// Looking for blocks that it already holds.
    Survey,
    /// Reading back what was written.
    ReadBack,
    /// Installing.
    Install,
    /// Digesting what is installed.
    Verify,
}

impl BusyPhase {
    const ALL: [Self; 4] = [Self::Survey, Self::ReadBack, Self::Install, Self::Verify];

    const fn number(self) -> u8 {
        match self {
            Self::Survey => 0,
            Self::ReadBack => 1,
            Self::Install => 2,
            Self::Verify => 3,
        }
    }
}

/// Payload of `BUSY`: the device works; the host's patience starts anew when `done` has
/// grown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy {
    /// With what.
    pub phase: BusyPhase,
    /// Bytes worked through.
    pub done: u64,
    /// Bytes to work through.
    pub total: u64,
}

impl Busy {
    /// Reads the payload.
    ///
    /// # Errors
    /// When it is not exactly the fields of a `BUSY`.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Reader::new(payload);
        let number = fields.u8()?;
        let phase = BusyPhase::ALL
            .into_iter()
            .find(|phase| phase.number() == number)
            .ok_or(DecodeError::Value)?;
        let busy = Self {
            phase,
            done: fields.u64()?,
            total: fields.u64()?,
        };
        fields.finish()?;
        Ok(busy)
    }

    /// Appends the payload.
    pub fn emit(&self, out: &mut Vec<u8>) {
        Writer::new(out)
            .u8(self.phase.number())
            .u64(self.done)
            .u64(self.total);
    }
}
