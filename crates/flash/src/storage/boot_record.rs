//! The next boot, in a file that the boot loader or `rebootd` reads.

use std::path::Path;

use super::error::StorageError;
use super::ops::Ops;
use super::readers;
use super::replace::replace;
use crate::wire::BootTarget;

/// Writes `next-boot=normal` or `next-boot=recovery`, durably and atomically. Mode and owner stay.
pub(super) fn write(ops: &dyn Ops, path: &Path, target: BootTarget) -> Result<(), StorageError> {
    let line = format!("next-boot={}\n", target.as_str());
    replace(ops, path, line.as_bytes(), |file| {
        readers::carry_over(path, file)
    })?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = dir.unwrap_or_else(|| Path::new("."));
    ops.sync_dir(dir).map_err(StorageError::io("sync", dir))
}
