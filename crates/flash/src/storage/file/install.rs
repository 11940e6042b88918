//! The staged image becomes the installed one, whenever the power goes.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::FileStore;
use crate::storage::error::StorageError;
use crate::storage::journal::Phase;
use crate::storage::readers;
use crate::storage::target::Layout;

impl FileStore {
    /// A rename is the moment at which an image is installed, of its file or, in place, of its
    /// manifest: what follows is finished here if it was cut off.
    pub(super) fn recover(&mut self) -> Result<(), StorageError> {
        let record = self.journal.record();
        if record.phase != Phase::Installing {
            return Ok(());
        }
        let is_there = |path: &Path| fs::symlink_metadata(path).is_ok();
        match self.target.layout {
            // Not renamed: the old image is in place, and the staged one is whole.
            Layout::File if is_there(&self.target.staging) => {
                self.journal.change(|record| record.phase = Phase::Quiet)
            }
            Layout::File => {
                self.target.sync_dir()?;
                self.take_over()
            }
            // Still being written: only its host can finish it.
            Layout::InPlace if is_there(&self.dir.join("staged.json")) => Ok(()),
            Layout::InPlace => match self.manifest("installed", record.staged) {
                Some(_) => self.take_over(),
                None => Ok(()),
            },
        }
    }

    pub(super) fn install(&mut self) -> Result<(), StorageError> {
        self.staging()?;
        self.sync()?;
        // It is let go of at the end: until then nobody else who asks has it.
        let staged = self.staged.take();
        if let Some(file) = &staged {
            self.look_like_the_target(file)?;
            self.ops
                .sync_all(file)
                .map_err(StorageError::io("sync", self.target.written()))?;
            // From here on a staged image that is not there counts as renamed, and one in place as
            // installed: no power cut may take its name.
            if file.metadata().is_ok_and(|found| found.is_file()) {
                self.target.sync_dir()?;
            }
        }
        if self.target.layout == Layout::File {
            if let Some(file) = &staged {
                // What was read back, not what may lie there now.
                self.target.check_staging(file)?;
            }
            self.journal
                .change(|record| record.phase = Phase::Installing)?;
            let (from, to) = (&self.target.staging, &self.target.path);
            self.ops
                .rename(from, to)
                .map_err(StorageError::io("rename", from))?;
            self.target.sync_dir()?;
        }
        self.take_over()
    }

    /// Who could read the old image can read the new one.
    fn look_like_the_target(&self, file: &File) -> Result<(), StorageError> {
        if self.target.layout == Layout::InPlace {
            return Ok(());
        }
        readers::carry_over(&self.target.path, file)
            .map_err(StorageError::io("set the mode of", &self.target.staging))
    }

    /// The manifest of what was staged becomes that of what is installed.
    fn take_over(&mut self) -> Result<(), StorageError> {
        self.places = None;
        self.search = None;
        for name in ["json", "sig"] {
            let from = self.dir.join(format!("staged.{name}"));
            let to = self.dir.join(format!("installed.{name}"));
            match self.ops.rename(&from, &to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StorageError::io("rename", &from)(error));
                }
                _ => {}
            }
        }
        self.sync_dir(&self.dir)?;
        self.journal.change(|record| {
            record.phase = Phase::Quiet;
            record.installed = record.staged.take();
        })
    }
}
