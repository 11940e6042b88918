//! What is on the wire: frames, and what their payloads say.
//!
//! Each type here parses and emits; parsing what was emitted gives the value back, and no
//! input makes parsing panic. Normative: `docs/provisioning/protocol.md`.

mod ack;
mod baud;
mod codec;
mod deframer;
mod frame;
mod hello;
mod kind;
mod message;
mod object;
mod packed;
mod reject;
mod slots;

pub use ack::{Ack, SeqRange};
pub use baud::{BAUD_BIT, Baud, BaudStep};
pub use codec::{DecodeError, Reader, Writer};
pub use deframer::{Deframer, Piece};
pub use frame::{Frame, FrameError, MAGIC, VERSION};
pub use hello::{Busy, BusyPhase, Hello, Refusal, Welcome};
pub use kind::{Kind, MessageKind};
pub use message::{
    AbortReason, BootTarget, DeviceInfo, FromDevice, FromHost, Need, OfferFlags, Verdict,
    VerifiedSegment,
};
pub use object::Object;
pub use packed::{Codec, Packed};
pub use reject::RejectCode;
pub use slots::{LAYOUT_AB, SlotsInfo};
