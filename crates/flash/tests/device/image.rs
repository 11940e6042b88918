//! Small signed images, made by hand.

use ed25519_dalek::{Signer as _, SigningKey};
use nx_image::manifest::{ImageInfo, Manifest, Profile, Segment, SegmentKind, Table};
use nx_image::{Digest, PublicKey, tree};

pub(crate) const BLOCK: usize = 4_096;

/// An image and what vouches for it.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) bytes: Vec<u8>,
    pub(crate) manifest: Manifest,
    pub(crate) raw: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

pub(crate) fn secret() -> SigningKey {
    SigningKey::from_bytes(Digest::of(b"a key of the device tests").as_bytes())
}

pub(crate) fn key() -> PublicKey {
    PublicKey::from_bytes(&secret().verifying_key().to_bytes()).unwrap()
}

/// Bytes that depend on every bit of `seed` and have no zero block among them.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

impl Image {
    /// Kernel and rootfs, with a gap between them.
    pub(crate) fn plain(seed: u64) -> Self {
        Self::of(&[
            (SegmentKind::Kernel, noise(3 * BLOCK + 100, seed)),
            (SegmentKind::Rootfs, noise(5 * BLOCK + 700, seed + 1)),
        ])
    }

    /// A disk with a kernel, and a state header with so many blocks of room behind it.
    pub(crate) fn with_state(seed: u64, kernel_blocks: usize, room_blocks: usize) -> Self {
        let mut image = Self::of(&[
            (SegmentKind::Gpt, noise(BLOCK, seed)),
            (SegmentKind::Kernel, noise(kernel_blocks * BLOCK, seed + 1)),
            (SegmentKind::State, b"fresh state header".to_vec()),
            (SegmentKind::GptBackup, noise(BLOCK, seed + 2)),
        ]);
        let backup = image.manifest.segments[3].offset as usize;
        let room = room_blocks * BLOCK;
        image.bytes.splice(backup..backup, vec![0; room]);
        image.sign(|manifest| {
            manifest.image.table = Table::Gpt;
            manifest.segments[3].offset += room as u64;
        })
    }

    /// These segments, each at the next block.
    pub(crate) fn of(contents: &[(SegmentKind, Vec<u8>)]) -> Self {
        let mut bytes: Vec<u8> = Vec::new();
        let mut segments = Vec::new();
        for (kind, content) in contents {
            bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
            let pages: Vec<Digest> = blocks_of(content)
                .chunks(tree::PAGE_BLOCKS as usize)
                .map(tree::page_digest)
                .collect();
            segments.push(Segment {
                name: kind.as_str().into(),
                kind: *kind,
                role: kind.role(),
                offset: bytes.len() as u64,
                size: content.len() as u64,
                sha256: Digest::of(content),
                block_root: tree::root(&pages),
            });
            bytes.extend(content);
        }
        let image = ImageInfo {
            size: 0,
            sha256: Digest::of(b""),
            board: "virt".into(),
            profile: Profile::Dev,
            image_version: "1.0.0".into(),
            rollback_index: 0,
            block_size: BLOCK as u32,
            table: Table::None,
        };
        let manifest = Manifest { image, segments };
        let (raw, signature) = (Vec::new(), Vec::new());
        Self {
            bytes,
            manifest,
            raw,
            signature,
        }
        .sign(|_| {})
    }

    /// Changes the manifest and signs it.
    pub(crate) fn sign(mut self, change: impl FnOnce(&mut Manifest)) -> Self {
        self.manifest.image.size = self.bytes.len() as u64;
        self.manifest.image.sha256 = Digest::of(&self.bytes);
        change(&mut self.manifest);
        self.raw = self.manifest.encode();
        self.signature = secret().sign(&self.raw).to_bytes().to_vec();
        self
    }

    pub(crate) fn digest(&self) -> Digest {
        Manifest::digest_of(&self.raw)
    }

    pub(crate) fn segment(&self, index: u8) -> &[u8] {
        let segment = &self.manifest.segments[usize::from(index)];
        &self.bytes[segment.offset as usize..segment.end() as usize]
    }

    /// The digests of a segment's blocks on one page.
    pub(crate) fn page(&self, segment: u8, page: u16) -> Vec<u8> {
        let blocks = blocks_of(self.segment(segment));
        let pages: Vec<_> = blocks.chunks(tree::PAGE_BLOCKS as usize).collect();
        flat(pages[usize::from(page)])
    }

    /// The digests of a segment's pages.
    pub(crate) fn directory(&self, segment: u8) -> Vec<u8> {
        let blocks = blocks_of(self.segment(segment));
        let pages: Vec<_> = blocks
            .chunks(tree::PAGE_BLOCKS as usize)
            .map(tree::page_digest)
            .collect();
        flat(&pages)
    }
}

fn blocks_of(content: &[u8]) -> Vec<Digest> {
    content.chunks(BLOCK).map(Digest::of).collect()
}

fn flat(digests: &[Digest]) -> Vec<u8> {
    digests
        .iter()
        .flat_map(|digest| *digest.as_bytes())
        .collect()
}
