//! What somebody was told, and holds a device to whatever happens.

/// One thing that was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// The store is open, as this boot.
    Boot(u32),
    /// What was offered is kept: its blocks that are durable are not sent again.
    Accepted,
    /// The offered image is installed.
    Installed,
    /// The next boot is recovery.
    BootSet,
    /// The intent of a reset is durable.
    ResetBegun,
    /// The reset is done.
    ResetDone,
}

/// All that was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Promises {
    pub(crate) boot: u32,
    pub(crate) accepted: bool,
    pub(crate) installed: bool,
    pub(crate) boot_set: bool,
    pub(crate) reset_begun: bool,
    pub(crate) reset_done: bool,
}

impl Promises {
    pub(crate) fn take(&mut self, promise: Promise) {
        match promise {
            Promise::Boot(boot) => self.boot = self.boot.max(boot),
            Promise::Accepted => self.accepted = true,
            Promise::Installed => self.installed = true,
            Promise::BootSet => self.boot_set = true,
            Promise::ResetBegun => self.reset_begun = true,
            Promise::ResetDone => self.reset_done = true,
        }
    }
}
