//! An image's file, proven against its manifest and read block by block.

use std::fs::File;
use std::path::{Path, PathBuf};

use nx_image::digest::Digest;
use nx_image::limits::PAGE_BLOCKS;
use nx_image::manifest::Manifest;
use nx_image::tree;

use super::error::{SourceError, open};
use crate::blocks::BlockMap;
use crate::extents::{each_nonzero, next_data, read_at};
use crate::host::{Outcome, Request};
use crate::pack::pack;
use crate::rolling;

/// An image's file, proven against its manifest. Holds 32 bytes for each block.
#[derive(Debug)]
pub struct ImageSource {
    path: PathBuf,
    file: File,
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
            Request::Block { number, codec, .. } => {
                let block = self.block(number);
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

    fn block(&self, number: u32) -> Result<Vec<u8>, SourceError> {
        let changed = || SourceError::Changed {
            path: self.path.clone(),
        };
        let block = self.map.by_number(number).ok_or_else(changed)?;
        let mut bytes = vec![0; usize::try_from(block.bytes).unwrap_or(0)];
        let had = read_at(&self.file, &mut bytes, block.offset)
            .map_err(SourceError::io("read", &self.path))?;
        let known = usize::try_from(number)
            .ok()
            .and_then(|n| self.blocks.get(n));
        if had != bytes.len() || known != Some(&Digest::of(&bytes)) {
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
            let pages = u32::from(self.map.page_count(segment));
            let blocks = (0..pages)
                .filter_map(|page| u16::try_from(page).ok())
                .map(|page| self.map.page_blocks(segment, page))
                .fold(0_u32, u32::saturating_add);
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
        let mut zeros = None;
        let count = usize::try_from(self.map.block_count()).unwrap_or(0);
        self.blocks.reserve_exact(count);
        for (index, segment) in manifest.segments.iter().enumerate() {
            self.prove_gap(end, segment.offset)?;
            end = segment.end();
            let mut root = tree::RootBuilder::new();
            let number = u8::try_from(index).unwrap_or(u8::MAX);
            for block in 0..segment.block_count(manifest.image.block_size) {
                let Some(block) = self.map.in_segment(number, block) else {
                    break;
                };
                let digest = self.digest(block.offset, block.bytes, &mut zeros)?;
                root.push(&digest);
                self.blocks.push(digest);
                if !look(block.offset.saturating_add(u64::from(block.bytes))) {
                    let path = self.path.clone();
                    return Err(SourceError::Stopped { path });
                }
            }
            if root.finish().0 != segment.block_root {
                return Err(SourceError::Segment {
                    path: self.path.clone(),
                    segment: segment.name.clone(),
                });
            }
        }
        self.prove_gap(end, manifest.image.size)
    }

    /// `zeros` remembers the digest of a hole: all of one length have one.
    fn digest(
        &self,
        offset: u64,
        len: u32,
        zeros: &mut Option<(u32, Digest)>,
    ) -> Result<Digest, SourceError> {
        let end = offset.saturating_add(u64::from(len));
        let hole = next_data(&self.file, offset) >= end;
        if let Some((_, digest)) = zeros.filter(|(known, _)| hole && *known == len) {
            return Ok(digest);
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        let had =
            read_at(&self.file, &mut bytes, offset).map_err(SourceError::io("read", &self.path))?;
        if had != bytes.len() {
            let path = self.path.clone();
            return Err(SourceError::Changed { path });
        }
        let digest = Digest::of(&bytes);
        if hole {
            *zeros = Some((len, digest));
        }
        Ok(digest)
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

fn concatenated(digests: &[Digest]) -> Vec<u8> {
    let bytes = digests.iter().map(Digest::as_bytes);
    bytes.flatten().copied().collect()
}

#[cfg(test)]
mod tests;
