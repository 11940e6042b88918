//! Whole transfers to files, and what lies in the way there.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nx_flash::device::{Outcome, Request};
use nx_flash::storage::{FileStore, FileStoreConfig, Layout, StorageError, Store as _};
use nx_flash::wire::{BootTarget, FromDevice, FromHost, OfferFlags, RejectCode};
use nx_image::test_image::random_bytes;

use crate::bench::Bench;
use crate::image::{self, BLOCK};

const NOTHING: OfferFlags = OfferFlags {
    restart: false,
    wipe_state: false,
    update_bootloader: false,
};

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn config(&self) -> FileStoreConfig {
        FileStoreConfig {
            target: self.path("disk.img"),
            journal: self.path("journal"),
            layout: None,
            boot_record: None,
        }
    }

    fn open(&self) -> FileStore {
        FileStore::open(&self.config()).unwrap()
    }

    fn staging(&self) -> PathBuf {
        self.path(".disk.img.nx-staging")
    }

    fn target(&self) -> Vec<u8> {
        fs::read(self.path("disk.img")).unwrap()
    }
}

#[test]
fn an_image_replaces_the_file_and_leaves_nothing_beside_it() {
    let place = Place::new();
    let mut bench = Bench::new(place.open());
    for seed in [1, 3] {
        let image = image::plain(seed);
        assert_eq!(bench.send(&image, NOTHING), 10);
        assert_eq!(place.target(), image.bytes);
        assert!(!place.staging().exists());
    }
}

#[test]
fn a_restarted_device_resumes_from_the_staged_bytes_alone() {
    let place = Place::new();
    let image = image::plain(1);
    let mut bench = Bench::new(place.open());
    bench.hello();
    let needs = bench.begin(&image, NOTHING);
    bench.fill(&image, &needs[..1]);
    drop(bench);
    // A byte rots, and one block was never written.
    let mut staged = fs::read(place.staging()).unwrap();
    staged[BLOCK] ^= 1;
    fs::write(place.staging(), &staged).unwrap();
    let mut bench = Bench::new(place.open());
    assert_eq!(bench.send(&image, NOTHING), 7);
    assert_eq!(place.target(), image.bytes);
}

#[test]
fn a_tampered_offer_changes_neither_target_nor_staging() {
    let place = Place::new();
    let (installed, begun) = (image::plain(1), image::plain(2));
    let mut bench = Bench::new(place.open());
    bench.send(&installed, NOTHING);
    bench.hello();
    let needs = bench.begin(&begun, NOTHING);
    bench.fill(&begun, &needs[..1]);
    let staged = fs::read(place.staging()).unwrap();
    let mut tampered = image::plain(3);
    tampered.manifest_bytes[50] ^= 1;
    bench.offer(&tampered, NOTHING);
    assert_eq!(bench.rejected(), RejectCode::Signature);
    assert_eq!(place.target(), installed.bytes);
    assert_eq!(fs::read(place.staging()).unwrap(), staged);
    assert_eq!(
        bench.send(&begun, NOTHING),
        6,
        "what was staged is still of use"
    );
}

#[test]
fn nothing_stays_staged_of_an_image_that_turns_out_to_be_installed() {
    fn staged(bench: &mut Bench<FileStore>) -> Option<nx_image::Digest> {
        match bench.store.serve(Request::Status) {
            Outcome::Status(status) => status.staged,
            other => panic!("{other:?}"),
        }
    }
    let place = Place::new();
    let image = image::plain(1);
    let mut bench = Bench::new(place.open());
    bench.send(&image, NOTHING);
    // All of it again, as told, and stopped half way.
    let restart = OfferFlags {
        restart: true,
        ..NOTHING
    };
    bench.hello();
    let needs = bench.begin(&image, restart);
    bench.fill(&image, &needs[..1]);
    assert_eq!(staged(&mut bench), Some(image.digest()));
    assert!(place.staging().exists());

    assert_eq!(bench.send(&image, NOTHING), 0);
    assert_eq!(staged(&mut bench), None);
    assert!(!place.staging().exists());
    drop(bench);
    assert_eq!(staged(&mut Bench::new(place.open())), None);
    assert_eq!(place.target(), image.bytes);
}

#[test]
fn a_stale_staging_of_another_image_or_length_is_no_use_and_no_harm() {
    let place = Place::new();
    let image = image::plain(1);
    fs::write(place.staging(), random_bytes(image.bytes.len(), 5)).unwrap();
    let mut bench = Bench::new(place.open());
    assert_eq!(bench.send(&image, NOTHING), 10);
    assert_eq!(place.target(), image.bytes);

    let next = image::plain(4);
    bench.hello();
    let needs = bench.begin(&next, NOTHING);
    bench.fill(&next, &needs[..1]);
    bench.say(FromHost::Abort {
        reason: nx_flash::wire::AbortReason::Failed,
    });
    let cut = fs::OpenOptions::new()
        .write(true)
        .open(place.staging())
        .unwrap();
    cut.set_len(100).unwrap();
    assert_eq!(bench.send(&next, NOTHING), 10);
    assert_eq!(place.target(), next.bytes);
}

#[test]
fn a_staging_path_that_is_not_our_file_is_refused_and_not_touched() {
    type Lay = fn(&Path, &Path);
    let lay: [(&str, Lay); 4] = [
        ("a symbolic link", |staging, victim| {
            symlink(victim, staging).unwrap()
        }),
        ("a FIFO", |staging, _| {
            let made = Command::new("mkfifo").arg(staging).status().unwrap();
            assert!(made.success());
        }),
        ("a folder", |staging, _| fs::create_dir(staging).unwrap()),
        ("a file with a second name", |staging, victim| {
            fs::hard_link(victim, staging).unwrap()
        }),
    ];
    for (what, lay) in lay {
        let place = Place::new();
        let image = image::plain(1);
        let victim = place.path("victim");
        fs::write(&victim, random_bytes(image.bytes.len(), 9)).unwrap();
        let before = fs::read(&victim).unwrap();
        let mut bench = Bench::new(place.open());
        bench.hello();
        bench.offer(&image, NOTHING);
        bench.take_said();
        // The journal now knows the manifest, so that the staging would be resumed.
        lay(&place.staging(), &victim);
        bench.offer(&image, NOTHING);
        let said = bench.take_said();
        let [FromDevice::Rejected { code, detail }] = &said[..] else {
            panic!("{what}: {said:?}")
        };
        assert_eq!(*code, RejectCode::Storage.number(), "{what}");
        assert!(detail.contains("not touched"), "{what}: {detail}");
        assert_eq!(fs::read(&victim).unwrap(), before, "{what}");
        assert!(!place.path("disk.img").exists(), "{what}");
    }
}

#[test]
fn a_second_device_on_the_same_journal_is_told_who_has_it() {
    let place = Place::new();
    let first = place.open();
    match FileStore::open(&place.config()) {
        Err(StorageError::Locked { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
        other => panic!("{other:?}"),
    }
    drop(first);
    place.open();
}

#[test]
fn targets_that_are_no_image_are_refused() {
    let place = Place::new();
    let mut config = place.config();
    for target in ["/dev/null", place.0.path().to_str().unwrap()] {
        config.target = target.into();
        let error = FileStore::open(&config).unwrap_err();
        assert!(matches!(error, StorageError::NotATarget { .. }), "{error}");
    }
    config.target = place.path("no/such/folder/disk.img");
    let error = FileStore::open(&config).unwrap_err();
    assert!(matches!(error, StorageError::Io { .. }), "{error}");
}

#[test]
fn a_target_keeps_its_mode_and_a_linked_one_its_link() {
    let place = Place::new();
    fs::write(place.path("real.img"), b"old").unwrap();
    fs::set_permissions(place.path("real.img"), fs::Permissions::from_mode(0o644)).unwrap();
    symlink(place.path("real.img"), place.path("disk.img")).unwrap();
    let image = image::plain(1);
    Bench::new(place.open()).send(&image, NOTHING);
    assert!(
        fs::symlink_metadata(place.path("disk.img"))
            .unwrap()
            .is_symlink()
    );
    assert_eq!(fs::read(place.path("real.img")).unwrap(), image.bytes);
    assert_eq!(
        fs::metadata(place.path("real.img")).unwrap().mode() & 0o777,
        0o644
    );
}

#[test]
fn a_journal_folder_of_somebody_else_keeps_its_mode_and_a_new_one_is_private() {
    let place = Place::new();
    fs::create_dir(place.path("journal")).unwrap();
    fs::set_permissions(place.path("journal"), fs::Permissions::from_mode(0o755)).unwrap();
    let mode = |path: &str| fs::metadata(place.path(path)).unwrap().mode() & 0o777;
    drop(place.open());
    assert_eq!(mode("journal"), 0o755);
    let mut config = place.config();
    config.journal = place.path("new");
    FileStore::open(&config).unwrap();
    assert_eq!(mode("new"), 0o700);
}

#[test]
fn every_opening_is_another_boot() {
    let place = Place::new();
    let boots: Vec<u32> = (0..3).map(|_| place.open().boot()).collect();
    assert_eq!(boots, [1, 2, 3]);
}

#[test]
fn the_next_boot_is_written_whole_and_only_where_there_is_a_record() {
    let place = Place::new();
    let mut config = place.config();
    config.boot_record = Some(place.path("boot"));
    let mut bench = Bench::new(FileStore::open(&config).unwrap());
    bench.hello();
    bench.say(FromHost::Reboot {
        target: BootTarget::Recovery,
    });
    assert_eq!(
        fs::read_to_string(place.path("boot")).unwrap(),
        "next-boot=recovery\n"
    );
    drop(bench);
    let mut bench = Bench::new(place.open());
    bench.hello();
    bench.say(FromHost::Reboot {
        target: BootTarget::Normal,
    });
    assert_eq!(bench.rejected(), RejectCode::NoReboot);
}

#[test]
fn whoever_reads_the_boot_record_can_read_the_next_one() {
    let place = Place::new();
    let record = place.path("boot");
    fs::write(&record, "next-boot=normal\n").unwrap();
    fs::set_permissions(&record, fs::Permissions::from_mode(0o644)).unwrap();
    // Only root may give files away.
    let mut owner = fs::metadata(&record).unwrap().uid();
    if std::os::unix::fs::chown(&record, Some(1_234), Some(4_321)).is_ok() {
        owner = 1_234;
    }
    let mut config = place.config();
    config.boot_record = Some(record.clone());
    let mut store = FileStore::open(&config).unwrap();
    let set = store.serve(Request::SetBoot(BootTarget::Recovery));
    assert_eq!(set, Outcome::Done);
    assert_eq!(fs::read(&record).unwrap(), b"next-boot=recovery\n");
    let found = fs::metadata(&record).unwrap();
    assert_eq!((found.mode() & 0o7777, found.uid()), (0o644, owner));
}

#[test]
fn in_place_an_interrupted_update_keeps_the_users_state() {
    let place = Place::new();
    let mut config = place.config();
    config.layout = Some(Layout::InPlace);
    let open = || FileStore::open(&config).unwrap();
    let old = image::with_state(1, 3, 4);
    Bench::new(open()).send(&old, NOTHING);
    let state = old.manifest.segments[2].offset as usize;
    let user = random_bytes(2 * BLOCK, 66);
    let mut disk = place.target();
    disk[state..state + user.len()].copy_from_slice(&user);
    fs::write(place.path("disk.img"), &disk).unwrap();

    let new = image::with_state(2, 3, 4);
    let mut bench = Bench::new(open());
    bench.hello();
    let needs = bench.begin(&new, NOTHING);
    bench.fill(&new, &needs[..1]);
    drop(bench);

    let mut bench = Bench::new(open());
    bench.hello();
    bench.say(FromHost::Verify);
    assert_eq!(bench.rejected(), RejectCode::NothingInstalled);
    assert_eq!(bench.send(&new, NOTHING), 4, "kernel and backup table");
    let disk = place.target();
    assert_eq!(disk[..state], new.bytes[..state]);
    assert_eq!(disk[state..state + user.len()], user);
}

#[test]
fn in_place_the_installed_image_sent_again_is_not_written_again() {
    let place = Place::new();
    let mut config = place.config();
    config.layout = Some(Layout::InPlace);
    let image = image::plain(1);
    let mut bench = Bench::new(FileStore::open(&config).unwrap());
    bench.send(&image, NOTHING);
    let before = fs::metadata(place.path("disk.img")).unwrap();
    assert_eq!(bench.send(&image, NOTHING), 0);
    let after = fs::metadata(place.path("disk.img")).unwrap();
    assert_eq!(
        (before.mtime(), before.mtime_nsec()),
        (after.mtime(), after.mtime_nsec())
    );
}

#[test]
fn rubbish_between_the_segments_of_the_installed_image_is_cleared_without_sending_a_block() {
    let image = image::plain(1);
    let gap = image.manifest.segments[0].end() as usize + 5;
    for layout in [Layout::File, Layout::InPlace] {
        let place = Place::new();
        let mut config = place.config();
        config.layout = Some(layout);
        let mut bench = Bench::new(FileStore::open(&config).unwrap());
        bench.send(&image, NOTHING);
        let mut disk = place.target();
        disk[gap] = 1;
        fs::write(place.path("disk.img"), &disk).unwrap();
        assert_eq!(bench.send(&image, NOTHING), 0);
        assert_eq!(place.target(), image.bytes, "{layout:?}");
    }
}

/// A small file system of its own, if this process may mount one.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "nx-test"])
            .arg(&at)
            .output();
        mount
            .is_ok_and(|done| done.status.success())
            .then_some(Self(at))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_said_to_be_full_and_the_old_image_stays() {
    let place = Place::new();
    let Some(small) = Small::mount(place.path("small")) else {
        eprintln!("skipped: this process may not mount a tmpfs");
        return;
    };
    let mut config = place.config();
    config.target = small.0.join("disk.img");
    fs::write(&config.target, b"what was there").unwrap();
    let mut bench = Bench::new(FileStore::open(&config).unwrap());
    let image = image::of(vec![(
        nx_image::SegmentKind::Rootfs,
        random_bytes(40 * BLOCK, 1),
    )]);
    bench.hello();
    let needs = bench.begin(&image, NOTHING);
    bench.fill(&image, &needs);
    let said = bench.take_said();
    let FromDevice::Rejected { code, .. } = &said[0] else {
        panic!("{said:?}")
    };
    assert_eq!(*code, RejectCode::StorageFull.number());
    assert_eq!(fs::read(&config.target).unwrap(), b"what was there");
    bench.device.stop();
    drop(bench);
}
