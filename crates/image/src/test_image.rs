//! Small signed images for tests, made apart from the builder so that a mistake of the builder
//! cannot hide in them.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a harness of tests stops at the first surprise"
)]

use alloc::vec::Vec;

use ed25519_dalek::{Signer as _, SigningKey};

use crate::digest::Digest;
use crate::key::PublicKey;
use crate::manifest::{ImageInfo, Manifest, Profile, Segment, SegmentKind, Slots, Table};
use crate::tree;

/// Offsets of segments are multiples of this, in bytes.
const ALIGNMENT_BYTES: usize = 4_096;

/// An image, its manifest, its signature, and the key that vouches for it.
#[derive(Clone, Debug)]
pub struct TestImage {
    /// The image's bytes.
    pub bytes: Vec<u8>,
    /// What it says of itself.
    pub manifest: Manifest,
    /// The manifest's bytes.
    pub manifest_bytes: Vec<u8>,
    /// The signature over them.
    pub signature: Vec<u8>,
    /// The key to check it with.
    pub key: PublicKey,
}

/// `len` bytes of a fixed pseudo-random sequence.
pub fn random_bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes: Vec<u8> = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend(next().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

impl TestImage {
    /// A kernel and a pkgfs of so many bytes in all, in blocks of 4 KiB.
    pub fn of(bytes: usize, seed: u64) -> Self {
        let kernel = bytes / 3;
        let kinds = [SegmentKind::Kernel, SegmentKind::Pkgfs];
        let contents = [
            random_bytes(kernel, seed),
            random_bytes(bytes - kernel, seed + 1),
        ];
        Self::from_segments(kinds.into_iter().zip(contents).collect(), 4_096)
    }

    /// These segments, aligned to 4 KiB, without a partition table.
    pub fn from_segments(contents: Vec<(SegmentKind, Vec<u8>)>, block_size: u32) -> Self {
        let mut bytes: Vec<u8> = Vec::new();
        let mut segments = Vec::new();
        for (kind, content) in contents {
            bytes.resize(bytes.len().next_multiple_of(ALIGNMENT_BYTES), 0);
            segments.push(Segment {
                name: kind.as_str().into(),
                kind,
                role: kind.role(),
                offset: bytes.len() as u64,
                size: content.len() as u64,
                sha256: Digest::of(&content),
                block_root: root_of(&content, block_size),
            });
            bytes.extend(content);
        }
        let manifest = Manifest {
            image: ImageInfo {
                size: bytes.len() as u64,
                sha256: Digest::of(&bytes),
                board: "virt".into(),
                profile: Profile::Dev,
                image_version: "1.0.0".into(),
                rollback_index: 0,
                block_size,
                table: Table::None,
                slots: Slots::One,
            },
            segments,
        };
        Self::signed(bytes, manifest)
    }

    /// Signs this manifest with the test key, whatever it says of the bytes.
    pub fn signed(bytes: Vec<u8>, manifest: Manifest) -> Self {
        let manifest_bytes = manifest.encode();
        Self {
            bytes,
            signature: Self::sign(&manifest_bytes),
            manifest,
            manifest_bytes,
            key: Self::key(),
        }
    }

    /// The image as its bytes are now, with a changed manifest, signed again.
    #[must_use]
    pub fn resigned(mut self, change: impl FnOnce(&mut Manifest)) -> Self {
        self.manifest.image.size = self.bytes.len() as u64;
        self.manifest.image.sha256 = Digest::of(&self.bytes);
        change(&mut self.manifest);
        Self::signed(self.bytes, self.manifest)
    }

    /// The key that vouches for every test image.
    pub fn key() -> PublicKey {
        let public = secret().verifying_key().to_bytes();
        PublicKey::from_bytes(&public).expect("a public key is a point of its curve")
    }

    /// The test key's signature over any bytes.
    pub fn sign(bytes: &[u8]) -> Vec<u8> {
        secret().sign(bytes).to_bytes().to_vec()
    }

    /// The manifest's digest, which names the image on the wire.
    pub fn digest(&self) -> Digest {
        Manifest::digest_of(&self.manifest_bytes)
    }

    /// A segment's bytes.
    pub fn segment(&self, segment: u8) -> &[u8] {
        let found = &self.manifest.segments[usize::from(segment)];
        let place = |offset| usize::try_from(offset).expect("it is in memory");
        &self.bytes[place(found.offset)..place(found.end())]
    }

    /// The blocks on a page of a segment; none if it has no such page.
    pub fn blocks(&self, segment: u8, page: u16) -> impl Iterator<Item = &[u8]> {
        let on_a_page = tree::PAGE_BLOCKS as usize;
        let blocks = self
            .segment(segment)
            .chunks(self.manifest.image.block_size as usize);
        blocks.skip(usize::from(page) * on_a_page).take(on_a_page)
    }

    /// The digests of the blocks on a page of a segment, 32 bytes each; empty if it has none.
    pub fn page(&self, segment: u8, page: u16) -> Vec<u8> {
        let blocks = self.block_digests(segment);
        let mut pages = blocks.chunks(tree::PAGE_BLOCKS as usize);
        flat(pages.nth(usize::from(page)).unwrap_or_default())
    }

    /// The digests of a segment's pages, 32 bytes each.
    pub fn directory(&self, segment: u8) -> Vec<u8> {
        flat(&page_digests(&self.block_digests(segment)))
    }

    fn block_digests(&self, segment: u8) -> Vec<Digest> {
        block_digests(self.segment(segment), self.manifest.image.block_size)
    }
}

/// No key that is known to be published: release devices refuse those.
fn secret() -> SigningKey {
    SigningKey::from_bytes(Digest::of(b"the key of the test images").as_bytes())
}

fn flat(digests: &[Digest]) -> Vec<u8> {
    digests
        .iter()
        .flat_map(|digest| *digest.as_bytes())
        .collect()
}

fn block_digests(content: &[u8], block_size: u32) -> Vec<Digest> {
    content
        .chunks(block_size as usize)
        .map(Digest::of)
        .collect()
}

fn page_digests(blocks: &[Digest]) -> Vec<Digest> {
    blocks
        .chunks(tree::PAGE_BLOCKS as usize)
        .map(tree::page_digest)
        .collect()
}

fn root_of(content: &[u8], block_size: u32) -> Digest {
    tree::root(&page_digests(&block_digests(content, block_size)))
}
