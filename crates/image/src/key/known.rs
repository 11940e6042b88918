use crate::hex;

/// Where the private half of this key can be read by anyone, if it can.
pub(super) fn origin(public: &[u8; 32]) -> Option<&'static str> {
    KEYS.iter()
        .find(|(digits, _)| hex::parse(digits.as_bytes()).as_ref() == Some(public))
        .map(|(_, origin)| *origin)
}

const KEYS: [(&str, &str); 0] = [];
