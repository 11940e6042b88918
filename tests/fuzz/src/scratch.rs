use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

/// A path in a folder of this thread's own, in memory where there is such a place: some parsers
/// read files only, and a fuzz target writes a million of them.
pub(crate) fn path(name: &str) -> PathBuf {
    FOLDER.with(|folder| {
        let folder = folder.get_or_init(|| {
            let memory = Path::new("/dev/shm");
            let made = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir());
            made.expect("a folder for scratch files")
        });
        folder.path().join(name)
    })
}
