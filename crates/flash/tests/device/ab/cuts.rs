//! The power goes at every moment of a disk's life: what is found afterwards is the system of
//! before, the new one, or a blank disk, and the next try finishes.

use std::io;
use std::path::Path;

use nx_flash::rolling;
use nx_flash::storage::{AbStore, Disk, MemoryPages, Running, Store};
use nx_flash::wire::{BootTarget, FromDevice, FromHost, Object};
use nx_image::boot_record::Slot;
use nx_image::test_image::TestImage;

use crate::bench::{Bench, needed};

use super::checker::{Boots, boots, holds};
use super::disk::{Medium, Op, SECTOR, Sector, SimDisk};
use super::image::{DISK_BYTES, Release, place};
use super::life::{NOTHING, device, open, provisioned, spend_a_try};

/// Writes that were not synced of which every subset is looked at; of more a few are drawn.
const ALL_SUBSETS_OF: usize = 6;
/// Subsets that are drawn at each step with more writes.
const DRAWN: u64 = 4;
/// Of so many states one is also brought to its end.
const FINISHED_OF: usize = 61;

/// What a cut may leave of this run: after each step, any of the writes that were not synced, and
/// the newest of them torn.
fn states(before: &Medium, log: &[Op]) -> Vec<Medium> {
    let mut durable = before.clone();
    let mut open: Vec<(u64, Sector)> = Vec::new();
    let mut states = vec![durable.clone()];
    let mut seed = 1;
    for op in log {
        match op {
            Op::Sync => {
                durable.extend(open.drain(..));
                states.push(durable.clone());
            }
            Op::Write(at, sector) => {
                open.push((*at, **sector));
                let subsets: Vec<u64> = if open.len() <= ALL_SUBSETS_OF {
                    (0..1 << open.len()).collect()
                } else {
                    (0..DRAWN)
                        .map(|_| draw(&mut seed))
                        .chain([u64::MAX])
                        .collect()
                };
                for subset in subsets {
                    let mut state = durable.clone();
                    let kept = |number: usize| subset >> (number % 64) & 1 == 1;
                    let writes = open.iter().enumerate();
                    state.extend(writes.filter(|(n, _)| kept(*n)).map(|(_, write)| *write));
                    states.push(state);
                }
                let torn = |cut: usize| {
                    let mut state = durable.clone();
                    state.extend(open.iter().rev().skip(1).rev().copied());
                    let mut half = state.get(at).copied().unwrap_or([0; SECTOR]);
                    half[..cut].copy_from_slice(&sector[..cut]);
                    state.insert(*at, half);
                    state
                };
                let cuts: &[usize] = if open.len() == 1 {
                    // Alone it is most likely one that decides something.
                    &[
                        3, 4, 8, 28, 40, 55, 70, 80, 92, 110, 150, 250, 330, 345, 360, 500,
                    ]
                } else {
                    &[4, 256]
                };
                states.extend(cuts.iter().map(|cut| torn(*cut)));
            }
        }
    }
    durable.extend(open);
    states.push(durable);
    states
}

fn draw(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

/// Runs something, and looks at everything that a cut in it may leave; how many there were.
fn cut(
    before: &Medium,
    run: impl Fn(&SimDisk),
    good: impl Fn(&Medium) -> bool,
    finish: impl Fn(&SimDisk),
) -> usize {
    let disk = SimDisk::of(before.clone(), DISK_BYTES);
    run(&disk);
    let states = states(before, &disk.take_log());
    for (number, state) in states.iter().enumerate() {
        assert!(good(state), "state {number}: {:?}", boots(state));
        if number % FINISHED_OF == 0 {
            finish(&SimDisk::of(state.clone(), DISK_BYTES));
        }
    }
    states.len()
}

fn slot_of(boots: &Boots) -> Option<char> {
    match boots {
        Boots::Nothing => None,
        Boots::Slot { slot, .. } => Some(*slot),
    }
}

/// The disk boots this release, or that one, and whatever it may fall back to is the first.
fn boots_either(medium: &Medium, old: &Release, new: &Release) -> bool {
    let (boots, record) = boots(medium);
    let Boots::Slot { slot, tries } = boots else {
        return false;
    };
    match tries {
        None => holds(medium, &record, slot, old) || holds(medium, &record, slot, new),
        Some(_) => {
            let other = record["nx_other"].chars().next().unwrap();
            holds(medium, &record, slot, new) && holds(medium, &record, other, old)
        }
    }
}

#[test]
fn a_cut_in_the_provisioning_leaves_a_blank_disk_or_the_system() {
    let release = Release::new(0, false);
    let image = release.image();
    let send = |disk: &SimDisk| {
        device(disk, None).send(&image, NOTHING);
    };
    let good = |medium: &Medium| {
        let (boots, record) = boots(medium);
        slot_of(&boots).is_none_or(|slot| slot == 'a' && holds(medium, &record, 'a', &release))
    };
    let finish = |disk: &SimDisk| {
        send(disk);
        // Provisioned, or updated to the same: the system is there.
        let medium = disk.medium();
        assert!(slot_of(&boots(&medium).0).is_some() && good(&medium));
    };
    let states = cut(&Medium::new(), send, good, finish);
    assert!(states > 900, "{states}");

    // Over a disk that was one before, with other partitions: it is nothing in between.
    let mut before = provisioned(&Release::new(5, false)).medium();
    let at = place("boot-record") / 512;
    before.remove(&(at + 8));
    before.remove(&(at + 16));
    let states = cut(&before, send, good, finish);
    assert!(states > 900, "{states}");
}

#[test]
fn a_cut_in_an_update_leaves_the_old_system_or_the_new_one() {
    let (old, new) = (Release::new(0, false), Release::new(1, true));
    let image = new.image();
    let fresh = provisioned(&old);
    // Once more: both slots were used before, and the record names both.
    let used = provisioned(&Release::new(2, true));
    device(&used, Some(Slot::A)).send(&old.image(), NOTHING);
    open(&used, Some(Slot::B)).store.confirm().unwrap();
    // And once more: what waits for its first start is replaced.
    let waits = provisioned(&old);
    device(&waits, Some(Slot::A)).send(&Release::new(2, true).image(), NOTHING);
    for (name, disk, running, third) in [
        ("fresh", fresh, Slot::A, None),
        ("used", used, Slot::B, None),
        ("waits", waits, Slot::A, Some(Release::new(2, true))),
    ] {
        let good = |medium: &Medium| {
            let third = third.as_ref();
            boots_either(medium, &old, &new)
                || third.is_some_and(|third| boots_either(medium, &old, third))
        };
        let finish = |disk: &SimDisk| {
            device(disk, Some(running)).send(&image, NOTHING);
            let medium = disk.medium();
            let (boots, record) = boots(&medium);
            let slot = slot_of(&boots).unwrap();
            assert_eq!(slot, if running == Slot::A { 'b' } else { 'a' });
            assert!(holds(&medium, &record, slot, &new) && boots_either(&medium, &old, &new));
        };
        let send = |disk: &SimDisk| {
            device(disk, Some(running)).send(&image, NOTHING);
        };
        let states = cut(&disk.medium(), send, good, finish);
        assert!(states > 400, "{name}: {states}");
    }
}

#[test]
fn a_cut_in_the_confirmation_or_the_fall_back_or_a_restart_loses_nothing() {
    let (old, new) = (Release::new(0, false), Release::new(1, true));
    let disk = provisioned(&old);
    device(&disk, Some(Slot::A)).send(&new.image(), NOTHING);
    let good = |medium: &Medium| boots_either(medium, &old, &new);
    let set_boot = |disk: &SimDisk| {
        let mut bench = device(disk, Some(Slot::A));
        for target in [BootTarget::Recovery, BootTarget::Normal] {
            bench.hello();
            bench.say(FromHost::Reboot { target });
        }
    };
    let on_trial = |medium: &Medium| good(medium) && slot_of(&boots(medium).0) == Some('b');
    let states = cut(&disk.medium(), set_boot, on_trial, set_boot);
    assert!(states > 30, "{states}");

    spend_a_try(&disk);
    let confirm = |disk: &SimDisk| {
        open(disk, Some(Slot::B)).store.confirm().unwrap();
        assert_eq!(
            boots(&disk.medium()).0,
            Boots::Slot {
                slot: 'b',
                tries: None
            }
        );
    };
    cut(&disk.medium(), confirm, on_trial, confirm);

    spend_a_try(&disk);
    spend_a_try(&disk);
    let fall_back = |disk: &SimDisk| {
        open(disk, Some(Slot::A));
        assert_eq!(boots(&disk.medium()).1["nx_other"], "-");
    };
    let fell_back = |medium: &Medium| good(medium) && slot_of(&boots(medium).0) == Some('a');
    cut(&disk.medium(), fall_back, fell_back, fall_back);
}

#[test]
fn what_a_sync_made_durable_is_not_sent_again() {
    let (old, new) = (Release::new(0, false), Release::new(1, false));
    for (disk, slot, image) in [
        (SimDisk::blank(DISK_BYTES), None, old.image()),
        (provisioned(&old), Some(Slot::A), new.image()),
    ] {
        let mut bench = device(&disk, slot);
        bench.hello();
        let needs = bench.begin(&image, NOTHING);
        let blocks = needed(&image, &needs);
        let half = blocks.len() / 2;
        for (offset, data) in &blocks[..half] {
            bench.data(*offset, data);
        }
        // The session ends: what came is made durable.
        bench.device.stop();
        bench.settle();
        drop(bench);
        let sent = device(&disk, slot).send(&image, NOTHING);
        assert_eq!(sent, blocks.len() - half);
    }
}

#[test]
fn a_disk_that_fails_in_the_middle_is_no_worse_than_a_cut() {
    #[derive(Debug)]
    struct Failing(SimDisk, usize);
    impl Disk for Failing {
        fn size(&self) -> u64 {
            self.0.size()
        }
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            self.0.read_at(buffer, offset)
        }
        fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
            self.1 = self.1.checked_sub(1).ok_or(io::ErrorKind::Other)?;
            self.0.write_at(bytes, offset)
        }
        fn sync(&mut self) -> io::Result<()> {
            self.1 = self.1.checked_sub(1).ok_or(io::ErrorKind::Other)?;
            self.0.sync()
        }
    }
    let (old, new) = (Release::new(0, false), Release::new(1, true));
    let image = new.image();
    for writes in 0.. {
        let disk = provisioned(&old);
        let running = Running {
            slot: Some(Slot::A),
            recovery: false,
        };
        let pages = MemoryPages::default();
        let failing = Failing(disk.clone(), writes);
        let opened = AbStore::open_on(failing, pages, running, Path::new("x"));
        let mut bench = Bench::new(opened.unwrap());
        bench.hello();
        bench.offer(&image, NOTHING);
        send_what_is_asked_for(&mut bench, &image);
        assert!(boots_either(&disk.medium(), &old, &new), "{writes}");
        let installed = slot_of(&boots(&disk.medium()).0) == Some('b');
        device(&disk, Some(Slot::A)).send(&image, NOTHING);
        assert!(boots_either(&disk.medium(), &old, &new), "{writes}");
        if installed {
            assert!(writes > 10, "{writes}");
            return;
        }
    }
}

/// Answers whatever the device says, and stops where it refuses.
fn send_what_is_asked_for<S: Store>(bench: &mut Bench<S>, image: &TestImage) {
    for segment in &image.manifest.segments {
        bench.queue(&FromHost::Write {
            segment: segment.name.clone(),
        });
    }
    bench.settle();
    let mut needs = 0;
    loop {
        for message in bench.take_said() {
            match message {
                FromDevice::Want(object @ Object::Page { segment, page }) => {
                    bench.object(object, &image.page(segment, page));
                }
                FromDevice::Want(object @ Object::Sums { segment, page }) => {
                    let blocks = image.blocks(segment, page);
                    let sums = blocks.flat_map(|block| rolling::sum(block).to_le_bytes());
                    bench.object(object, &sums.collect::<Vec<u8>>());
                }
                FromDevice::Need(need) => {
                    needs += 1;
                    bench.fill(image, &[need]);
                }
                FromDevice::Accepted => {}
                _ => return,
            }
        }
        if needs == image.manifest.segments.len() {
            needs += 1;
            bench.done(image);
        } else if bench.said.is_empty() {
            return;
        }
    }
}
