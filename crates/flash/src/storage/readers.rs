//! Who may read a file, and the one that takes its place.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::Path;

/// Gives `file` the mode and, where this process may, the owner of what is at `path`. Where nothing
/// is there, it stays as it is.
pub(super) fn carry_over(path: &Path, file: &File) -> io::Result<()> {
    let Ok(found) = fs::metadata(path) else {
        return Ok(());
    };
    // Only root may give files away; without it the new file is this user's.
    let _ = fchown(file, Some(found.uid()), Some(found.gid()));
    file.set_permissions(found.permissions())
}
