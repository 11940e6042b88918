//! The builder: inputs in, image, manifest and signature out.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::error::BuildError;
use super::gpt;
use super::input::Input;
use super::layout::{Place, STATE_BYTES_DEFAULT, lay_out};
use super::outputs::{Output, folder_of};
use crate::digest::{Digest, Hasher};
use crate::limits::BLOCK_BYTES_DEFAULT;
use crate::manifest::{ImageInfo, Manifest, Profile, Role, Segment, SegmentKind, Table};
use crate::sidecar;
use crate::signer::Signer;
use crate::state::StateHeader;
use crate::tree::RootBuilder;

/// Bytes copied at once; at least the largest block.
const CHUNK_BYTES: usize = 1 << 20;

/// What to build.
#[derive(Clone, Debug)]
pub struct Build {
    /// What kind of device the image is for.
    pub profile: Profile,
    /// The board.
    pub board: String,
    /// For people to read.
    pub image_version: String,
    /// Counts up when older images must no longer be accepted.
    pub rollback_index: u64,
    /// Block size in bytes: a power of two between 4 KiB and 1 MiB.
    pub block_size: u32,
    /// Whether the image gets a partition table.
    pub table: Table,
    /// Length of the state partition in bytes.
    pub state_bytes: u64,
    /// Time of everything that is made from a directory, in seconds since 1970.
    pub mtime: u32,
    /// A boot loader.
    pub bootloader: Option<PathBuf>,
    /// A kernel.
    pub kernel: Option<PathBuf>,
    /// An initrd: a file, or a directory.
    pub initrd: Option<PathBuf>,
    /// A root file system: a file, or a directory.
    pub rootfs: Option<PathBuf>,
    /// A package file system.
    pub pkgfs: Option<PathBuf>,
}

/// How far a build is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A directory is being packed, and read back.
    Packing(SegmentKind),
    /// So many of so many bytes are written.
    Writing {
        /// Bytes done.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// So many of so many bytes of the image are digested.
    Digesting {
        /// Bytes done.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
}

/// What was built.
#[derive(Clone, Debug)]
pub struct Report {
    /// The manifest.
    pub manifest: Manifest,
    /// SHA-256 of its bytes.
    pub manifest_digest: Digest,
    /// Fingerprint of the key that signed, if one did.
    pub signed_by: Option<crate::key::Fingerprint>,
}

impl Build {
    /// An unnamed image of nothing yet, with a partition table.
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            board: "generic".to_owned(),
            image_version: "0".to_owned(),
            rollback_index: 0,
            block_size: BLOCK_BYTES_DEFAULT,
            table: Table::Gpt,
            state_bytes: STATE_BYTES_DEFAULT,
            mtime: 0,
            bootloader: None,
            kernel: None,
            initrd: None,
            rootfs: None,
            pkgfs: None,
        }
    }

    fn inputs(&self) -> impl Iterator<Item = (SegmentKind, &Path)> {
        [
            (SegmentKind::Bootloader, &self.bootloader),
            (SegmentKind::Kernel, &self.kernel),
            (SegmentKind::Initrd, &self.initrd),
            (SegmentKind::Rootfs, &self.rootfs),
            (SegmentKind::Pkgfs, &self.pkgfs),
        ]
        .into_iter()
        .filter_map(|(kind, path)| path.as_deref().map(|path| (kind, path)))
    }

    /// Builds. The outputs replace older ones, each at once and only when all are complete.
    ///
    /// # Errors
    /// What is wrong with an input, an output or the signer; then no output has changed.
    pub fn write(
        &self,
        image: &Path,
        manifest: &Path,
        signature: &Path,
        signer: Option<&dyn Signer>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Report, BuildError> {
        if self.inputs().next().is_none() {
            return Err(BuildError::Empty);
        }
        match signer {
            None if self.profile == Profile::Release => return Err(BuildError::Unsigned),
            None => {}
            Some(signer) => signer
                .public_key()
                .trust(self.profile)
                .map_err(BuildError::Key)?,
        }
        let blocks = sidecar::path_of(manifest);
        let mut names = BTreeSet::new();
        for path in [image, manifest, signature, &blocks] {
            if !names.insert(path) {
                return Err(BuildError::SameFile {
                    path: path.to_owned(),
                });
            }
        }
        let scratch = folder_of(image);
        let mut inputs = Vec::new();
        for (kind, path) in self.inputs() {
            if path.is_dir() {
                progress(Progress::Packing(kind));
            }
            let input = Input::open(kind, path, self.mtime, scratch)?;
            let outputs = [image, manifest, signature, &blocks];
            if let Some(same) = outputs.into_iter().find(|output| input.is(output)) {
                return Err(BuildError::SameFile {
                    path: same.to_owned(),
                });
            }
            inputs.push(input);
        }
        let mut output = Output::begin(image)?;
        let written = self.write_image(&inputs, &mut output, image, progress)?;
        let raw = written.manifest.encode();
        Manifest::parse(&raw).map_err(BuildError::Format)?;
        let signed = signer
            .map(|signer| signer.sign(&raw))
            .transpose()
            .map_err(BuildError::Signer)?;
        let mut small = vec![Output::of(&blocks, &sidecar::to_bytes(&written.blocks))?];
        if let Some(signed) = &signed {
            small.push(Output::of(signature, signed)?);
        }
        small.push(Output::of(manifest, &raw)?);
        output.sync()?;
        for output in &small {
            output.sync()?;
        }
        // The manifest comes last: it never vouches for an image that is not there yet.
        output.commit()?;
        for output in small {
            output.commit()?;
        }
        Ok(Report {
            manifest_digest: Manifest::digest_of(&raw),
            manifest: written.manifest,
            signed_by: signer.map(|signer| signer.public_key().fingerprint()),
        })
    }

    fn write_image(
        &self,
        inputs: &[Input],
        output: &mut Output,
        path: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Written, BuildError> {
        let header = StateHeader {
            partition_bytes: self.state_bytes,
        }
        .encode();
        let mut sizes: Vec<_> = inputs
            .iter()
            .map(|input| (input.kind, input.size))
            .collect();
        sizes.push((SegmentKind::State, u64::try_from(header.len()).unwrap_or(0)));
        let layout = lay_out(&sizes, self.table, self.state_bytes).map_err(BuildError::Format)?;
        let total = layout.image_bytes;
        let file = output.file();
        file.set_len(total)
            .map_err(BuildError::io("extend", path))?;
        let mut done = 0;
        let mut found: Vec<(Place, Hashed)> = Vec::new();
        for place in layout
            .places
            .iter()
            .filter(|place| place.kind.role() != Role::Table)
        {
            let mut hashing = Hashing::new(self.block_size);
            match inputs.iter().find(|input| input.kind == place.kind) {
                Some(input) => {
                    copy(input, place, file, path, &mut hashing, &mut |bytes| {
                        done = bytes;
                        progress(Progress::Writing { done, total });
                    })?;
                    input.check_unchanged()?;
                }
                None => {
                    hashing.update(&header);
                    file.write_all_at(&header, place.offset)
                        .map_err(BuildError::io("write", path))?;
                }
            }
            found.push((*place, hashing.finish()));
        }
        if self.table == Table::Gpt {
            let partitions: Vec<_> = found
                .iter()
                .map(|(place, hashed)| (*place, hashed.sha256))
                .collect();
            gpt::write(file, &self.board, &partitions)?;
            for place in layout
                .places
                .iter()
                .filter(|place| place.kind.role() == Role::Table)
            {
                let mut bytes = vec![0; usize::try_from(place.size).unwrap_or(0)];
                file.read_exact_at(&mut bytes, place.offset)
                    .map_err(BuildError::io("read", path))?;
                let mut hashing = Hashing::new(self.block_size);
                hashing.update(&bytes);
                found.push((*place, hashing.finish()));
            }
        }
        found.sort_by_key(|(place, _)| place.offset);
        let sha256 = digest_of_file(file, total, &mut |done| {
            progress(Progress::Digesting { done, total });
        })
        .map_err(BuildError::io("read", path))?;
        let segments = found
            .iter()
            .map(|(place, hashed)| Segment {
                name: place.kind.as_str().to_owned(),
                kind: place.kind,
                role: place.kind.role(),
                offset: place.offset,
                size: place.size,
                sha256: hashed.sha256,
                block_root: hashed.root,
            })
            .collect();
        let manifest = Manifest {
            image: ImageInfo {
                size: total,
                sha256,
                board: self.board.clone(),
                profile: self.profile,
                image_version: self.image_version.clone(),
                rollback_index: self.rollback_index,
                block_size: self.block_size,
                table: self.table,
            },
            segments,
        };
        let blocks = found
            .into_iter()
            .flat_map(|(_, hashed)| hashed.blocks)
            .collect();
        Ok(Written { manifest, blocks })
    }
}

struct Written {
    manifest: Manifest,
    blocks: Vec<Digest>,
}

struct Hashed {
    sha256: Digest,
    root: Digest,
    blocks: Vec<Digest>,
}

/// A segment's digest and its blocks', from bytes in any pieces.
struct Hashing {
    block_size: usize,
    whole: Hasher,
    block: Hasher,
    in_block: usize,
    blocks: Vec<Digest>,
    root: RootBuilder,
}

impl Hashing {
    fn new(block_size: u32) -> Self {
        Self {
            block_size: usize::try_from(block_size).unwrap_or(usize::MAX).max(1),
            whole: Digest::hasher(),
            block: Digest::hasher(),
            in_block: 0,
            blocks: Vec::new(),
            root: RootBuilder::new(),
        }
    }

    fn update(&mut self, mut bytes: &[u8]) {
        self.whole.update(bytes);
        while !bytes.is_empty() {
            let room = self.block_size.saturating_sub(self.in_block);
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.block.update(now);
            self.in_block = self.in_block.saturating_add(now.len());
            if self.in_block == self.block_size {
                self.end_block();
            }
            bytes = rest;
        }
    }

    fn end_block(&mut self) {
        let digest = std::mem::take(&mut self.block).finish();
        self.root.push(&digest);
        self.blocks.push(digest);
        self.in_block = 0;
    }

    fn finish(mut self) -> Hashed {
        if self.in_block > 0 {
            self.end_block();
        }
        let (root, _) = self.root.finish();
        Hashed {
            sha256: self.whole.finish(),
            root,
            blocks: self.blocks,
        }
    }
}

/// Copies an input into its place; chunks of zeros stay holes.
fn copy(
    input: &Input,
    place: &Place,
    image: &File,
    path: &Path,
    hashing: &mut Hashing,
    wrote: &mut dyn FnMut(u64),
) -> Result<(), BuildError> {
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut at = 0_u64;
    while at < place.size {
        let want = usize::try_from(place.size.saturating_sub(at)).unwrap_or(CHUNK_BYTES);
        let chunk = buffer.get_mut(..want.min(CHUNK_BYTES)).unwrap_or_default();
        match input.file.read_exact_at(chunk, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let path = input.path.clone();
                return Err(BuildError::Changed {
                    segment: input.kind.as_str(),
                    path,
                });
            }
            other => other.map_err(BuildError::io("read", &input.path))?,
        }
        hashing.update(chunk);
        let to = place.offset.saturating_add(at);
        if chunk.iter().any(|byte| *byte != 0) {
            image
                .write_all_at(chunk, to)
                .map_err(BuildError::io("write", path))?;
        }
        at = at.saturating_add(u64::try_from(chunk.len()).unwrap_or(0));
        wrote(place.offset.saturating_add(at));
    }
    Ok(())
}

fn digest_of_file(file: &File, len: u64, each: &mut dyn FnMut(u64)) -> io::Result<Digest> {
    let mut hasher = Digest::hasher();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut at = 0_u64;
    while at < len {
        let want = usize::try_from(len.saturating_sub(at)).unwrap_or(CHUNK_BYTES);
        let chunk = buffer.get_mut(..want.min(CHUNK_BYTES)).unwrap_or_default();
        file.read_exact_at(chunk, at)?;
        hasher.update(chunk);
        at = at.saturating_add(u64::try_from(chunk.len()).unwrap_or(0));
        each(at);
    }
    Ok(hasher.finish())
}
