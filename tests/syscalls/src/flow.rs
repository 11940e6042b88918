//! Something that a user does, and how it may end.

use std::fmt;

use crate::error::Result;
use crate::report::{Act, Report};
use crate::room::Room;
use crate::world::World;

/// One flow: what is run, which process is the victim, and what has to hold afterwards.
pub(crate) trait Flow: fmt::Debug + Send + Sync {
    /// What `--flow` calls it.
    fn name(&self) -> &'static str;

    /// What the log has when faults of other threads than the first can begin; empty if such
    /// threads change nothing, or threads are not told apart.
    fn begins_aside(&self) -> &'static str {
        ""
    }

    /// Fills the room that every run begins with a copy of.
    ///
    /// # Errors
    /// When the harness cannot.
    fn prepare(&self, world: &World, room: &Room) -> Result<()>;

    /// Runs it, with `act` done to the victim; judges what is left, runs it again without a
    /// fault, and judges that.
    ///
    /// # Errors
    /// When the harness cannot; what the programs do wrong is in the report.
    fn run(&self, world: &World, room: &Room, act: &Act<'_>) -> Result<Report>;
}
