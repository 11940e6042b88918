//! Regular files, and nothing else.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Opens a regular file for reading.
///
/// # Errors
/// What the system says, or, at once and with the kind `InvalidInput`, that it is something else: a
/// FIFO would keep us waiting for a writer, and a device could be without end. Neither is opened.
pub fn open(path: &Path) -> io::Result<File> {
    let other = || io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
    if !fs::metadata(path)?.is_file() {
        return Err(other());
    }
    let file = File::open(path)?;
    // What was looked at may have been replaced.
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(other())
    }
}
