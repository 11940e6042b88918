//! The builder: inputs in, image, manifest and signature out.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::compose::compose;
use super::error::BuildError;
use super::input::Input;
use super::layout::{
    Rooms, SEGMENT_ALIGN_BYTES, SLOT_ROOM_PERCENT_DEFAULT, SLOT_ROOM_PERCENT_MAX,
    STATE_BYTES_DEFAULT,
};
use super::outputs::{Output, folder_of};
use super::stop::Stop;
use super::tree::{HardLinks, Xattrs};
use crate::digest::Digest;
use crate::limits::{BLOCK_BYTES_DEFAULT, IMAGE_BYTES_MAX, SIGNATURE_BYTES};
use crate::manifest::{ImageInfo, Manifest, Profile, SegmentKind, Slots, Table};
use crate::sidecar;
use crate::signer::Signer;
use crate::state::StateHeader;

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
    /// How many sets of slot partitions the disk has; two need a partition table.
    pub slots: Slots,
    /// With two slots: how much larger than what it holds a slot partition is, in per cent.
    pub slot_room_percent: u32,
    /// Length of the state partition in bytes: a multiple of 1 MiB.
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
    /// What to do about files with several names in a directory.
    pub hard_links: HardLinks,
    /// What to do about extended attributes in a directory.
    pub xattrs: Xattrs,
    /// Ends the build early, without a trace, once it is set.
    pub stop: Option<Arc<AtomicBool>>,
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
    /// So many of so many bytes of the image are read back and digested.
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
            slots: Slots::One,
            slot_room_percent: SLOT_ROOM_PERCENT_DEFAULT,
            state_bytes: STATE_BYTES_DEFAULT,
            mtime: 0,
            bootloader: None,
            kernel: None,
            initrd: None,
            rootfs: None,
            pkgfs: None,
            hard_links: HardLinks::default(),
            xattrs: Xattrs::default(),
            stop: None,
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

    /// Builds. The outputs replace older ones, each at once and only when all are complete; the
    /// block digests go beside the manifest ([`sidecar::path_of`]). Without a signer, an older
    /// signature is removed.
    ///
    /// # Errors
    /// What is wrong with an input, an output or the signer; then no output has changed, unless
    /// the operating system refused to rename one of several complete outputs. What then lies
    /// there does not verify.
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
        self.check_numbers()?;
        let blocks = sidecar::path_of(manifest);
        let outputs = [image, manifest, signature, &blocks];
        self.check_names(&outputs)?;
        let scratch = folder_of(image);
        let mut inputs = Vec::new();
        for (kind, path) in self.inputs() {
            if path.is_dir() {
                progress(Progress::Packing(kind));
            }
            let input = Input::open(kind, path, self, scratch)?;
            if let Some(same) = outputs.into_iter().find(|output| input.is(output)) {
                return Err(BuildError::SameFile {
                    path: same.to_owned(),
                });
            }
            self.check_stop()?;
            inputs.push(input);
        }
        let mut output = Output::begin(image)?;
        let mut table = Output::begin(&blocks)?;
        let composed = compose(
            self,
            &inputs,
            (output.file(), image),
            (table.file(), &blocks),
            progress,
        )?;
        let raw = composed.encode();
        Manifest::parse(&raw).map_err(BuildError::Format)?;
        let signed = signer.map(|signer| sign(signer, &raw)).transpose()?;
        let mut small = vec![table];
        if let Some(signed) = &signed {
            small.push(Output::of(signature, signed)?);
        }
        small.push(Output::of(manifest, &raw)?);
        output.sync()?;
        for output in &small {
            output.sync()?;
        }
        self.check_stop()?;
        // The manifest comes last: it never vouches for an image that is not there yet.
        output.commit()?;
        if signed.is_none() {
            // A signature of an older manifest would only be wrong for this one.
            remove_stale(signature)?;
        }
        for output in small {
            output.commit()?;
        }
        Ok(Report {
            manifest_digest: Manifest::digest_of(&raw),
            manifest: composed,
            signed_by: signer.map(|signer| signer.public_key().fingerprint()),
        })
    }

    /// What the manifest will say of the image, as far as that is known in advance.
    pub(super) fn image_info(&self, size: u64, sha256: Digest) -> ImageInfo {
        ImageInfo {
            size,
            sha256,
            board: self.board.clone(),
            profile: self.profile,
            image_version: self.image_version.clone(),
            rollback_index: self.rollback_index,
            block_size: self.block_size,
            table: self.table,
            slots: self.slots,
        }
    }

    pub(super) fn rooms(&self) -> Rooms {
        Rooms {
            table: self.table,
            slots: self.slots,
            slot_room_percent: self.slot_room_percent,
            state_bytes: self.state_bytes,
        }
    }

    pub(super) fn state_header(&self) -> StateHeader {
        StateHeader {
            partition_bytes: self.state_bytes,
        }
    }

    pub(super) fn stop(&self) -> Stop {
        Stop::new(self.stop.clone())
    }

    /// Whether the build is to go on.
    pub(super) fn check_stop(&self) -> Result<(), BuildError> {
        self.stop().check()
    }

    /// Refuses before the work what the manifest could not say after it.
    fn check_numbers(&self) -> Result<(), BuildError> {
        self.image_info(1, Digest::of(b""))
            .check()
            .map_err(BuildError::Format)?;
        let aligned = self.state_bytes.is_multiple_of(SEGMENT_ALIGN_BYTES);
        if !aligned || self.state_bytes == 0 || self.state_bytes > IMAGE_BYTES_MAX {
            return Err(BuildError::StateSize {
                got: self.state_bytes,
            });
        }
        if self.slot_room_percent > SLOT_ROOM_PERCENT_MAX {
            return Err(BuildError::SlotRoom {
                got: self.slot_room_percent,
                most: SLOT_ROOM_PERCENT_MAX,
            });
        }
        Ok(())
    }

    /// No output may be another output, or lie in a tree that is being read.
    fn check_names(&self, outputs: &[&Path]) -> Result<(), BuildError> {
        let mut names = BTreeSet::new();
        for output in outputs {
            let folder = folder_of(output);
            let folder = fs::canonicalize(folder).map_err(BuildError::io("find", folder))?;
            if !names.insert((folder.clone(), output.file_name())) {
                return Err(BuildError::SameFile {
                    path: (*output).to_owned(),
                });
            }
            for (_, input) in self.inputs().filter(|(_, input)| input.is_dir()) {
                let tree = fs::canonicalize(input).map_err(BuildError::io("find", input))?;
                if folder.starts_with(&tree) {
                    return Err(BuildError::OutputInside {
                        path: (*output).to_owned(),
                        input: input.to_owned(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// Trusts no signer: what it gives has to verify with the key that it names.
fn sign(signer: &dyn Signer, manifest: &[u8]) -> Result<[u8; SIGNATURE_BYTES], BuildError> {
    let signature = signer.sign(manifest).map_err(BuildError::Signer)?;
    let key = signer.public_key();
    match key.verify(manifest, &signature) {
        Ok(()) => Ok(signature),
        Err(_) => Err(BuildError::WrongSignature {
            key: key.fingerprint(),
        }),
    }
}

fn remove_stale(signature: &Path) -> Result<(), BuildError> {
    match fs::remove_file(signature) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(BuildError::io("remove", signature)(error))
        }
        _ => Ok(()),
    }
}
