//! The payload of a `BAUD` frame: how both sides move to another line speed.

use alloc::vec::Vec;

use crate::limits::{BAUD_TEST_BYTES, BAUD_TESTS};
use crate::wire::codec::{DecodeError, Reader, Writer};
use crate::wire::frame::Frame;
use crate::wire::kind::Kind;

/// Bit in the codecs of `HELLO` and `WELCOME`: the line's speed can be changed.
pub const BAUD_BIT: u32 = 1 << 31;

/// Payload of `BAUD`. The speed, in baud, is the one in question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Baud {
    /// Speed in baud, never zero.
    pub baud: u32,
    /// What is said of it.
    pub step: BaudStep,
}

/// What a `BAUD` frame says of a speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaudStep {
    /// Host: can you?
    Ask,
    /// Device: yes, and this is the last that I say at the old speed.
    Able,
    /// Device: no.
    Unable,
    /// Host, at the new speed: can you hear me?
    Call,
    /// Host, at the new speed: a piece of the test pattern, with its number.
    Test(u8),
    /// Device, at the new speed: which pieces of the pattern arrived, the first as the lowest bit.
    Heard(u32),
    /// Host, at the new speed: it is good, and I am still here.
    Keep,
    /// Device, at the new speed: so do I.
    Kept,
}

impl BaudStep {
    const fn number(self) -> u8 {
        match self {
            Self::Ask => 1,
            Self::Able => 2,
            Self::Unable => 3,
            Self::Call => 4,
            Self::Test(_) => 5,
            Self::Heard(_) => 6,
            Self::Keep => 7,
            Self::Kept => 8,
        }
    }
}

impl Baud {
    /// What a frame says, if it is a `BAUD` frame and well formed.
    pub fn of(frame: &Frame<'_>) -> Option<Self> {
        let is_baud = frame.kind == Kind::Baud.number();
        is_baud.then(|| Self::parse(frame.payload).ok()).flatten()
    }

    /// Reads the payload. Of a pattern only the frame's own check is looked at.
    ///
    /// # Errors
    /// When it is not the fields of its step, or the speed is zero.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Reader::new(payload);
        let number = fields.u8()?;
        let baud = fields.u32()?;
        let step = match number {
            1 => BaudStep::Ask,
            2 => BaudStep::Able,
            3 => BaudStep::Unable,
            4 => BaudStep::Call,
            5 => {
                let piece = fields.u8()?;
                if u32::from(piece) >= BAUD_TESTS {
                    return Err(DecodeError::Value);
                }
                fields.bytes(BAUD_TEST_BYTES)?;
                BaudStep::Test(piece)
            }
            6 => {
                let heard = fields.u32()?;
                fields.bytes(BAUD_TEST_BYTES)?;
                BaudStep::Heard(heard)
            }
            7 => BaudStep::Keep,
            8 => BaudStep::Kept,
            _ => return Err(DecodeError::Value),
        };
        fields.finish()?;
        if baud == 0 {
            return Err(DecodeError::Value);
        }
        Ok(Self { baud, step })
    }

    /// Appends the payload.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let mut fields = Writer::new(out);
        fields.u8(self.step.number()).u32(self.baud);
        match self.step {
            BaudStep::Test(piece) => fields.u8(piece).bytes(&pattern(piece)),
            // The way back is tested by the answer itself: with what is hardest, edges or none.
            BaudStep::Heard(heard) => fields.u32(heard).bytes(&pattern(2)),
            _ => &mut fields,
        };
    }
}

/// What a piece of the pattern holds: by turns the most edges, the same shifted by a bit, the
/// longest runs of one level, and bytes without a pattern.
fn pattern(piece: u8) -> [u8; BAUD_TEST_BYTES] {
    let mut bytes = [0; BAUD_TEST_BYTES];
    let mut state = u32::from(piece).wrapping_add(1);
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = match piece & 3 {
            0 => 0x55,
            1 => 0xaa,
            2 if at & 16 == 0 => 0x00,
            2 => 0xff,
            _ => {
                // The generator `ranqd1` of Press et al., "Numerical Recipes".
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            }
        };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [BaudStep; 8] = [
        BaudStep::Ask,
        BaudStep::Able,
        BaudStep::Unable,
        BaudStep::Call,
        BaudStep::Test(31),
        BaudStep::Heard(0x8000_0001),
        BaudStep::Keep,
        BaudStep::Kept,
    ];

    #[test]
    fn what_is_emitted_parses_and_nothing_shorter_or_longer_does() {
        for step in STEPS {
            let baud = Baud {
                baud: 921_600,
                step,
            };
            let mut payload = Vec::new();
            baud.emit(&mut payload);
            assert_eq!(Baud::parse(&payload), Ok(baud));
            for len in 0..payload.len() {
                assert!(Baud::parse(&payload[..len]).is_err(), "{step:?} {len}");
            }
            payload.push(0);
            assert!(Baud::parse(&payload).is_err(), "{step:?}");
        }
    }

    #[test]
    fn pieces_beyond_the_pattern_unknown_steps_and_no_speed_are_malformed() {
        let mut payload = Vec::new();
        let step = BaudStep::Test(32);
        Baud { baud: 9_600, step }.emit(&mut payload);
        assert_eq!(Baud::parse(&payload), Err(DecodeError::Value));
        assert_eq!(Baud::parse(&[9, 0, 1, 0, 0]), Err(DecodeError::Value));
        assert_eq!(Baud::parse(&[1, 0, 0, 0, 0]), Err(DecodeError::Value));
    }
}
