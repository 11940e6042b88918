//! What a capture is made of.

/// Numbers of the block types that are read and written.
pub(super) mod kind {
    pub(crate) const SECTION: u32 = 0x0A0D_0D0A;
    pub(crate) const INTERFACE: u32 = 1;
    pub(crate) const PACKET: u32 = 6;
}

/// Numbers of the options that are read and written.
pub(super) mod option {
    pub(crate) const END: u16 = 0;
    pub(crate) const COMMENT: u16 = 1;
    /// In an interface description.
    pub(crate) const NAME: u16 = 2;
    /// In an interface description.
    pub(crate) const RESOLUTION: u16 = 9;
    /// In a packet.
    pub(crate) const FLAGS: u16 = 2;
    /// In a section header.
    pub(crate) const APPLICATION: u16 = 4;
}

/// The number that tells a file's byte order.
pub(super) const BYTE_ORDER: u32 = 0x1A2B_3C4D;

/// What stands next in a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// An interface that the packets behind it may be of.
    Interface(Interface),
    /// One packet.
    Packet(Packet),
}

/// Where packets were captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its number; counts from 0 through the whole file.
    pub id: u32,
    /// What its packets are: [`LINK_BYTES`](super::LINK_BYTES) for the bytes of a link.
    pub link_type: u16,
    /// Its name; empty when it has none.
    pub name: String,
}

/// One captured packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The number of its interface.
    pub interface: u32,
    /// What the packets of that interface are.
    pub link_type: u16,
    /// When, in microseconds since the capture's zero.
    pub time_us: u64,
    /// Which way it went, if that was recorded.
    pub direction: Option<Direction>,
    /// Its bytes, as far as they were kept.
    pub data: Vec<u8>,
    /// How many bytes it had.
    pub original_bytes: u32,
    /// The comment on it.
    pub comment: Option<String>,
}

/// Which way a packet went, seen from where it was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It came in.
    Inbound,
    /// It went out.
    Outbound,
}

impl Direction {
    /// From the two lowest bits of a packet's flags.
    pub(super) const fn from_flags(flags: u32) -> Option<Self> {
        match flags & 0b11 {
            0b01 => Some(Self::Inbound),
            0b10 => Some(Self::Outbound),
            _ => None,
        }
    }

    pub(super) const fn flags(self) -> u32 {
        match self {
            Self::Inbound => 0b01,
            Self::Outbound => 0b10,
        }
    }
}
