use super::Slot;

/// Why bytes are no part of a boot record, or why a record cannot become another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BootRecordError {
    /// Not of the one length that it has.
    #[error("{got} bytes, and not {want}")]
    Length {
        /// Its length, in bytes.
        got: usize,
        /// The length that it has to have, in bytes.
        want: usize,
    },
    /// Something else lies there, or part of it.
    #[error("not in the form of a boot record from byte {offset} on")]
    Form {
        /// The first byte that is not as it has to be.
        offset: usize,
    },
    /// The number of generation at the end is not the one at the front: torn.
    #[error("generation {front} at the front and {end} at the end")]
    Torn {
        /// At the front.
        front: u32,
        /// At the end.
        end: u32,
    },
    /// Damaged.
    #[error("it does not match its checksum")]
    Crc,
    /// Undamaged and contradictory.
    #[error("it contradicts itself: {what}")]
    Contents {
        /// What is wrong.
        what: &'static str,
    },
    /// There is no generation after the last one.
    #[error("no generation is left after {last}")]
    Exhausted {
        /// The last one.
        last: u32,
    },
    /// The slot is the one that the device falls back to, or the only one that it has.
    #[error("slot {slot} is the confirmed one")]
    Confirmed {
        /// The slot.
        slot: Slot,
    },
    /// A slot is on trial, and has to be confirmed or given up first.
    #[error("slot {slot} is on trial")]
    OnTrial {
        /// The slot.
        slot: Slot,
    },
    /// The record says nothing good of the slot.
    #[error("the record does not name slot {slot}")]
    Unnamed {
        /// The slot.
        slot: Slot,
    },
}
