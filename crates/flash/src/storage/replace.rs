//! A small file takes another's place, whole.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::error::StorageError;
use super::ops::{Create, Ops};

/// Puts a file of these bytes in the place of what is at `path`; `dress` gives it mode and owner.
/// Its bytes are durable when it returns, its name is once the folder is synced.
///
/// The new file's name is always the same one, so that power cuts leave one such file at most.
pub(super) fn replace(
    ops: &dyn Ops,
    path: &Path,
    bytes: &[u8],
    dress: impl FnOnce(&File) -> io::Result<()>,
) -> Result<(), StorageError> {
    let new = beside(path);
    match ops.remove(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(StorageError::io("remove", &new)(error));
        }
        _ => {}
    }
    let file = ops
        .create(&new, Create::New)
        .map_err(StorageError::io("create", &new))?;
    let filled = ops
        .write_at(&file, bytes, 0)
        .map_err(StorageError::io("write", &new))
        .and_then(|()| dress(&file).map_err(StorageError::io("set the mode of", &new)))
        .and_then(|()| ops.sync_all(&file).map_err(StorageError::io("sync", &new)))
        .and_then(|()| {
            ops.rename(&new, path)
                .map_err(StorageError::io("replace", path))
        });
    if filled.is_err() {
        // It would only be in the way of whoever looks there.
        let _ = ops.remove(&new);
    }
    filled
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.nx-new"))
}
