//! A disk that remembers every write and sync, so that it can be seen as a power cut leaves it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use nx_flash::storage::Disk;

pub(crate) const SECTOR: usize = 512;

pub(crate) type Sector = [u8; SECTOR];

/// What a medium holds; what is not there is zero.
pub(crate) type Medium = BTreeMap<u64, Sector>;

/// Something that was done to a disk.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Write(u64, Box<Sector>),
    Sync,
}

#[derive(Debug, Default)]
struct Inner {
    medium: Medium,
    log: Vec<Op>,
}

/// A disk. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct SimDisk {
    size: u64,
    inner: Arc<Mutex<Inner>>,
}

impl SimDisk {
    pub(crate) fn of(medium: Medium, size: u64) -> Self {
        Self {
            size,
            inner: Arc::new(Mutex::new(Inner {
                medium,
                log: Vec::new(),
            })),
        }
    }

    pub(crate) fn blank(size: u64) -> Self {
        Self::of(Medium::new(), size)
    }

    /// What it holds now, written or not.
    pub(crate) fn medium(&self) -> Medium {
        self.inner.lock().unwrap().medium.clone()
    }

    /// What was done since this was asked last.
    pub(crate) fn take_log(&self) -> Vec<Op> {
        std::mem::take(&mut self.inner.lock().unwrap().log)
    }

    /// Changes a byte behind everybody's back.
    pub(crate) fn rot(&self, at: u64) {
        let mut inner = self.inner.lock().unwrap();
        let sector = inner
            .medium
            .entry(at / SECTOR as u64)
            .or_insert([0; SECTOR]);
        sector[at as usize % SECTOR] ^= 0x20;
    }
}

impl Disk for SimDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if offset + buffer.len() as u64 > self.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        read(&self.inner.lock().unwrap().medium, buffer, offset);
        Ok(())
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if offset + bytes.len() as u64 > self.size {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut inner = self.inner.lock().unwrap();
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (number, from) = (at / SECTOR as u64, at as usize % SECTOR);
            let len = rest.len().min(SECTOR - from);
            let mut sector = inner.medium.get(&number).copied().unwrap_or([0; SECTOR]);
            sector[from..from + len].copy_from_slice(&rest[..len]);
            inner.medium.insert(number, sector);
            inner.log.push(Op::Write(number, Box::new(sector)));
            rest = &rest[len..];
            at += len as u64;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.inner.lock().unwrap().log.push(Op::Sync);
        Ok(())
    }
}

/// Reads from a medium.
pub(crate) fn read(medium: &Medium, buffer: &mut [u8], offset: u64) {
    let mut at = offset;
    let mut rest = buffer;
    while !rest.is_empty() {
        let from = at as usize % SECTOR;
        let (piece, more) = rest.split_at_mut(rest.len().min(SECTOR - from));
        match medium.get(&(at / SECTOR as u64)) {
            Some(sector) => piece.copy_from_slice(&sector[from..from + piece.len()]),
            None => piece.fill(0),
        }
        at += piece.len() as u64;
        rest = more;
    }
}

/// Bytes of a medium.
pub(crate) fn bytes(medium: &Medium, offset: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    read(medium, &mut bytes, offset);
    bytes
}
