use alloc::{format, string::String, vec, vec::Vec};
use core::num::NonZeroU32;

use super::*;
use crate::Digest;

/// If a test with these bytes fails the code is wrong: boot loaders in the field read them, and
/// disks hold them. Never edit them.
const RECORD: &str = "# GRUB Environment Block\n\
    nx_v=1\nnx_gen=00000a07\nnx_slot=b\nnx_other=a\nnx_trial=00000a06\nnx_recovery=1\n\
    nx_a_kernel=0x00006f1c\nnx_a_initrd=0x00001b80\n\
    nx_b_kernel=0x00007000\nnx_b_initrd=0x00000000\n\
    nx_a=0000000000000000000000000000000000000000000000000000000000000000\n\
    nx_b=abababababababababababababababababababababababababababababababab\n\
    nx_crc=d20dd3e3\nnx_end=00000a07\n";
const TRIES: &str = "# GRUB Environment Block\n\
    nx_try_gen=00000a06\nnx_tries=2\nnx_try_end=00000a06\n";

fn record() -> BootRecord {
    BootRecord {
        generation: 0xa07,
        slot: Slot::B,
        fallback: true,
        trial: NonZeroU32::new(0xa06),
        recovery: true,
        a: SlotContents {
            kernel_sectors: 0x6f1c,
            initrd_sectors: 0x1b80,
            manifest: None,
        },
        b: SlotContents {
            kernel_sectors: 0x7000,
            initrd_sectors: 0,
            manifest: Some(Digest::from_bytes([0xab; 32])),
        },
    }
}

fn tries(left: u8) -> Tries {
    Tries {
        number: NonZeroU32::new(0xa06).unwrap(),
        left,
    }
}

fn sector(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(SECTOR_BYTES, b'#');
    bytes
}

/// The header of a tar archive with the file `tries`, byte by byte.
fn header() -> Vec<u8> {
    let mut bytes = vec![0; SECTOR_BYTES];
    for (at, text) in [
        (0, "tries"),
        (100, "0000600\x000000000\x000000000\0"),
        (124, "00000001000\x0000000000000\x00006775\0 0"),
        (257, "ustar\x0000"),
    ] {
        for (byte, from) in bytes.iter_mut().skip(at).zip(text.bytes()) {
            *byte = from;
        }
    }
    bytes
}

/// Everything that a device does to a record, in an order that it may happen in.
fn life() -> Vec<BootRecord> {
    let contents = |sectors, digest| SlotContents {
        kernel_sectors: sectors,
        initrd_sectors: sectors,
        manifest: Some(Digest::from_bytes([digest; 32])),
    };
    let first = BootRecord::first(contents(0x6f1c, 1));
    let vacated = first.vacated(Slot::B).unwrap();
    let on_trial = vacated.on_trial(Slot::B, contents(0x7001, 2)).unwrap();
    let recovery = on_trial.with_recovery(true).unwrap().unwrap();
    let normal = recovery.with_recovery(false).unwrap().unwrap();
    let confirmed = normal.confirmed_by(Slot::B).unwrap().unwrap();
    let next = confirmed.vacated(Slot::A).unwrap();
    let third = next.on_trial(Slot::A, contents(0x10, 3)).unwrap();
    let fallen = third.confirmed_by(Slot::B).unwrap().unwrap();
    vec![
        first, vacated, on_trial, recovery, normal, confirmed, next, third, fallen,
    ]
}

/// What a boot loader without a CRC takes for whole: the same number at both ends.
fn whole_for_a_loader(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8(bytes.to_vec()).ok()?;
    let mut lines = text.lines();
    if lines.next()? != "# GRUB Environment Block" {
        return None;
    }
    let value = |name: &str| {
        let mut found = text.lines().filter_map(|line| line.strip_prefix(name));
        found.next_back()
    };
    (value("nx_gen=")? == value("nx_end=")?).then_some(text.clone())
}

#[test]
fn bytes_are_frozen() {
    assert_eq!(
        String::from_utf8(record().encode()),
        String::from_utf8(sector(RECORD))
    );
    assert_eq!(BootRecord::parse(&sector(RECORD)), Ok(record()));
    let bytes = tries(2).encode();
    assert_eq!(bytes[..512], header());
    assert_eq!(bytes[512..], sector(TRIES));
    assert_eq!(Tries::parse(&bytes), Ok(tries(2)));
    let segment = record().segment();
    assert_eq!(segment.len(), 12_288);
    for (number, part) in segment.chunks(512).enumerate() {
        let want = match number {
            0 => header(),
            8 | 16 => sector(RECORD),
            _ => vec![0; 512],
        };
        assert_eq!(part, want, "sector {number}");
    }
}

#[test]
fn places_are_frozen() {
    assert_eq!((Tries::OFFSET, Tries::BYTES), (0, 1_024));
    assert_eq!(RecordCopy::ALL.map(RecordCopy::offset), [4_096, 8_192]);
    assert_eq!(Slot::ALL.map(held_offset), [65_536, 196_608]);
    assert_eq!(PARTITION_BYTES, 1_048_576);
    assert_eq!(PARTITION, crate::SegmentKind::BootRecord.as_str());
    let numbers = |slot| crate::SegmentKind::ALL.map(|kind| partition_number(kind, slot));
    assert_eq!(numbers(Slot::A), [0, 1, 2, 3, 4, 5, 6, 11, 0]);
    assert_eq!(numbers(Slot::B), [0, 1, 2, 7, 8, 9, 10, 11, 0]);
    let name = |kind| partition_name(kind, Slot::B);
    assert_eq!(name(crate::SegmentKind::Rootfs), "rootfs-b");
    assert_eq!(name(crate::SegmentKind::State), "state");
}

#[test]
fn any_changed_bit_is_noticed() {
    for (good, parses) in [
        (
            record().encode(),
            (|bytes| BootRecord::parse(bytes).is_ok()) as fn(&[u8]) -> bool,
        ),
        // Without a checksum the count may change into another one.
        (tries(2).encode(), |bytes| {
            Tries::parse(bytes).is_ok_and(|found| found.number != tries(2).number)
        }),
    ] {
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(!parses(&bad), "byte {at} bit {bit}");
            }
        }
        assert!(!parses(&good[1..]));
        assert!(!parses(&[]));
        assert!(!parses(&[good.as_slice(), b"#"].concat()));
    }
}

#[test]
fn a_torn_sector_is_the_old_one_the_new_one_or_none() {
    let life = life();
    for (old, new) in life.iter().zip(life.iter().skip(2)) {
        // Two generations apart: copies are written in turn.
        let (before, after) = (old.encode(), new.encode());
        for cut in 0..=SECTOR_BYTES {
            let front = [&after[..cut], &before[cut..]].concat();
            let back = [&before[..cut], &after[cut..]].concat();
            for torn in [front, back] {
                let found = BootRecord::parse(&torn).ok();
                assert!(
                    found.is_none() || found == Some(*old) || found == Some(*new),
                    "{cut}: {found:?}"
                );
                // And a boot loader, which has no checksum, sees it the same way.
                assert_eq!(
                    whole_for_a_loader(&torn).is_some(),
                    found.is_some(),
                    "{cut}: {found:?}"
                );
            }
        }
    }
    for (old, new) in [(1, 2), (0x0f, 0x10), (0xffff, 0x1_0000)] {
        let tries = |number, left| Tries {
            number: NonZeroU32::new(number).unwrap(),
            left,
        };
        let (before, after) = (tries(old, 0).encode(), tries(new, 3).encode());
        for cut in 0..=Tries::BYTES {
            for torn in [
                [&after[..cut], &before[cut..]].concat(),
                [&before[..cut], &after[cut..]].concat(),
            ] {
                let found = Tries::parse(&torn).ok();
                let expected = [None, Some(tries(old, 0)), Some(tries(new, 3))];
                assert!(expected.contains(&found), "{cut}: {found:?}");
            }
        }
    }
}

#[test]
fn the_newest_whole_copy_counts() {
    let life = life();
    let (old, new) = (life[0], life[1]);
    let whole = |record: &BootRecord| record.encode();
    let torn = vec![0; SECTOR_BYTES];
    for (first, second, want) in [
        (whole(&old), torn.clone(), Some((RecordCopy::First, old))),
        (torn.clone(), whole(&old), Some((RecordCopy::Second, old))),
        (whole(&old), whole(&new), Some((RecordCopy::Second, new))),
        (whole(&new), whole(&old), Some((RecordCopy::First, new))),
        (whole(&new), whole(&new), Some((RecordCopy::First, new))),
        (torn.clone(), torn, None),
    ] {
        assert_eq!(newest(&first, &second), want);
    }
}

#[test]
fn a_right_checksum_does_not_excuse_contradictions() {
    type Change = fn(&mut BootRecord);
    let cases: [Change; 4] = [
        |record| record.generation = 0,
        |record| record.fallback = false,
        |record| record.trial = NonZeroU32::new(0xa08),
        |record| (record.generation, record.trial) = (0, None),
    ];
    for (number, change) in cases.into_iter().enumerate() {
        let mut wrong = record();
        change(&mut wrong);
        let parsed = BootRecord::parse(&wrong.encode());
        assert!(
            matches!(parsed, Err(BootRecordError::Contents { .. })),
            "case {number}: {parsed:?}"
        );
    }
    for (from, to) in [
        ("nx_v=1", "nx_v=2"),
        ("nx_slot=b", "nx_slot=c"),
        ("nx_other=a", "nx_other=b"),
        ("nx_other=a", "nx_other=c"),
        ("nx_recovery=1", "nx_recovery=2"),
    ] {
        let text = RECORD.replace(from, to);
        let (front, _) = text.split_once("nx_crc=").unwrap();
        let crc = crc32fast::hash(front.as_bytes());
        let signed = format!("{front}nx_crc={crc:08x}\nnx_end=00000a07\n");
        let parsed = BootRecord::parse(&sector(&signed));
        assert!(
            matches!(parsed, Err(BootRecordError::Contents { .. })),
            "{to}: {parsed:?}"
        );
    }
}

#[test]
fn every_record_of_a_life_reads_back_and_is_one_generation_on() {
    for (generation, record) in (1..).zip(life()) {
        assert_eq!(BootRecord::parse(&record.encode()), Ok(record));
        assert_eq!(record.generation, generation);
    }
}

#[test]
fn a_slot_on_trial_boots_three_times_and_then_the_other_one() {
    let trial = life()[2];
    let mut tries = Tries::all(trial.trial.unwrap());
    for left in [2, 1, 0] {
        let choice = trial.choice(Some(&tries));
        assert_eq!((choice.slot, choice.recovery), (Slot::B, false));
        tries = choice.spend.unwrap();
        assert_eq!(
            (tries.left, trial.tries_left(Some(&tries))),
            (left, Some(left))
        );
    }
    let fallen = Choice {
        slot: Slot::A,
        recovery: false,
        spend: None,
    };
    assert_eq!(trial.choice(Some(&tries)), fallen);
    // Of another trial, or torn.
    let others = Tries {
        number: NonZeroU32::new(77).unwrap(),
        left: 3,
    };
    assert_eq!(trial.choice(Some(&others)), fallen);
    assert_eq!(trial.choice(None), fallen);
    assert_eq!(trial.tries_left(None), Some(0));
}

#[test]
fn recovery_runs_from_the_confirmed_slot_and_costs_no_try() {
    let life = life();
    let (trial, recovery, normal, confirmed) = (life[2], life[3], life[4], life[5]);
    let tries = Tries::all(trial.trial.unwrap());
    let choice = recovery.choice(Some(&tries));
    assert_eq!(
        (choice.slot, choice.recovery, choice.spend),
        (Slot::A, true, None)
    );
    // The trial goes on afterwards with the tries that it had.
    assert_eq!(normal.choice(Some(&tries)).slot, Slot::B);
    let recovery = confirmed.with_recovery(true).unwrap().unwrap();
    assert_eq!(recovery.choice(None).slot, Slot::B);
    assert!(recovery.choice(None).recovery);
    assert_eq!(recovery.with_recovery(true), Ok(None));
}

#[test]
fn a_confirmed_slot_is_never_given_up_for_an_update() {
    for record in life() {
        let confirmed = record.confirmed();
        let refused = Err(BootRecordError::Confirmed { slot: confirmed });
        assert_eq!(record.vacated(confirmed), refused);
        let vacated = record.vacated(confirmed.other()).unwrap();
        assert!(!vacated.names(confirmed.other()));
        assert_eq!(vacated.confirmed(), confirmed);
        assert_eq!(vacated.choice(None).slot, confirmed);
        assert_eq!(vacated.contents(confirmed), record.contents(confirmed));
        assert_eq!(vacated.on_trial(confirmed, SlotContents::EMPTY), refused);
    }
    let trial = life()[2];
    assert_eq!(
        trial.on_trial(Slot::A, SlotContents::EMPTY),
        Err(BootRecordError::OnTrial { slot: Slot::B })
    );
}

#[test]
fn what_runs_well_is_confirmed_and_what_failed_is_forgotten() {
    let life = life();
    let (first, trial, confirmed, fallen) = (life[0], life[2], life[5], life[8]);
    assert_eq!(confirmed.confirmed(), Slot::B);
    assert!(confirmed.fallback && confirmed.names(Slot::A));
    assert_eq!(confirmed.confirmed_by(Slot::B), Ok(None));
    // The boot loader took the other one because this one could not be loaded.
    let other = confirmed.confirmed_by(Slot::A).unwrap().unwrap();
    assert_eq!((other.slot, other.names(Slot::B)), (Slot::A, false));
    assert_eq!((fallen.slot, fallen.names(Slot::A)), (Slot::B, false));
    assert_eq!(trial.confirmed_by(Slot::A).unwrap().unwrap().slot, Slot::A);
    assert_eq!(
        first.confirmed_by(Slot::B),
        Err(BootRecordError::Unnamed { slot: Slot::B })
    );
}

#[test]
fn after_the_last_generation_there_is_none() {
    let mut last = life()[1];
    last.generation = u32::MAX;
    let refused = BootRecordError::Exhausted { last: u32::MAX };
    assert_eq!(last.vacated(Slot::B), Err(refused));
    assert_eq!(last.on_trial(Slot::B, SlotContents::EMPTY), Err(refused));
    assert_eq!(last.with_recovery(true), Err(refused));
}

#[test]
fn a_held_manifest_reads_back_or_not_at_all() {
    let held = HeldManifest {
        manifest: b"{\"format\":\"nexus-os-image/1\"}\n".to_vec(),
        signature: vec![7; 64],
    };
    let bytes = held.encode().unwrap();
    assert_eq!(bytes[..16], *b"NXHELD01\x1e\0\0\0\x40\0\0\0");
    assert_eq!(HeldManifest::total_bytes(&bytes[..24]), Ok(bytes.len()));
    let room = [bytes.as_slice(), &[0xee; 100]].concat();
    assert_eq!(HeldManifest::parse(&room), Ok(held.clone()));
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 0x40;
        assert!(HeldManifest::parse(&bad).is_err(), "byte {at}");
        assert!(HeldManifest::parse(&bytes[..at]).is_err(), "{at} bytes");
    }
    for (manifest, signature) in [(0, 64), (65_537, 64), (5, 63)] {
        let odd = HeldManifest {
            manifest: vec![1; manifest],
            signature: vec![2; signature],
        };
        assert!(odd.encode().is_err(), "{manifest} and {signature} bytes");
    }
    let unsigned = HeldManifest {
        signature: Vec::new(),
        ..held
    };
    assert_eq!(
        HeldManifest::parse(&unsigned.encode().unwrap()),
        Ok(unsigned)
    );
}
