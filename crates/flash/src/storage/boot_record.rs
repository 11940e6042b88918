//! The next boot, in a file that the boot loader or `rebootd` reads.

use std::io::Write as _;
use std::path::Path;

use super::error::StorageError;
use super::journal::sync_dir;
use super::readers;
use crate::wire::BootTarget;

/// Writes `next-boot=normal` or `next-boot=recovery`, durably and atomically. Mode and owner stay.
pub(super) fn write(path: &Path, target: BootTarget) -> Result<(), StorageError> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = dir.unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".boot-record")
        .tempfile_in(dir)
        .map_err(StorageError::io("create a file in", dir))?;
    writeln!(file, "next-boot={}", target.as_str()).map_err(StorageError::io("write", path))?;
    readers::carry_over(path, file.as_file()).map_err(StorageError::io("set the mode of", path))?;
    file.as_file()
        .sync_all()
        .map_err(StorageError::io("sync", path))?;
    file.persist(path)
        .map_err(|error| StorageError::io("replace", path)(error.error))?;
    sync_dir(dir)
}
