/// What happens to the top-level entries of the state namespace: a closed table.
///
/// There is one, [`Policy::FACTORY`]. It cannot be extended by a caller, a file or a flag: what
/// survives a factory reset is decided in this table, its golden test and
/// `docs/provisioning/factory-reset.md`, together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    untouched: &'static [&'static str],
    kept: &'static [&'static str],
    named: &'static [&'static str],
}

/// How the policy sees one top-level name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Stays, byte for byte.
    Kept,
    /// Goes, as the specification says by name.
    Named,
    /// Goes because nothing says that it stays; shown as `unknown`.
    Unknown,
    /// The reset's own directory: neither listed nor kept, and gone when the reset is done.
    Reserved,
}

/// The reset's own directory below the state root; removed last.
pub(crate) const RESERVED: &str = ".nx-reset";

impl Policy {
    /// The factory reset of the specification.
    pub const FACTORY: Self = Self {
        untouched: &["pkg://trust/**"],
        kept: &["boot", "bootctl", "keystore", "statefsd", "trust"],
        named: &["apps", "content", "settings"],
    };

    /// What becomes of the top-level entry `name`. Bytes are compared: `Trust` is not `trust`.
    pub fn class(&self, name: &[u8]) -> Class {
        let among = |names: &[&str]| names.iter().any(|known| known.as_bytes() == name);
        if name == RESERVED.as_bytes() {
            Class::Reserved
        } else if among(self.kept) {
            Class::Kept
        } else if among(self.named) {
            Class::Named
        } else {
            Class::Unknown
        }
    }

    /// URIs outside the state namespace that a reset never opens.
    pub fn untouched(&self) -> &'static [&'static str] {
        self.untouched
    }

    /// Top-level names that stay, in byte order.
    pub fn kept(&self) -> &'static [&'static str] {
        self.kept
    }

    /// Top-level names that the specification removes, in byte order.
    pub fn named(&self) -> &'static [&'static str] {
        self.named
    }

    /// Whether a directory of this name is a sign that its parent is a state root.
    pub fn knows(&self, name: &[u8]) -> bool {
        matches!(self.class(name), Class::Kept | Class::Named)
    }
}
