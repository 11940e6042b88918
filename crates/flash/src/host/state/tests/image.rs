//! A small image, and what a device says of it.

use alloc::vec;
use alloc::vec::Vec;

use nx_image::digest::Digest;
use nx_image::manifest::{ImageInfo, Manifest, Profile, Segment, SegmentKind, Table};
use nx_image::tree;

use super::bench::{BLOCK, Bench};
use crate::host::{Job, Request};
use crate::wire::{FromDevice, Need, OfferFlags};

/// Two segments: one of 5 whole blocks, one of 2.5.
pub(super) struct Image {
    pub(super) bytes: Vec<u8>,
    pub(super) manifest: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

impl Image {
    pub(super) fn new() -> Self {
        let fill =
            |len: u32, step: u32| -> Vec<u8> { (0..len).map(|at| (at * step / 7) as u8).collect() };
        let contents = [fill(5 * BLOCK, 3), fill(BLOCK * 5 / 2, 5)];
        let kinds = [SegmentKind::Kernel, SegmentKind::Pkgfs];
        let mut bytes = Vec::new();
        let mut segments = Vec::new();
        for (kind, content) in kinds.into_iter().zip(&contents) {
            let digests: Vec<Digest> = content.chunks(BLOCK as usize).map(Digest::of).collect();
            segments.push(Segment {
                name: kind.as_str().into(),
                kind,
                role: kind.role(),
                offset: bytes.len() as u64,
                size: content.len() as u64,
                sha256: Digest::of(content),
                block_root: tree::root(&[tree::page_digest(&digests)]),
            });
            bytes.extend(content);
        }
        let manifest = Manifest {
            image: ImageInfo {
                size: bytes.len() as u64,
                sha256: Digest::of(&bytes),
                board: "virt".into(),
                profile: Profile::Dev,
                image_version: "1".into(),
                rollback_index: 0,
                block_size: BLOCK,
                table: Table::None,
            },
            segments,
        };
        manifest.check().unwrap();
        Self {
            bytes,
            manifest: manifest.encode(),
            signature: vec![0xab; 64],
        }
    }

    pub(super) fn job(&self) -> Job {
        Job::Send {
            manifest: self.manifest.clone(),
            signature: self.signature.clone(),
            flags: OfferFlags {
                restart: false,
                wipe_state: true,
            },
            chunk_bytes: 65_536,
        }
    }

    pub(super) fn answer(&self, request: &Request) -> Vec<u8> {
        match *request {
            Request::Block { offset, bytes, .. } => {
                self.bytes[offset as usize..][..bytes as usize].to_vec()
            }
            Request::Directory { segment } => vec![segment; 32],
            Request::Page { segment, page } => vec![segment + page as u8; 96],
        }
    }

    /// In a session in which the image is accepted and both segments are asked about.
    pub(super) fn accepted(&self) -> Bench {
        let mut bench = Bench::connected(self.job());
        bench.say(&FromDevice::Accepted);
        bench
    }
}

pub(super) fn need(segment: u8, bits: u8) -> FromDevice {
    FromDevice::Need(Need {
        segment,
        page: 0,
        last: true,
        kept: false,
        bitmap: vec![bits],
    })
}

pub(super) fn installed(image: &Image) -> FromDevice {
    FromDevice::Installed {
        manifest: Manifest::digest_of(&image.manifest),
        installed: Digest::of(b"installed"),
        state_kept: false,
    }
}
