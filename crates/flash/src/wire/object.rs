//! What `META` frames carry slices of.

/// Something that the host sends beside image data, by number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Object {
    /// 64 bytes of signature, then the manifest.
    Offer,
    /// The digests of all pages of a segment, 32 bytes each.
    Directory {
        /// Index of the segment in the manifest.
        segment: u8,
    },
    /// The digests of up to 1,024 blocks of a segment, 32 bytes each.
    Page {
        /// Index of the segment in the manifest.
        segment: u8,
        /// Index of the page in the segment.
        page: u16,
    },
    /// The rolling sums of up to 1,024 blocks of a segment, 4 bytes each.
    Sums {
        /// Index of the segment in the manifest.
        segment: u8,
        /// Index of the page in the segment.
        page: u16,
    },
}

impl Object {
    /// The number on the wire: a class in the top byte, then the segment, then the page.
    pub const fn number(self) -> u32 {
        match self {
            Self::Offer => 0,
            Self::Directory { segment } => (1 << 24) | ((segment as u32) << 16),
            Self::Page { segment, page } => (2 << 24) | ((segment as u32) << 16) | page as u32,
            Self::Sums { segment, page } => (3 << 24) | ((segment as u32) << 16) | page as u32,
        }
    }

    /// The object with this number.
    pub fn from_number(number: u32) -> Option<Self> {
        let [low, high, segment, class] = number.to_le_bytes();
        let page = u16::from_le_bytes([low, high]);
        match (class, segment, page) {
            (0, 0, 0) => Some(Self::Offer),
            (1, segment, 0) => Some(Self::Directory { segment }),
            (2, segment, page) => Some(Self::Page { segment, page }),
            (3, segment, page) => Some(Self::Sums { segment, page }),
            _ => None,
        }
    }
}
