use std::fs::File;
use std::ops::Range;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// Knows where a file has holes, which need not be read to know what they hold.
#[derive(Debug)]
pub(crate) struct Holes<'a> {
    file: &'a File,
    /// The hole that was found last; empty at first.
    hole: Range<u64>,
    /// Everything before it is data.
    data_end: u64,
}

impl<'a> Holes<'a> {
    pub(crate) fn of(file: &'a File) -> Self {
        Self {
            file,
            hole: 0..0,
            data_end: 0,
        }
    }

    /// Whether nothing but zeros lies in `range` for sure. Ranges have to ascend.
    pub(crate) fn cover(&mut self, range: Range<u64>) -> bool {
        if range.start >= self.hole.end && range.start >= self.data_end {
            let data = match seek(self.file, SeekFrom::Data(range.start)) {
                Ok(data) => data,
                // No data follows: the hole goes on to the end of the file.
                Err(Errno::NXIO) => self
                    .file
                    .metadata()
                    .map_or(range.start, |found| found.len()),
                // What cannot be asked is data.
                Err(_) => range.start,
            };
            self.hole = range.start..data;
            self.data_end = seek(self.file, SeekFrom::Hole(data))
                .unwrap_or(range.end)
                .max(data);
        }
        range.start >= self.hole.start && range.end <= self.hole.end
    }
}
