//! Where a power cut would hurt most: tests stop a store there, step by step.

use super::error::StorageError;

/// A durable step is next. In tests the store may die here, and stays dead.
#[cfg(not(test))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "in tests it fails, and the callers are the same"
)]
pub(super) const fn here() -> Result<(), StorageError> {
    Ok(())
}

#[cfg(test)]
pub(super) use armed::{disarm, here, in_steps};

#[cfg(test)]
mod armed {
    use std::cell::Cell;
    use std::io;
    use std::path::Path;

    use super::StorageError;

    thread_local! {
        static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    }

    /// The store of this thread dies before durable step number `steps`, counted from zero.
    pub(in super::super) fn in_steps(steps: u32) {
        LEFT.set(Some(steps));
    }

    /// No store dies any more; returns whether one would have.
    pub(in super::super) fn disarm() -> bool {
        LEFT.take() == Some(0)
    }

    pub(in super::super) fn here() -> Result<(), StorageError> {
        match LEFT.get() {
            None => Ok(()),
            Some(0) => Err(StorageError::io("survive a cut at", Path::new("test"))(
                io::Error::other("power cut"),
            )),
            Some(left) => {
                LEFT.set(left.checked_sub(1));
                Ok(())
            }
        }
    }
}
