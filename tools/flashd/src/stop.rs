//! Being told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;

use crate::error::FlashdError;

/// Whether somebody wants `flashd` to stop. The second signal ends the process at once, which
/// costs what was received since the last checkpoint and nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    wanted: Arc<AtomicBool>,
}

impl Stop {
    /// Begins to watch for SIGINT and SIGTERM; SIGXFSZ ends nothing from here on.
    pub(crate) fn watch() -> Result<Self, FlashdError> {
        let wanted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the second signal finds the flag that the first has set.
            flag::register_conditional_shutdown(signal, 7, Arc::clone(&wanted))
                .and_then(|_| flag::register(signal, Arc::clone(&wanted)))
                .map_err(FlashdError::Signals)?;
        }
        // A file that would get too long for this process (`ulimit -f`) is an error of the write.
        flag::register(SIGXFSZ, Arc::default()).map_err(FlashdError::Signals)?;
        Ok(Self { wanted })
    }

    /// Whether the end is wanted.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::SeqCst)
    }
}
