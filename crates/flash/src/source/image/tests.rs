use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nx_image::limits::BLOCK_BYTES_MIN;
use nx_image::manifest::SegmentKind;
use nx_image::test_image::{TestImage, random_bytes};
use tempfile::TempDir;

use super::*;
use crate::wire::Codec;

const BLOCK: usize = BLOCK_BYTES_MIN as usize;

/// A folder with an image: a kernel of 2.5 blocks, a gap, a pkgfs of two blocks.
struct Made {
    _folder: TempDir,
    path: PathBuf,
    bytes: Vec<u8>,
    manifest: Manifest,
}

fn made() -> Made {
    let mut pkgfs = vec![0; 2 * BLOCK];
    pkgfs[BLOCK + 7] = 9;
    let contents = vec![
        (SegmentKind::Kernel, random_bytes(BLOCK * 5 / 2, 1)),
        (SegmentKind::Pkgfs, pkgfs),
    ];
    let TestImage {
        bytes, manifest, ..
    } = TestImage::from_segments(contents, BLOCK_BYTES_MIN);
    manifest.check().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("os.img");
    fs::write(&path, &bytes).unwrap();
    Made {
        _folder: folder,
        path,
        bytes,
        manifest,
    }
}

impl Made {
    fn open(&self) -> Result<ImageSource, SourceError> {
        ImageSource::open(&self.path, &self.manifest, &mut |_| true)
    }

    fn with(&self, change: impl FnOnce(&mut Vec<u8>)) -> SourceError {
        let mut bytes = self.bytes.clone();
        change(&mut bytes);
        fs::write(&self.path, bytes).unwrap();
        self.open().unwrap_err()
    }
}

fn block(number: u32) -> Request {
    Request::Block {
        number,
        offset: 0,
        bytes: 0,
        codec: None,
        again: false,
    }
}

#[test]
fn gives_blocks_pages_and_directories_that_prove_themselves() {
    let made = made();
    let source = made.open().unwrap();
    assert_eq!(source.map().block_count(), 5);
    let Outcome::Bytes(last) = source.serve(&block(2)) else {
        panic!("no block")
    };
    assert_eq!(last, made.bytes[2 * BLOCK..BLOCK * 5 / 2]);
    for (index, segment) in made.manifest.segments.iter().enumerate() {
        let segment_index = u8::try_from(index).unwrap();
        let page = source.serve(&Request::Page {
            segment: segment_index,
            page: 0,
        });
        let Outcome::Bytes(page) = page else {
            panic!("no page")
        };
        let directory = source.serve(&Request::Directory {
            segment: segment_index,
        });
        let want = Digest::of(&page);
        assert_eq!(directory, Outcome::Bytes(want.as_bytes().to_vec()));
        assert_eq!(tree::root(&[want]), segment.block_root);
    }
}

#[test]
fn a_flipped_byte_anywhere_is_found_before_anything_is_sent() {
    let made = made();
    for at in (0..made.bytes.len()).step_by(509) {
        let error = made.with(|bytes| bytes[at] ^= 1);
        let (block, kernel_end) = (at / BLOCK, BLOCK * 5 / 2);
        match (block, error) {
            (3 | 4, SourceError::Segment { segment, .. }) => assert_eq!(segment, "pkgfs"),
            (_, SourceError::Segment { segment, .. }) if at < kernel_end => {
                assert_eq!(segment, "kernel");
            }
            (_, SourceError::Gap { offset, .. }) if at >= kernel_end => {
                assert_eq!(offset, at as u64);
            }
            (_, other) => panic!("byte {at}: {other}"),
        }
    }
}

#[test]
fn another_length_is_another_image() {
    let made = made();
    for change in [-1_i64, 1] {
        let len = (made.bytes.len() as i64 + change) as usize;
        let error = made.with(|bytes| bytes.resize(len, 0));
        assert!(
            matches!(error, SourceError::Size { got, .. } if got == len as u64),
            "{error}"
        );
    }
}

/// Writes to the image's file, and has that show in its time or not.
fn change(made: &Made, bytes: &[u8], shows: bool) {
    let before = fs::metadata(&made.path).unwrap().modified().unwrap();
    fs::write(&made.path, bytes).unwrap();
    let later = Duration::from_millis(u64::from(shows));
    let file = File::options().write(true).open(&made.path).unwrap();
    file.set_modified(before.checked_add(later).unwrap())
        .unwrap();
}

fn asked_again(number: u32) -> Request {
    let mut request = block(number);
    if let Request::Block { again, .. } = &mut request {
        *again = true;
    }
    request
}

fn changed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(why) if why.contains("changed while"))
}

#[test]
fn a_file_that_is_written_to_meanwhile_ends_the_job() {
    let made = made();
    let source = made.open().unwrap();
    assert!(matches!(source.serve(&block(0)), Outcome::Bytes(_)));
    change(&made, &made.bytes, true);
    assert!(changed(&source.serve(&block(0))));
    let source = made.open().unwrap();
    change(&made, &made.bytes[..BLOCK], false);
    assert!(changed(&source.serve(&block(0))), "shorter");
}

#[test]
fn a_change_that_no_time_tells_of_is_found_when_the_device_finds_it() {
    let made = made();
    let source = made.open().unwrap();
    let mut bytes = made.bytes.clone();
    bytes[BLOCK] ^= 1;
    change(&made, &bytes, false);
    assert!(matches!(source.serve(&block(1)), Outcome::Bytes(_)));
    assert!(changed(&source.serve(&asked_again(1))));
    assert!(matches!(source.serve(&asked_again(0)), Outcome::Bytes(_)));
}

#[test]
fn what_several_threads_read_is_the_same_image() {
    let block = 65_536;
    let contents = vec![(SegmentKind::Rootfs, random_bytes(block * 200 + 5, 3))];
    let image = TestImage::from_segments(contents, block as u32);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("os.img");
    fs::write(&path, &image.bytes).unwrap();
    let mut furthest = 0;
    let source = ImageSource::open(&path, &image.manifest, &mut |at| {
        furthest = furthest.max(at);
        true
    });
    let page = source.unwrap().serve(&Request::Page {
        segment: 0,
        page: 0,
    });
    assert_eq!(page, Outcome::Bytes(image.page(0, 0)));
    assert!((1..=image.bytes.len() as u64).contains(&furthest));
    let stopped = ImageSource::open(&path, &image.manifest, &mut |_| false);
    assert!(matches!(stopped, Err(SourceError::Stopped { .. })));
    let mut bytes = image.bytes.clone();
    for at in [0, block * 77, block * 200 + 4] {
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let error = ImageSource::open(&path, &image.manifest, &mut |_| true);
        assert!(matches!(error, Err(SourceError::Segment { .. })), "{at}");
        bytes[at] ^= 1;
    }
}

#[test]
fn a_block_is_packed_where_that_is_asked_for_and_makes_it_shorter() {
    let made = made();
    let source = made.open().unwrap();
    let packed = |number| {
        source.serve(&Request::Block {
            number,
            offset: 0,
            bytes: 0,
            codec: Some(Codec::Deflate),
            again: false,
        })
    };
    let Outcome::Packed(Codec::Deflate, bytes) = packed(4) else {
        panic!("not packed")
    };
    assert!(bytes.len() < 50, "{}", bytes.len());
    let unpacked = miniz_oxide::inflate::decompress_to_vec(&bytes).unwrap();
    assert_eq!(unpacked, made.bytes[4 * BLOCK..]);
    assert_eq!(packed(1), source.serve(&block(1)), "random bytes");
}

#[test]
fn a_sparse_copy_is_the_same_image() {
    use std::os::unix::fs::FileExt as _;
    let made = made();
    let file = File::create(&made.path).unwrap();
    file.set_len(made.bytes.len() as u64).unwrap();
    file.write_all_at(&made.bytes[..BLOCK * 5 / 2], 0).unwrap();
    file.write_all_at(&[9], (4 * BLOCK + 7) as u64).unwrap();
    let source = made.open().unwrap();
    assert_eq!(source.serve(&block(3)), Outcome::Bytes(vec![0; BLOCK]));
}

#[test]
fn reading_stops_when_told() {
    let made = made();
    let mut looks = 0;
    let error = ImageSource::open(&made.path, &made.manifest, &mut |_| {
        looks += 1;
        looks < 3
    });
    assert!(matches!(error, Err(SourceError::Stopped { .. })));
    assert_eq!(looks, 3);
}

#[test]
fn folders_and_missing_files_are_told_apart() {
    let made = made();
    let folder = made.path.parent().unwrap();
    let open = |path: &Path| ImageSource::open(path, &made.manifest, &mut |_| true);
    assert!(matches!(open(folder), Err(SourceError::NotAFile { .. })));
    assert!(matches!(
        open(&folder.join("none")),
        Err(SourceError::Io { op: "open", .. })
    ));
}
