use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::BuildError;

/// Whether somebody wants the build to stop.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(Option<Arc<AtomicBool>>);

impl Stop {
    pub(super) const fn new(flag: Option<Arc<AtomicBool>>) -> Self {
        Self(flag)
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// Whether the build is to go on.
    pub(super) fn check(&self) -> Result<(), BuildError> {
        match self.is_wanted() {
            true => Err(BuildError::Stopped),
            false => Ok(()),
        }
    }
}
