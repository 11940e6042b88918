use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;

use crate::error::NxError;
use crate::exit::Exit;
use crate::reason::Reason;

/// Whether someone wants this run to end: Ctrl-C, a hang-up, or `kill`.
///
/// The first time only sets a flag, so that the work ends where it can go on later. The second ends
/// the process at once.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt {
    wanted: Arc<AtomicBool>,
    /// What has not begun need not.
    enough: Arc<AtomicBool>,
}

impl Interrupt {
    /// Begins to watch.
    ///
    /// # Errors
    /// `internal.unexpected` if the system does not let us.
    pub(crate) fn watch() -> Result<Self, NxError> {
        let wanted = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            register(signal, &wanted).map_err(|error| {
                NxError::new(
                    Reason::InternalUnexpected,
                    format!("cannot watch signals: {error}"),
                )
            })?;
        }
        Ok(Self {
            wanted,
            enough: Arc::default(),
        })
    }

    /// The flag itself, for work that looks at it on its own.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.wanted)
    }

    /// Whether the end is wanted.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::SeqCst)
    }

    /// From here on, the end is wanted of what has [not begun](Self::is_wanted_unbegun).
    pub(crate) fn enough(&self) {
        self.enough.store(true, Ordering::SeqCst);
    }

    /// Whether the end is wanted of work that has not begun.
    pub(crate) fn is_wanted_unbegun(&self) -> bool {
        self.is_wanted() || self.enough.load(Ordering::SeqCst)
    }
}

/// From here on, a file that would get longer than this process may write (`ulimit -f`) is an error
/// of the write, not the end of the process.
pub(crate) fn survive_file_limit() {
    // Without it the system ends the process: no error of ours would be worth more.
    let _ = flag::register(SIGXFSZ, Arc::default());
}

fn register(signal: i32, wanted: &Arc<AtomicBool>) -> io::Result<()> {
    let code = i32::from(Exit::Internal.code());
    // In this order: the second signal finds the flag that the first has set.
    flag::register_conditional_shutdown(signal, code, Arc::clone(wanted))?;
    flag::register(signal, Arc::clone(wanted))?;
    Ok(())
}
