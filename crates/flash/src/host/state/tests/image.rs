//! A small image, and what a device says of it.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Deref;

use nx_image::digest::Digest;
use nx_image::manifest::SegmentKind;
use nx_image::test_image::{TestImage, random_bytes};

use super::bench::{BLOCK, Bench};
use crate::host::{Job, Request};
use crate::wire::{FromDevice, Need, OfferFlags};

/// Two segments: one of 5 whole blocks, one of 2.5.
pub(super) struct Image(TestImage);

impl Image {
    pub(super) fn new() -> Self {
        let content = |len: u32, seed| random_bytes(len as usize, seed);
        Self(TestImage::from_segments(
            vec![
                (SegmentKind::Kernel, content(5 * BLOCK, 3)),
                (SegmentKind::Pkgfs, content(BLOCK * 5 / 2, 5)),
            ],
            BLOCK,
        ))
    }

    pub(super) fn job(&self) -> Job {
        Job::Send {
            manifest: self.manifest_bytes.clone(),
            signature: self.signature.clone(),
            flags: OfferFlags {
                restart: false,
                wipe_state: true,
                update_bootloader: false,
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
            Request::Sums { segment, page } => vec![segment + page as u8; 12],
            Request::Page { segment, page } => vec![segment + page as u8; 96],
            Request::Speed(_) => panic!("no other speed is to be tried"),
        }
    }

    /// In a session in which the image is accepted and both segments are asked about.
    pub(super) fn accepted(&self) -> Bench {
        let mut bench = Bench::connected(self.job());
        bench.say(&FromDevice::Accepted);
        bench
    }
}

impl Deref for Image {
    type Target = TestImage;

    fn deref(&self) -> &TestImage {
        &self.0
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
        manifest: image.digest(),
        installed: Digest::of(b"installed"),
        state_kept: false,
    }
}
