use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use crate::build::stop::Stop;
use crate::build::tree::open;

/// A file of the tree, open only while it is read: a tree may have more files than a process may
/// have open.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    file: Option<File>,
    ended: bool,
    stop: Stop,
}

impl Source {
    pub(super) const fn new(path: PathBuf, stop: Stop) -> Self {
        Self {
            path,
            file: None,
            ended: false,
            stop,
        }
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_wanted() {
            return Err(io::Error::other("stopped"));
        }
        if self.ended {
            return Ok(0);
        }
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
        };
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(open(&self.path).map_err(named)?),
        };
        let had = file.read(buffer).map_err(named)?;
        if had == 0 {
            self.ended = true;
            self.file = None;
        }
        Ok(had)
    }
}
