//! An image's file, proven against its manifest and read block by block.

use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nx_image::digest::Digest;
use nx_image::limits::PAGE_BLOCKS;
use nx_image::manifest::Manifest;
use nx_image::tree;

use super::error::{SourceError, open};
use super::proof::block_digests;
use crate::blocks::BlockMap;
use crate::extents::{each_nonzero, read_at};
use crate::host::{Outcome, Request};
use crate::pack::pack;
use crate::rolling;

/// An image's file, proven against its manifest. Holds 32 bytes for each block.
#[derive(Debug)]
pub struct ImageSource {
    path: PathBuf,
    file: File,
    /// What the file looked like before it was proven.
    stamp: Stamp,
    map: BlockMap,
    /// Digests of the blocks, by number.
    blocks: Vec<Digest>,
}

impl ImageSource {
    /// Opens an image and reads it once, in constant memory but for the digests: its length, the
    /// block root of every segment, and zeros between them.
    ///
    /// `look` is told how many bytes are read; the reading ends when it says `false`.
    ///
    /// # Errors
    /// A file that is not the image of this manifest, or cannot be read.
    pub fn open(
        path: &Path,
        manifest: &Manifest,
        look: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Self, SourceError> {
        let file = open(path)?;
        let found = file.metadata().map_err(SourceError::io("look at", path))?;
        let (want, got) = (manifest.image.size, found.len());
        if want != got {
            let path = path.to_owned();
            return Err(SourceError::Size { path, want, got });
        }
        let mut source = Self {
            path: path.to_owned(),
            file,
            stamp: Stamp::of(&found),
            map: BlockMap::of(manifest),
            blocks: Vec::new(),
        };
        source.prove(manifest, look)?;
        Ok(source)
    }

    /// Where the blocks lie.
    pub const fn map(&self) -> &BlockMap {
        &self.map
    }

    /// Answers a request of the host's machine.
    pub fn serve(&self, request: &Request) -> Outcome {
        let answer = match *request {
            Request::Block {
                number,
                codec,
                again,
                ..
            } => {
                let block = self.block(number, again);
                if let (Ok(block), Some(codec)) = (&block, codec)
                    && let Some(packed) = pack(codec, block)
                {
                    return Outcome::Packed(codec, packed);
                }
                block
            }
            Request::Directory { segment } => {
                let pages = self.pages(segment);
                let digests: Vec<Digest> = pages.map(tree::page_digest).collect();
                Ok(concatenated(&digests))
            }
            Request::Page { segment, page } => {
                let mut pages = self.pages(segment);
                let digests = pages.nth(usize::from(page)).unwrap_or_default();
                Ok(concatenated(digests))
            }
            Request::Sums { segment, page } => self.sums(segment, page),
            // No file's matter.
            Request::Speed(_) => return Outcome::Speed { held: false },
        };
        match answer {
            Ok(bytes) => Outcome::Bytes(bytes),
            Err(error) => {
                let text = match std::error::Error::source(&error) {
                    Some(source) => format!("{error}: {source}"),
                    None => error.to_string(),
                };
                Outcome::Failed(text)
            }
        }
    }

    /// A block of the file as it was proven. To digest it once more is left to the device, which
    /// does so anyway: only what it finds wrong is digested here, so that the fault is found where
    /// it is.
    fn block(&self, number: u32, is_doubted: bool) -> Result<Vec<u8>, SourceError> {
        let changed = || SourceError::Changed {
            path: self.path.clone(),
        };
        let block = self.map.by_number(number).ok_or_else(changed)?;
        let mut bytes = vec![0; usize::try_from(block.bytes).unwrap_or(0)];
        let had = read_at(&self.file, &mut bytes, block.offset)
            .map_err(SourceError::io("read", &self.path))?;
        // After the reading: a change before it shows.
        let found = self.file.metadata();
        let found = found.map_err(SourceError::io("look at", &self.path))?;
        let is_proven = || {
            let number = usize::try_from(number).unwrap_or(usize::MAX);
            self.blocks.get(number) == Some(&Digest::of(&bytes))
        };
        if had != bytes.len() || Stamp::of(&found) != self.stamp || is_doubted && !is_proven() {
            return Err(changed());
        }
        Ok(bytes)
    }

    /// The rolling sums of the blocks of a page.
    fn sums(&self, segment: u8, page: u16) -> Result<Vec<u8>, SourceError> {
        let mut sums = Vec::new();
        for index in 0..self.map.page_blocks(segment, page) {
            let Some(block) = self.map.in_page(segment, page, index) else {
                break;
            };
            let mut bytes = vec![0; usize::try_from(block.bytes).unwrap_or(0)];
            // A file that changed meanwhile shows when its blocks are sent.
            read_at(&self.file, &mut bytes, block.offset)
                .map_err(SourceError::io("read", &self.path))?;
            sums.extend(rolling::sum(&bytes).to_le_bytes());
        }
        Ok(sums)
    }

    /// The block digests of a segment, page by page.
    fn pages(&self, segment: u8) -> impl Iterator<Item = &[Digest]> {
        let span = self.map.in_segment(segment, 0).and_then(|first| {
            let from = usize::try_from(first.number).ok()?;
            let blocks = self.map.blocks_of(segment);
            let to = from.checked_add(usize::try_from(blocks).ok()?)?;
            self.blocks.get(from..to)
        });
        let page = usize::try_from(PAGE_BLOCKS).unwrap_or(1);
        span.unwrap_or_default().chunks(page)
    }

    fn prove(
        &mut self,
        manifest: &Manifest,
        look: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), SourceError> {
        let mut end = 0;
        let count = usize::try_from(self.map.block_count()).unwrap_or(0);
        self.blocks.reserve_exact(count);
        for (segment, index) in manifest.segments.iter().zip(0..=u8::MAX) {
            self.prove_gap(end, segment.offset)?;
            end = segment.end();
            let digests = block_digests(&self.path, &self.file, &self.map, index, look)?;
            let mut root = tree::RootBuilder::new();
            for digest in &digests {
                root.push(digest);
            }
            if root.finish().0 != segment.block_root {
                return Err(SourceError::Segment {
                    path: self.path.clone(),
                    segment: segment.name.clone(),
                });
            }
            self.blocks.extend(digests);
        }
        self.prove_gap(end, manifest.image.size)
    }

    fn prove_gap(&self, from: u64, to: u64) -> Result<(), SourceError> {
        let mut first = None;
        each_nonzero(
            &self.file,
            from,
            to.saturating_sub(from),
            &mut |at, bytes| {
                let place = bytes.iter().position(|byte| *byte != 0).unwrap_or(0);
                first = Some(at.saturating_add(u64::try_from(place).unwrap_or(0)));
                Ok(false)
            },
        )
        .map_err(SourceError::io("read", &self.path))?;
        match first {
            Some(offset) => Err(SourceError::Gap {
                path: self.path.clone(),
                offset,
            }),
            None => Ok(()),
        }
    }
}

/// What tells that a file was written to, but for what happens within one tick of its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        Self {
            len: found.len(),
            modified: found.modified().ok(),
        }
    }
}

fn concatenated(digests: &[Digest]) -> Vec<u8> {
    let bytes = digests.iter().map(Digest::as_bytes);
    bytes.flatten().copied().collect()
}

#[cfg(test)]
mod tests;
