//! Small signed images, made by hand so that a mistake of the builder cannot hide here.

use ed25519_dalek::{Signer as _, SigningKey};
use nx_image::digest::Digest;
use nx_image::key::PublicKey;
use nx_image::manifest::{ImageInfo, Manifest, Profile, Segment, SegmentKind, Table};
use nx_image::tree;

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
            bytes.resize(bytes.len().next_multiple_of(4_096), 0);
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
            },
            segments,
        };
        Self::signed(bytes, manifest)
    }

    /// Signs this manifest with the test key.
    pub fn signed(bytes: Vec<u8>, manifest: Manifest) -> Self {
        let secret = SigningKey::from_bytes(&[0x5a; 32]);
        let manifest_bytes = manifest.encode();
        let signature = secret.sign(&manifest_bytes).to_bytes().to_vec();
        let key = PublicKey::from_bytes(&secret.verifying_key().to_bytes()).unwrap();
        Self {
            bytes,
            manifest,
            manifest_bytes,
            signature,
            key,
        }
    }

    /// The digests of a segment's blocks.
    pub fn block_digests(&self, segment: u8) -> Vec<Digest> {
        let found = &self.manifest.segments[usize::from(segment)];
        let from = usize::try_from(found.offset).unwrap();
        let content = &self.bytes[from..from + usize::try_from(found.size).unwrap()];
        block_digests(content, self.manifest.image.block_size)
    }
}

fn block_digests(content: &[u8], block_size: u32) -> Vec<Digest> {
    content
        .chunks(block_size as usize)
        .map(Digest::of)
        .collect()
}

fn root_of(content: &[u8], block_size: u32) -> Digest {
    let blocks = block_digests(content, block_size);
    let pages: Vec<Digest> = blocks
        .chunks(tree::PAGE_BLOCKS as usize)
        .map(tree::page_digest)
        .collect();
    tree::root(&pages)
}
