//! An image that several lanes send at once, read for all of them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use nx_flash::blocks::BlockMap;
use nx_flash::host::{Outcome, Request};
use nx_flash::pack::pack;
use nx_flash::source::ImageSource;
use nx_flash::wire::Codec;

/// Most bytes of blocks that are kept for lanes that come to them later. Lanes that are further
/// apart read the file again.
const KEPT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A proven image, whose blocks are read and digested once for all lanes that are near each other.
#[derive(Debug)]
pub(crate) struct SharedImage {
    source: ImageSource,
    kept_max: usize,
    kept: Mutex<VecDeque<Kept>>,
    bytes_read: AtomicU64,
}

/// A block by its number, and how it is packed.
type Key = (u32, Option<Codec>);

/// A block, or the place for one that a lane reads now: whoever else wants it waits for that.
#[derive(Debug)]
struct Kept {
    key: Key,
    outcome: Arc<OnceLock<Outcome>>,
}

impl SharedImage {
    /// For one device: nothing is kept.
    pub(crate) fn alone(source: ImageSource) -> Self {
        Self::keeping(source, 0)
    }

    /// For many devices.
    pub(crate) fn shared(source: ImageSource) -> Self {
        let block = u64::from(source.map().block_bytes()).max(1);
        let blocks = KEPT_BYTES_MAX.checked_div(block).unwrap_or(0);
        Self::keeping(source, usize::try_from(blocks).unwrap_or(0))
    }

    fn keeping(source: ImageSource, kept_max: usize) -> Self {
        Self {
            source,
            kept_max,
            kept: Mutex::new(VecDeque::with_capacity(kept_max)),
            bytes_read: AtomicU64::new(0),
        }
    }

    /// Where the blocks lie.
    pub(crate) const fn map(&self) -> &BlockMap {
        self.source.map()
    }

    /// Bytes of blocks that were read to be sent, so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Answers a request of a host's machine.
    pub(crate) fn serve(&self, request: &Request) -> Outcome {
        let Request::Block {
            number,
            bytes,
            codec,
            again,
            ..
        } = *request
        else {
            return self.source.serve(request);
        };
        let read = || {
            if let Some(codec) = codec
                && self.kept_max > 0
            {
                return self.packed(request, codec);
            }
            let bytes = u64::from(bytes);
            self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
            self.source.serve(request)
        };
        // What a device doubts is not taken from memory.
        if self.kept_max == 0 || again {
            return read();
        }
        let outcome = self.place_of((number, codec));
        let answer = outcome.get_or_init(read).clone();
        if matches!(answer, Outcome::Failed(_)) {
            // A lane that comes later finds out by itself.
            self.forget((number, codec));
        }
        answer
    }

    /// A block packed from the plain one that is kept for the lanes that take no other.
    fn packed(&self, request: &Request, codec: Codec) -> Outcome {
        let mut plain = request.clone();
        if let Request::Block { codec, .. } = &mut plain {
            *codec = None;
        }
        match self.serve(&plain) {
            Outcome::Bytes(block) => match pack(codec, &block) {
                Some(packed) => Outcome::Packed(codec, packed),
                None => Outcome::Bytes(block),
            },
            other => other,
        }
    }

    /// The place of a block among those kept, which is then the last to go.
    fn place_of(&self, key: Key) -> Arc<OnceLock<Outcome>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.iter().rposition(|kept| kept.key == key);
        let block = match known.and_then(|at| kept.remove(at)) {
            Some(block) => block,
            None => {
                if kept.len() >= self.kept_max {
                    kept.pop_front();
                }
                Kept {
                    key,
                    outcome: Arc::default(),
                }
            }
        };
        let outcome = Arc::clone(&block.outcome);
        kept.push_back(block);
        outcome
    }

    fn forget(&self, key: Key) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| kept.key != key);
    }
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "the tests' own small numbers"
)]
mod tests {
    use std::fs::{self, File};
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use nx_flash::source::SignedManifest;
    use nx_image::Profile;
    use nx_image::build::Build;
    use nx_image::key::SigningKey;

    use super::*;

    const BLOCK_BYTES: u32 = 4_096;

    /// An image, and the requests for 32 of its blocks.
    fn image(folder: &Path) -> (ImageSource, Vec<Request>) {
        let path = |name: &str| folder.join(name);
        let kernel: Vec<u8> = (0..32_u8).flat_map(|block| [block; 4_096]).collect();
        fs::write(path("kernel"), kernel).unwrap();
        let mut build = Build::new(Profile::Dev);
        build.block_size = BLOCK_BYTES;
        build.kernel = Some(path("kernel"));
        let signer = SigningKey::from_seed(&[7; 32]).unwrap();
        let [img, manifest, signature] = ["os.img", "os.json", "os.sig"].map(path);
        let built = build.write(&img, &manifest, &signature, Some(&signer), &mut |_| {});
        built.unwrap();
        let signed = SignedManifest::open(&manifest, None, &[]).unwrap();
        let source = ImageSource::open(&img, &signed.manifest, &mut |_| true).unwrap();
        let blocks = (0..source.map().block_count()).filter_map(|number| {
            let block = source.map().by_number(number)?;
            let (offset, bytes) = (block.offset, block.bytes);
            let request = Request::Block {
                number,
                offset,
                bytes,
                codec: None,
                again: false,
            };
            (bytes == BLOCK_BYTES).then_some(request)
        });
        let blocks: Vec<Request> = blocks.take(32).collect();
        assert_eq!(blocks.len(), 32);
        (source, blocks)
    }

    fn blocks_read(image: &SharedImage) -> u64 {
        image.bytes_read() / u64::from(BLOCK_BYTES)
    }

    #[test]
    fn lanes_that_are_near_each_other_read_each_block_once() {
        let dir = tempfile::tempdir().unwrap();
        let (source, requests) = image(dir.path());
        let want: Vec<Outcome> = requests.iter().map(|r| source.serve(r)).collect();
        let image = SharedImage::keeping(source, requests.len());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let got: Vec<Outcome> = requests.iter().map(|r| image.serve(r)).collect();
                    assert_eq!(got, want);
                });
            }
        });
        assert_eq!(blocks_read(&image), 32);
    }

    #[test]
    fn no_more_is_kept_than_is_allowed_and_what_was_wanted_last_goes_last() {
        let dir = tempfile::tempdir().unwrap();
        let (source, requests) = image(dir.path());
        let image = SharedImage::keeping(source, 4);
        let read = |numbers: &[usize]| {
            let before = blocks_read(&image);
            for number in numbers {
                image.serve(&requests[*number]);
            }
            blocks_read(&image) - before
        };
        assert_eq!(read(&[0, 1, 2, 3, 0]), 4);
        // The block that was wanted least lately makes room.
        assert_eq!(read(&[4, 0, 2, 3]), 1);
        assert_eq!(read(&[1]), 1);
        assert_eq!(image.kept.lock().unwrap().len(), 4);
    }

    #[test]
    fn one_device_alone_keeps_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (source, requests) = image(dir.path());
        let image = SharedImage::alone(source);
        image.serve(&requests[0]);
        image.serve(&requests[0]);
        assert_eq!(blocks_read(&image), 2);
        assert_eq!(image.kept.lock().unwrap().capacity(), 0);
    }

    #[test]
    fn a_block_that_has_changed_fails_and_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (source, requests) = image(dir.path());
        let image = SharedImage::shared(source);
        let path = dir.path().join("os.img");
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        let Request::Block { offset, .. } = requests[3] else {
            panic!("no block")
        };
        bad[usize::try_from(offset).unwrap()] ^= 1;
        let proven_at = fs::metadata(&path).unwrap().modified().unwrap();
        let write = |bytes: &[u8], at: SystemTime| {
            fs::write(&path, bytes).unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            file.set_modified(at).unwrap();
        };
        write(&bad, proven_at + Duration::from_millis(1));
        assert!(matches!(image.serve(&requests[3]), Outcome::Failed(_)));
        write(&good, proven_at);
        assert!(matches!(image.serve(&requests[3]), Outcome::Bytes(_)));
    }
}
