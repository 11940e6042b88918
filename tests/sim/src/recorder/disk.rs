//! The same, as a store on a disk of fixed size asks for it. The disk is a file of the model.

use std::io;
use std::sync::Arc;

use nx_flash::storage::Disk;

use super::{Entry, Recorder, outcome};
use crate::tree::{Inode, Step};

/// A file of the model as a disk.
#[derive(Clone, Debug)]
pub(crate) struct RecordedDisk {
    pub(crate) recorder: Recorder,
    pub(crate) file: Inode,
}

impl Disk for RecordedDisk {
    fn size(&self) -> u64 {
        let inner = self.recorder.lock();
        inner.live.bytes(self.file).map_or(0, <[u8]>::len) as u64
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let inner = self.recorder.lock();
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let bytes = inner.live.bytes(self.file).unwrap_or_default();
        let found = bytes.get(from..from + buffer.len());
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut inner = self.recorder.lock();
        let strike = inner.strike();
        let part = strike.map_or(bytes.len(), |strike| strike.part(bytes.len()));
        if part > 0 {
            inner.changed(Step::Write {
                file: self.file,
                offset: usize::try_from(offset).map_err(io::Error::other)?,
                bytes: Arc::new(bytes[..part].to_vec()),
            });
        }
        outcome(strike, ())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut inner = self.recorder.lock();
        let strike = inner.strike();
        inner.synced(self.file, strike)?;
        if inner.medium.forget(self.file) {
            inner.log.push(Entry::Forgot(self.file));
            let bytes = inner.medium.durable.bytes(self.file).map(<[u8]>::to_vec);
            inner.live.write(self.file, 0, &bytes.unwrap_or_default());
        }
        Ok(())
    }
}
