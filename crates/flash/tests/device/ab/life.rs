//! A disk with two slots from blank on: provisioned, updated, confirmed, fallen back, refused.

use std::path::Path;

use nx_flash::device::Event;
use nx_flash::storage::{AbStore, MemoryPages, Opened, Running, StorageError};
use nx_flash::wire::{BootTarget, FromDevice, FromHost, OfferFlags, RejectCode, Verdict};
use nx_image::boot_record::Slot;
use nx_image::manifest::{Slots, Table};
use nx_image::test_image::{TestImage, random_bytes};

use super::checker::{Boots, boots, holds};
use super::disk::{Medium, SimDisk, bytes};
use super::image::{DISK_BYTES, Release, place};
use crate::bench::Bench;
use crate::image::BLOCK;

pub(crate) const NOTHING: OfferFlags = OfferFlags {
    restart: false,
    wipe_state: false,
    update_bootloader: false,
};
/// Blocks of a release that a blank disk needs: all but the record, which it
/// makes itself, and zeros.
pub(crate) const BLOCKS: usize = 17;

pub(crate) fn open(disk: &SimDisk, slot: Option<Slot>) -> Opened {
    let running = Running {
        slot,
        recovery: false,
    };
    let pages = MemoryPages::default();
    AbStore::open_on(disk.clone(), pages, running, Path::new("disk")).unwrap()
}

pub(crate) fn device(disk: &SimDisk, slot: Option<Slot>) -> Bench<Opened> {
    Bench::new(open(disk, slot))
}

pub(crate) fn provisioned(release: &Release) -> SimDisk {
    let disk = SimDisk::blank(DISK_BYTES);
    device(&disk, None).send(&release.image(), NOTHING);
    disk
}

/// The boot loader starts the slot on trial.
pub(crate) fn spend_a_try(disk: &SimDisk) {
    use nx_flash::storage::Disk as _;
    // It writes the sector, and not the header in front of it.
    let at = place("boot-record") + 512;
    let mut sector = bytes(&disk.medium(), at, 512);
    let text = String::from_utf8(sector.clone()).unwrap();
    let count = text.find("nx_tries=").unwrap() + "nx_tries=".len();
    sector[count] -= 1;
    disk.clone().write_at(&sector, at).unwrap();
}

fn confirmed(slot: char) -> Boots {
    Boots::Slot { slot, tries: None }
}

fn on_trial(slot: char, tries: u32) -> Boots {
    let tries = Some(tries);
    Boots::Slot { slot, tries }
}

fn part(medium: &Medium, name: &str, blocks: usize) -> Vec<u8> {
    bytes(medium, place(name), blocks * BLOCK)
}

#[test]
fn a_blank_disk_becomes_the_image_with_a_record_of_its_own() {
    let release = Release::new(1, false);
    let image = release.image();
    let disk = SimDisk::blank(DISK_BYTES);
    let mut bench = device(&disk, None);
    assert_eq!(bench.events, [Event::Slots(None)]);
    assert_eq!(bench.send(&image, NOTHING), BLOCKS);
    let medium = disk.medium();
    let (boots, record) = boots(&medium);
    assert_eq!(boots, confirmed('a'));
    assert!(holds(&medium, &record, 'a', &release));
    assert_eq!(record["nx_a"], image.digest().to_string());
    let mut now = bytes(&medium, 0, DISK_BYTES as usize);
    let record = place("boot-record") as usize..place("kernel-a") as usize;
    now[record.clone()].copy_from_slice(&image.bytes[record]);
    assert!(now == image.bytes, "the rest is the image");
    let Some(Event::Slots(Some(told))) = bench
        .events
        .iter()
        .rev()
        .find(|event| matches!(event, Event::Slots(_)))
    else {
        panic!("{:?}", bench.events);
    };
    assert_eq!((told.confirmed, told.tries), (Slot::A, None));
}

#[test]
fn an_update_goes_to_the_other_slot_and_leaves_all_else_alone() {
    let (old, new) = (Release::new(0, false), Release::new(1, true));
    let disk = provisioned(&old);
    let state = random_bytes(3 * BLOCK, 9);
    write(&disk, "state", &state);
    let before = disk.medium();
    let mut bench = device(&disk, Some(Slot::A));
    // The kernel is another one, and half of the rootfs.
    assert_eq!(bench.send(&new.image(), NOTHING), 3 + 3);
    let medium = disk.medium();
    let (boots, record) = boots(&medium);
    assert_eq!(boots, on_trial('b', 3));
    assert!(holds(&medium, &record, 'b', &new));
    assert!(holds(&medium, &record, 'a', &old));
    let changed: Vec<u64> = medium
        .iter()
        .filter(|(at, sector)| before.get(at) != Some(sector))
        .map(|(at, _)| at * 512)
        .collect();
    let idle = place("kernel-b")..place("state");
    let record = place("boot-record")..place("kernel-a");
    assert!(
        changed
            .iter()
            .all(|at| idle.contains(at) || record.contains(at)),
        "{changed:?}"
    );
}

#[test]
fn a_slot_on_trial_is_confirmed_and_the_next_update_goes_to_the_other_one() {
    let releases = [0, 1, 2].map(|seed| Release::new(seed, true));
    let disk = provisioned(&releases[0]);
    device(&disk, Some(Slot::A)).send(&releases[1].image(), NOTHING);
    spend_a_try(&disk);
    assert_eq!(boots(&disk.medium()).0, on_trial('b', 2));
    let confirmation = open(&disk, Some(Slot::B)).store.confirm().unwrap();
    assert!(confirmation.was_on_trial);
    assert_eq!(boots(&disk.medium()).0, confirmed('b'));
    let written = disk.take_log().len();
    assert!(
        !open(&disk, Some(Slot::B))
            .store
            .confirm()
            .unwrap()
            .was_on_trial
    );
    assert_eq!(disk.take_log().len(), 0, "after {written}");
    device(&disk, Some(Slot::B)).send(&releases[2].image(), NOTHING);
    let medium = disk.medium();
    let (boots, record) = boots(&medium);
    assert_eq!(boots, on_trial('a', 3));
    assert!(
        holds(&medium, &record, 'a', &releases[2]) && holds(&medium, &record, 'b', &releases[1])
    );
}

#[test]
fn a_slot_that_is_not_confirmed_is_given_up_after_its_tries() {
    let (old, new) = (Release::new(0, false), Release::new(1, true));
    let disk = provisioned(&old);
    device(&disk, Some(Slot::A)).send(&new.image(), NOTHING);
    (0..3).for_each(|_| spend_a_try(&disk));
    // The third start is its last chance still.
    assert_eq!(open(&disk, Some(Slot::B)).fell_back, None);
    assert_eq!(boots(&disk.medium()).0, confirmed('a'));
    let opened = open(&disk, Some(Slot::A));
    assert_eq!(opened.fell_back, Some(Slot::A));
    let (boots, record) = boots(&disk.medium());
    assert_eq!((boots, record["nx_other"].as_str()), (confirmed('a'), "-"));
    assert_eq!(record["nx_b"], "0".repeat(64));
    assert_eq!(open(&disk, Some(Slot::A)).fell_back, None, "said once");
    // And it can be tried again.
    device(&disk, Some(Slot::A)).send(&new.image(), NOTHING);
}

#[test]
fn nothing_is_written_while_the_running_slot_is_on_trial() {
    let releases = [0, 1, 2].map(|seed| Release::new(seed, true));
    let disk = provisioned(&releases[0]);
    device(&disk, Some(Slot::A)).send(&releases[1].image(), NOTHING);
    spend_a_try(&disk);
    disk.take_log();
    let mut bench = device(&disk, Some(Slot::B));
    bench.hello();
    bench.offer(&releases[2].image(), NOTHING);
    assert_eq!(bench.rejected(), RejectCode::Unconfirmed);
    assert_eq!(disk.take_log().len(), 0);
    // Confirmed by another process, while this one serves.
    open(&disk, Some(Slot::B)).store.confirm().unwrap();
    bench.hello();
    bench.send(&releases[2].image(), NOTHING);
    assert_eq!(boots(&disk.medium()).0, on_trial('a', 3));
}

#[test]
fn an_update_that_was_not_started_yet_is_replaced_and_not_confirmed_by_the_old_system() {
    let releases = [0, 1, 2].map(|seed| Release::new(seed, true));
    let disk = provisioned(&releases[0]);
    device(&disk, Some(Slot::A)).send(&releases[1].image(), NOTHING);
    let confirmation = open(&disk, Some(Slot::A)).store.confirm().unwrap();
    assert!(!confirmation.was_on_trial);
    assert_eq!(
        boots(&disk.medium()).0,
        on_trial('b', 3),
        "the trial goes on"
    );
    device(&disk, Some(Slot::A)).send(&releases[2].image(), NOTHING);
    let medium = disk.medium();
    let (boots, record) = boots(&medium);
    assert_eq!(boots, on_trial('b', 3));
    assert!(
        holds(&medium, &record, 'b', &releases[2]) && holds(&medium, &record, 'a', &releases[0])
    );
}

#[test]
fn what_is_installed_already_is_not_written_again() {
    let (old, new) = (Release::new(0, false), Release::new(1, true));
    let disk = provisioned(&old);
    disk.take_log();
    assert_eq!(device(&disk, Some(Slot::A)).send(&old.image(), NOTHING), 0);
    assert_eq!(disk.take_log().len(), 0);
    device(&disk, Some(Slot::A)).send(&new.image(), NOTHING);
    disk.take_log();
    assert_eq!(device(&disk, Some(Slot::A)).send(&new.image(), NOTHING), 0);
    assert_eq!(disk.take_log().len(), 0, "it waits for its first start");
    assert_eq!(boots(&disk.medium()).0, on_trial('b', 3));
}

#[test]
fn the_system_before_comes_back_without_a_block_being_sent() {
    let (old, new) = (Release::new(0, false), Release::new(1, true));
    let disk = provisioned(&old);
    device(&disk, Some(Slot::A)).send(&new.image(), NOTHING);
    open(&disk, Some(Slot::B)).store.confirm().unwrap();
    assert_eq!(device(&disk, Some(Slot::B)).send(&old.image(), NOTHING), 0);
    let medium = disk.medium();
    let (boots, record) = boots(&medium);
    assert_eq!(boots, on_trial('a', 3));
    assert!(holds(&medium, &record, 'a', &old) && holds(&medium, &record, 'b', &new));
}

#[test]
fn an_installed_image_that_rots_is_written_whole_to_the_other_slot() {
    let old = Release::new(0, false);
    let disk = provisioned(&old);
    disk.rot(place("rootfs-a") + 5_000);
    assert_eq!(device(&disk, Some(Slot::A)).send(&old.image(), NOTHING), 1);
    let medium = disk.medium();
    let (boots, record) = boots(&medium);
    assert_eq!(boots, on_trial('b', 3));
    assert!(holds(&medium, &record, 'b', &old));
}

#[test]
fn the_bootloader_is_written_when_asked_for() {
    let (old, new) = (Release::new(0, false), Release::new(1, true));
    let disk = provisioned(&old);
    device(&disk, Some(Slot::A)).send(&new.image(), NOTHING);
    assert_eq!(part(&disk.medium(), "bootloader", 2), old.bootloader);
    open(&disk, Some(Slot::B)).store.confirm().unwrap();
    let flags = OfferFlags {
        update_bootloader: true,
        ..NOTHING
    };
    assert_eq!(device(&disk, Some(Slot::B)).send(&new.image(), flags), 2);
    assert_eq!(part(&disk.medium(), "bootloader", 2), new.bootloader);
    assert_eq!(device(&disk, Some(Slot::B)).send(&new.image(), flags), 0);
}

#[test]
fn what_does_not_fit_the_disk_is_refused_before_anything_is_written() {
    let release = Release::new(0, false);
    let too_large = Release {
        kernel: random_bytes(3 * BLOCK + 1, 7),
        ..Release::new(1, true)
    };
    let mut no_room = too_large.image();
    let at = no_room.manifest.segments[4].offset as usize;
    no_room.bytes[at..at + 3 * BLOCK].fill(0);
    let one_slot = crate::image::with_state(3, 2, 2);
    for (disk, image, code) in [
        (provisioned(&release), &one_slot, RejectCode::Slots),
        (SimDisk::blank(DISK_BYTES), &one_slot, RejectCode::Slots),
        (
            SimDisk::blank(DISK_BYTES - 512),
            &release.image(),
            RejectCode::TooLarge,
        ),
        (
            provisioned(&release),
            &larger_initrd(),
            RejectCode::TooLarge,
        ),
    ] {
        disk.take_log();
        let mut bench = device(&disk, None);
        bench.hello();
        bench.offer(image, NOTHING);
        assert_eq!(bench.rejected(), code);
        assert_eq!(disk.take_log().len(), 0);
    }
    assert_eq!(no_room.manifest.image.slots, Slots::Two);
    assert_eq!(one_slot.manifest.image.table, Table::Gpt);
}

/// An image whose initrd is larger than its partition on a disk of the usual layout.
fn larger_initrd() -> TestImage {
    let mut image = Release::new(1, true).image();
    let initrd = image.manifest.segments[4].clone();
    let rootfs = image.manifest.segments[5].clone();
    // It takes what was the first blocks of the rootfs.
    let blocks = 4 * BLOCK as u64;
    let content = image.bytes[initrd.offset as usize..(initrd.offset + blocks) as usize].to_vec();
    image = image.resigned(|manifest| {
        let segments = &mut manifest.segments;
        segments[4].size = blocks;
        segments[4].sha256 = nx_image::Digest::of(&content);
        segments[5].offset = rootfs.offset + 4 * BLOCK as u64;
        segments[5].size = BLOCK as u64;
    });
    image
}

#[test]
fn the_state_is_wiped_only_where_nothing_uses_it() {
    let release = Release::new(0, false);
    let disk = provisioned(&release);
    let own = random_bytes(3 * BLOCK, 9);
    write(&disk, "state", &own);
    let wipe = OfferFlags {
        wipe_state: true,
        ..NOTHING
    };
    let mut bench = device(&disk, Some(Slot::A));
    bench.hello();
    bench.offer(&release.image(), wipe);
    assert_eq!(bench.rejected(), RejectCode::StateInUse);
    assert_eq!(part(&disk.medium(), "state", 3), own);
    let running = Running {
        slot: Some(Slot::A),
        recovery: true,
    };
    let pages = MemoryPages::default();
    let opened = AbStore::open_on(disk.clone(), pages, running, Path::new("disk")).unwrap();
    Bench::new(opened).send(&release.image(), wipe);
    let mut fresh = b"fresh state header".to_vec();
    fresh.resize(3 * BLOCK, 0);
    assert_eq!(part(&disk.medium(), "state", 3), fresh);
}

#[test]
fn recovery_is_booted_until_it_is_set_back_and_a_trial_goes_on_after_it() {
    let disk = provisioned(&Release::new(0, false));
    device(&disk, Some(Slot::A)).send(&Release::new(1, true).image(), NOTHING);
    let mut bench = device(&disk, Some(Slot::A));
    for (target, recovery) in [(BootTarget::Recovery, "1"), (BootTarget::Normal, "0")] {
        bench.hello();
        bench.say(FromHost::Reboot { target });
        assert_eq!(bench.take_said(), [FromDevice::Rebooting { target }]);
        let (boots, record) = boots(&disk.medium());
        assert_eq!(record["nx_recovery"], recovery);
        assert_eq!(boots, on_trial('b', 3));
    }
    let blank = SimDisk::blank(DISK_BYTES);
    let mut bench = device(&blank, None);
    bench.hello();
    let target = BootTarget::Normal;
    bench.say(FromHost::Reboot { target });
    assert_eq!(bench.rejected(), RejectCode::NoReboot);
}

#[test]
fn verify_compares_the_slot_that_boots_and_nothing_that_is_the_devices_own() {
    let (old, new) = (Release::new(0, false), Release::new(1, true));
    let disk = provisioned(&old);
    device(&disk, Some(Slot::A)).send(&new.image(), NOTHING);
    write(&disk, "state", &random_bytes(3 * BLOCK, 9));
    disk.rot(place("kernel-a"));
    let mut bench = device(&disk, Some(Slot::A));
    let verdicts = |bench: &mut Bench<Opened>| {
        bench.hello();
        bench.say(FromHost::Verify);
        match &bench.take_said()[..] {
            [
                FromDevice::Verified {
                    segments,
                    gaps_zero: true,
                    manifest,
                    ..
                },
            ] => {
                assert_eq!(*manifest, new.image().digest());
                let verdict =
                    |name: &str| segments.iter().find(|s| s.name == name).unwrap().verdict;
                [
                    "gpt",
                    "bootloader",
                    "boot-record",
                    "kernel",
                    "initrd",
                    "rootfs",
                    "state",
                    "gpt-backup",
                ]
                .map(verdict)
            }
            other => panic!("{other:?}"),
        }
    };
    use Verdict::{Differs, Kept, Matches};
    let good = [Kept, Kept, Kept, Matches, Matches, Matches, Kept, Kept];
    assert_eq!(verdicts(&mut bench), good);
    disk.rot(place("kernel-b"));
    assert_eq!(verdicts(&mut bench)[3], Differs);
}

#[test]
fn a_copied_image_is_a_disk_whose_system_nothing_is_known_of() {
    let release = Release::new(0, false);
    let image = release.image();
    let disk = SimDisk::blank(DISK_BYTES);
    {
        use nx_flash::storage::Disk as _;
        disk.clone().write_at(&image.bytes, 0).unwrap();
    }
    assert_eq!(boots(&disk.medium()).0, confirmed('a'));
    let mut bench = device(&disk, Some(Slot::A));
    bench.hello();
    bench.say(FromHost::Verify);
    assert_eq!(bench.rejected(), RejectCode::NothingInstalled);
    device(&disk, Some(Slot::A)).send(&Release::new(1, true).image(), NOTHING);
    assert_eq!(boots(&disk.medium()).0, on_trial('b', 3));
}

#[test]
fn a_host_is_told_what_the_slots_are_at() {
    let (old, new) = (Release::new(0, false), Release::new(1, true));
    let disk = provisioned(&old);
    device(&disk, Some(Slot::A)).send(&new.image(), NOTHING);
    let mut bench = device(&disk, Some(Slot::A));
    bench.hello();
    bench.say(FromHost::Slots);
    let said = bench.take_said();
    let [FromDevice::Slots(Some(told))] = &said[..] else {
        panic!("{said:?}");
    };
    assert_eq!(
        (told.running, told.confirmed, told.boots),
        (Some(Slot::A), Slot::A, Slot::B)
    );
    assert_eq!((told.tries, told.next), (Some(3), BootTarget::Normal));
    assert_eq!(told.manifest(Slot::A), Some(old.image().digest()));
    assert_eq!(told.manifest(Slot::B), Some(new.image().digest()));
}

#[test]
fn nothing_is_confirmed_that_is_not_known() {
    let blank = SimDisk::blank(DISK_BYTES);
    let error = open(&blank, Some(Slot::A)).store.confirm().unwrap_err();
    assert!(matches!(error, StorageError::Unusable { .. }), "{error}");
    let disk = provisioned(&Release::new(0, false));
    let error = open(&disk, None).store.confirm().unwrap_err();
    assert!(matches!(error, StorageError::UnknownSlot { .. }), "{error}");
    let error = open(&disk, Some(Slot::B)).store.confirm().unwrap_err();
    assert!(matches!(error, StorageError::Record(_)), "{error}");
}

fn write(disk: &SimDisk, name: &str, content: &[u8]) {
    use nx_flash::storage::Disk as _;
    disk.clone().write_at(content, place(name)).unwrap();
}
