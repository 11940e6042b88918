//! The kinds of frames and of messages, by number.

/// What a frame is. The number is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Host to device, outside any session: asks for one.
    Hello = 1,
    /// Device to host, outside any session: names the new one.
    Welcome = 2,
    /// Device to host, outside any session: why there is none.
    Refuse = 3,
    /// Either way: a reliable, ordered message.
    Message = 4,
    /// Host to device: a slice of a block of the image.
    Data = 5,
    /// Host to device: a slice of the manifest or of block digests.
    Meta = 6,
    /// Either way: which frames have arrived. Never acknowledged itself.
    Ack = 7,
    /// Device to host: working, and how far. Never acknowledged.
    Busy = 8,
    /// Host to device: a slice of a block that is packed.
    Packed = 9,
    /// Either way: moving to another line speed. Never acknowledged.
    Baud = 11,
}

impl Kind {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 10] = [
        Self::Hello,
        Self::Welcome,
        Self::Refuse,
        Self::Message,
        Self::Data,
        Self::Meta,
        Self::Ack,
        Self::Busy,
        Self::Packed,
        Self::Baud,
    ];

    /// The kind with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Whether a frame of this kind is answered by an acknowledgement.
    pub const fn is_acknowledged(self) -> bool {
        matches!(self, Self::Message | Self::Data | Self::Meta | Self::Packed)
    }
}

/// What a message is. The number is the first byte of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MessageKind {
    /// `INFO?`: who are you, and what do you hold?
    Info = 1,
    /// `MANIFEST`: here comes a signed manifest of this length.
    Offer = 2,
    /// `WRITE seg=<name> off=?`: which blocks of this segment do you need?
    Write = 3,
    /// `DONE`: every block you asked for was sent; prove and install.
    Done = 4,
    /// `ABORT`: the session ends here.
    Abort = 5,
    /// `VERIFY`: digest what is installed.
    Verify = 6,
    /// `REBOOT normal|recovery`.
    Reboot = 7,
    /// `SLOTS?`: what is a disk with two slots at?
    Slots = 8,
    /// The answer to `INFO?`.
    DeviceInfo = 65,
    /// The device wants an object: a directory or a page of block digests.
    Want = 66,
    /// The manifest is signed, fits this device, and is accepted.
    Accepted = 67,
    /// The answer to `WRITE`: the blocks of one page that the device needs.
    Need = 68,
    /// Proven by read-back and installed.
    Installed = 69,
    /// The answer to `VERIFY`.
    Verified = 70,
    /// The answer to `REBOOT`: the next boot is set.
    Rebooting = 71,
    /// The command is refused; the code says why.
    Rejected = 72,
    /// The answer to `SLOTS?`.
    DeviceSlots = 73,
}

impl MessageKind {
    /// Every message kind, in the order of its number.
    pub const ALL: [Self; 17] = [
        Self::Info,
        Self::Offer,
        Self::Write,
        Self::Done,
        Self::Abort,
        Self::Verify,
        Self::Reboot,
        Self::Slots,
        Self::DeviceInfo,
        Self::Want,
        Self::Accepted,
        Self::Need,
        Self::Installed,
        Self::Verified,
        Self::Rebooting,
        Self::Rejected,
        Self::DeviceSlots,
    ];

    /// The message kind with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }
}
