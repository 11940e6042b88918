use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::path::PathBuf;

use super::ahead;
use crate::build::stop::Stop;
use crate::build::tree::open;

/// A file of the tree: what of it was read ahead, or else the file, which is open only while it
/// is read, because a tree may have more files than a process may have open.
#[derive(Debug)]
pub(super) struct Source {
    entry: usize,
    path: PathBuf,
    size: u64,
    /// Bytes given.
    offset: u64,
    file: Option<File>,
    stop: Stop,
}

impl Source {
    pub(super) const fn new(entry: usize, path: PathBuf, size: u64, stop: Stop) -> Self {
        Self {
            entry,
            path,
            size,
            offset: 0,
            file: None,
            stop,
        }
    }

    fn read_file(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let mut file = open(&self.path)?;
                file.seek(io::SeekFrom::Start(self.offset))?;
                none.insert(file)
            }
        };
        let had = file.read(buffer)?;
        if had == 0 {
            // It became shorter, and is not read any more.
            self.size = self.offset;
        }
        Ok(had)
    }
}

impl Read for Source {
    /// No more than the file had when the tree was walked.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_wanted() {
            return Err(io::Error::other("stopped"));
        }
        let left = self.size.saturating_sub(self.offset);
        if left == 0 {
            self.file = None;
            return Ok(0);
        }
        let room = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let buffer = buffer.get_mut(..room).unwrap_or_default();
        let ahead = match self.file {
            None => ahead::read(self.entry, self.offset, buffer),
            Some(_) => None,
        };
        let had = match ahead {
            Some(had) => had,
            None => self.read_file(buffer).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
            })?,
        };
        self.offset = self.offset.saturating_add(had as u64);
        Ok(had)
    }
}
