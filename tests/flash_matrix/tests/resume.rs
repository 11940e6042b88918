//! What a device has is not sent again: after an interruption, for the same image, for a new one.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use flash_matrix::{Link, Rig, TestImage, on_every_link, random_bytes};
use nx_flash::host::Failure;
use nx_flash::storage::{FileStore, FileStoreConfig, MemoryStore};
use nx_flash::wire::OfferFlags;
use nx_image::manifest::SegmentKind;

on_every_link! {
    fn an_interrupted_transfer_goes_on_whatever_the_chunk(
        link: Link,
        #[values(1_024, 65_536)] second_chunk: u32,
    ) {
        // More than the window, so that no link can take all of it before the host looks up.
        let image = TestImage::of(3_000_000, 3);
        let store = MemoryStore::new();
        let first = Rig::over(link)
            .chunk_bytes(4_096)
            .stop_after_blocks(40)
            .send_to(&image, store.clone());
        assert_eq!(first.failure(), Some(&Failure::Stopped), "{first:#?}");
        let written = store.writes();
        let second = Rig::over(link)
            .boot(2)
            .chunk_bytes(second_chunk)
            .send_to(&image, store.clone());
        let total = u64::from(second.progress.blocks_total);
        let second = second.installed();
        assert!(store.installed().unwrap() == image.bytes);
        assert_eq!(
            u64::from(second.progress.blocks_sent),
            total - written,
            "no block twice"
        );
        assert_eq!(store.writes(), total, "no block was written twice");
    }
}

#[test]
fn the_same_image_again_sends_no_block() {
    let image = TestImage::of(300_000, 4);
    let (first, store) = Rig::over(Link::Loopback).send(&image);
    first.installed();
    let writes = store.writes();
    let again = Rig::over(Link::Loopback)
        .boot(2)
        .send_to(&image, store.clone())
        .installed();
    assert_eq!(again.progress.blocks_sent, 0);
    assert_eq!(again.progress.payload_bytes, 0);
    assert_eq!(store.writes(), writes);
}

#[test]
fn restart_sends_everything_again() {
    let image = TestImage::of(300_000, 4);
    let (first, store) = Rig::over(Link::Loopback).send(&image);
    let blocks = first.installed().progress.blocks_sent;
    let flags = OfferFlags {
        restart: true,
        wipe_state: false,
        update_bootloader: false,
    };
    let again = Rig::over(Link::Loopback)
        .boot(2)
        .flags(flags)
        .send_to(&image, store.clone())
        .installed();
    assert_eq!(again.progress.blocks_sent, blocks);
    assert!(store.installed().unwrap() == image.bytes);
}

#[test]
fn only_the_blocks_that_changed_are_sent() {
    let old = TestImage::of(400_000, 5);
    let (first, store) = Rig::over(Link::Loopback).send(&old);
    first.installed();
    let mut contents: Vec<(SegmentKind, Vec<u8>)> = old
        .manifest
        .segments
        .iter()
        .map(|segment| {
            let from = usize::try_from(segment.offset).unwrap();
            let to = from + usize::try_from(segment.size).unwrap();
            (segment.kind, old.bytes[from..to].to_vec())
        })
        .collect();
    contents[0].1[10_000] ^= 1;
    contents[1].1[200_000] ^= 1;
    let new = TestImage::from_segments(contents, 4_096);
    let update = Rig::over(Link::Loopback)
        .boot(2)
        .send_to(&new, store.clone())
        .installed();
    assert_eq!(update.progress.blocks_sent, 2);
    assert!(store.installed().unwrap() == new.bytes);
}

/// A store in files, and the folder that it lies in.
struct Disk {
    _folder: tempfile::TempDir,
    config: FileStoreConfig,
}

impl Disk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = FileStoreConfig {
            target: folder.path().join("target.img"),
            journal: folder.path().join("journal"),
            layout: None,
            boot_record: None,
        };
        Self {
            _folder: folder,
            config,
        }
    }

    fn store(&self) -> FileStore {
        FileStore::open(&self.config).unwrap()
    }

    /// What is installed.
    fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.config.target).unwrap()
    }
}

/// An update in which one segment grows, so that the next one moves, and a third is a copy.
fn an_update_that_moves() -> (TestImage, TestImage) {
    let kernel = random_bytes(100_000, 8);
    let grown = [kernel.clone(), random_bytes(70_000, 9)].concat();
    let pkgfs = random_bytes(300_000, 10);
    let old = vec![
        (SegmentKind::Kernel, kernel),
        (SegmentKind::Pkgfs, pkgfs.clone()),
    ];
    let new = vec![
        (SegmentKind::Kernel, grown),
        (SegmentKind::Rootfs, pkgfs.clone()),
        (SegmentKind::Pkgfs, pkgfs),
    ];
    let image = |contents| TestImage::from_segments(contents, 4_096);
    (image(old), image(new))
}

/// Of the kernel's 42 blocks the first 24 are whole in the old image.
const BLOCKS_THAT_ARE_NEW: u32 = 42 - 24;

#[test]
fn blocks_are_found_at_other_offsets_and_in_other_segments() {
    let (old, new) = an_update_that_moves();
    let (first, store) = Rig::over(Link::Loopback).send(&old);
    first.installed();
    let update = Rig::over(Link::Loopback)
        .boot(2)
        .send_to(&new, store.clone())
        .installed();
    assert_eq!(update.progress.blocks_sent, BLOCKS_THAT_ARE_NEW);
    assert!(store.installed().unwrap() == new.bytes);
}

#[test]
fn a_store_in_files_finds_blocks_elsewhere_too_unless_they_have_rotted() {
    let (old, new) = an_update_that_moves();
    for rotten in [0, 1] {
        let disk = Disk::new();
        Rig::over(Link::Loopback)
            .send_to(&old, disk.store())
            .installed();
        if rotten > 0 {
            let mut bytes = disk.bytes();
            let last = bytes.len() - 5_000;
            bytes[last] ^= 1;
            std::fs::write(&disk.config.target, bytes).unwrap();
        }
        let update = Rig::over(Link::Loopback)
            .boot(2)
            .send_to(&new, disk.store())
            .installed();
        // The rotten block is missed twice: in the segment that moved, and in its copy.
        assert_eq!(
            update.progress.blocks_sent,
            BLOCKS_THAT_ARE_NEW + 2 * rotten
        );
        assert!(disk.bytes() == new.bytes);
    }
}

#[test]
fn content_that_shifted_by_any_number_of_bytes_is_found() {
    let old = random_bytes(2_000_000, 11);
    for (shift, cut) in [(1, 900_000), (777, 1_234_567), (4_095, 64)] {
        // Something new at the front, and a few bytes gone in the middle.
        let new = [&random_bytes(shift, 12)[..], &old[..cut], &old[cut + 33..]].concat();
        let image = |content| TestImage::from_segments(vec![(SegmentKind::Rootfs, content)], 4_096);
        let (first, second) = (image(old.clone()), image(new));
        let disk = Disk::new();
        Rig::over(Link::Loopback)
            .send_to(&first, disk.store())
            .installed();
        let update = Rig::over(Link::Loopback)
            .boot(2)
            .send_to(&second, disk.store())
            .installed();
        // The first block, the one with the cut, and the short one at the end.
        let sent = update.progress.blocks_sent;
        assert!(sent <= 3, "{shift}, {cut}: {sent} blocks");
        assert!(disk.bytes() == second.bytes);
    }
}

#[test]
fn another_manifest_starts_at_zero() {
    let old = TestImage::of(300_000, 6);
    let store = MemoryStore::new();
    Rig::over(Link::Loopback)
        .stop_after_blocks(30)
        .send_to(&old, store.clone());
    let new = TestImage::of(300_000, 7);
    let second = Rig::over(Link::Loopback)
        .boot(2)
        .send_to(&new, store.clone())
        .installed();
    assert_eq!(second.progress.blocks_sent, second.progress.blocks_total);
    assert!(store.installed().unwrap() == new.bytes);
}

#[test]
fn a_device_keeps_its_state_and_loses_it_when_asked() {
    let image = |seed, state| {
        let contents = vec![
            (SegmentKind::Kernel, random_bytes(50_000, seed)),
            (SegmentKind::State, vec![state; 4_096]),
        ];
        TestImage::from_segments(contents, 4_096)
    };
    let old = image(8, 1);
    let (first, store) = Rig::over(Link::Loopback).send(&old);
    first.installed();
    let new = image(9, 2);
    let update = Rig::over(Link::Loopback)
        .boot(2)
        .send_to(&new, store.clone())
        .installed();
    let installed = store.installed().unwrap();
    let state_at = usize::try_from(new.manifest.segments[1].offset).unwrap();
    assert_eq!(
        installed[..state_at],
        new.bytes[..state_at],
        "the kernel is the new one"
    );
    assert_eq!(
        installed[state_at..],
        old.bytes[state_at..],
        "the state is the old one"
    );
    assert_eq!(update.progress.blocks_sent, 13);
    let flags = OfferFlags {
        restart: false,
        wipe_state: true,
        update_bootloader: false,
    };
    Rig::over(Link::Loopback)
        .boot(3)
        .flags(flags)
        .send_to(&new, store.clone())
        .installed();
    assert!(
        store.installed().unwrap() == new.bytes,
        "the state is the new one"
    );
}

#[test]
fn a_medium_that_rots_before_the_read_back_is_mended() {
    let image = TestImage::of(200_000, 10);
    let store = RottingStore {
        inner: MemoryStore::new(),
        left: 1,
    };
    let inner = store.inner.clone();
    Rig::over(Link::Loopback).send_to(&image, store).installed();
    assert!(inner.installed().unwrap() == image.bytes);
}

#[test]
fn a_medium_that_always_rots_is_never_installed() {
    let image = TestImage::of(200_000, 10);
    let store = RottingStore {
        inner: MemoryStore::new(),
        left: u32::MAX,
    };
    let inner = store.inner.clone();
    let outcome = Rig::over(Link::Loopback).send_to(&image, store);
    let code = nx_flash::wire::RejectCode::ReadBack.number();
    assert!(
        matches!(outcome.failure(), Some(Failure::Rejected { code: got, .. }) if *got == code),
        "{outcome:#?}"
    );
    assert!(inner.installed().is_none());
}

/// Changes a staged byte at every sync, for so many of them.
#[derive(Debug)]
struct RottingStore {
    inner: MemoryStore,
    left: u32,
}

impl nx_flash::storage::Store for RottingStore {
    fn serve(&mut self, request: nx_flash::device::Request) -> nx_flash::device::Outcome {
        if request == nx_flash::device::Request::Sync && self.left > 0 {
            self.left -= 1;
            self.inner.rot_staged(100_000);
        }
        self.inner.serve(request)
    }
}
