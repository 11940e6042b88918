use std::path::Path;

use crate::directory::Directory;
use crate::error::ResetError;
use crate::intent::Standing;
use crate::root::{self, Lock};

/// A state root that is in use: no reset begins in it while this lives.
///
/// Several may hold one at once. The lock is on the root's own descriptor and goes with the
/// process, however that ends.
#[derive(Debug)]
pub struct Hold(#[expect(dead_code, reason = "the lock lives as long as it is open")] Directory);

/// Holds the state root `root` against a reset.
///
/// Writes nothing.
///
/// # Errors
/// `Locked` while a reset runs, `Unfinished` when one has begun and has to be finished first, and
/// what is wrong with a root that is not there or no directory.
pub fn hold(root: &Path) -> Result<Hold, ResetError> {
    let directory = root::directory_at(root)?;
    root::lock(&directory, root, Lock::Looking)?;
    // Looked at under the lock: no reset begins from here on.
    match Standing::of(&directory)? {
        Standing::Clean | Standing::Litter => Ok(Hold(directory)),
        Standing::Begun(_) => Err(ResetError::Unfinished {
            root: root.to_owned(),
        }),
    }
}
