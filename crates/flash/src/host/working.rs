//! Whether a device that says it works gets on.

use crate::wire::BusyPhase;

/// Times that the work of a device may begin anew in a session: several times what the survey,
/// the read-back and the install of an image that has to be repaired come to.
const STARTS_MAX: u32 = 32;

/// What a device says of its work.
#[derive(Debug, Default)]
pub(super) struct Working {
    newest: Option<(BusyPhase, u64)>,
    starts: u32,
}

impl Working {
    /// Takes what a `BUSY` says; returns whether something was done since the one before.
    pub(super) fn got_on(&mut self, phase: BusyPhase, done: u64) -> bool {
        let grown = match self.newest.replace((phase, done)) {
            Some((before, had)) if before == phase && had <= done => had < done,
            _ => {
                self.starts = self.starts.saturating_add(1);
                true
            }
        };
        grown && self.starts <= STARTS_MAX
    }
}
