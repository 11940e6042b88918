//! Reads a disk as a boot loader does, with nothing of the code that wrote it.

use std::collections::BTreeMap;

use super::disk::{Medium, bytes};
use super::image::Release;

/// What a disk starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Boots {
    /// Nothing: it is blank.
    Nothing,
    /// This slot, and, if it is on trial, with so many tries.
    Slot { slot: char, tries: Option<u32> },
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |all, byte| all * 256 + u64::from(*byte))
}

/// Where partitions begin and end, in bytes; nothing without a whole table.
pub(crate) fn partitions(medium: &Medium) -> Option<BTreeMap<String, (u64, u64)>> {
    let header = bytes(medium, 512, 512);
    let mut zeroed = header[..92].to_vec();
    zeroed[16..20].fill(0);
    if &header[..8] != b"EFI PART" || number(&header[16..20]) != crc(&zeroed) {
        return None;
    }
    let list = bytes(medium, number(&header[72..80]) * 512, 128 * 128);
    if number(&header[88..92]) != crc(&list) {
        return None;
    }
    let entries = list.chunks(128).filter(|entry| entry[0] != 0);
    let named = entries.map(|entry| {
        let units = entry[56..].chunks(2).map(|unit| unit[0]);
        let name = units.take_while(|unit| *unit != 0).map(char::from);
        let range = (
            number(&entry[32..40]) * 512,
            (number(&entry[40..48]) + 1) * 512,
        );
        (name.collect(), range)
    });
    Some(named.collect())
}

fn crc(bytes: &[u8]) -> u64 {
    // Bit by bit, so that it is nobody else's.
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (0_u32.wrapping_sub(crc & 1)))
        })
    });
    u64::from(!crc)
}

fn variables(sector: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(sector);
    let Some(text) = text.strip_prefix("# GRUB Environment Block\n") else {
        return BTreeMap::new();
    };
    let lines = text.lines().filter_map(|line| line.split_once('='));
    lines
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

/// What a boot loader that cannot compute a checksum starts, and the record that says so.
pub(crate) fn boots(medium: &Medium) -> (Boots, BTreeMap<String, String>) {
    let nothing = (Boots::Nothing, BTreeMap::new());
    let Some(partitions) = partitions(medium) else {
        return nothing;
    };
    let at = partitions["boot-record"].0;
    let copies = [4_096, 8_192].map(|offset| variables(&bytes(medium, at + offset, 512)));
    let whole = copies.into_iter().filter(|record| {
        record.contains_key("nx_gen") && record.get("nx_gen") == record.get("nx_end")
    });
    let Some(record) = whole.max_by_key(|record| record["nx_gen"].clone()) else {
        return nothing;
    };
    let letter = |name: &str| record[name].chars().next().unwrap();
    // Without the header of the archive there is no file to read.
    let is_file = bytes(medium, at, 6) == b"tries\0" && bytes(medium, at + 257, 5) == b"ustar";
    let tries = variables(&bytes(medium, at + 512, if is_file { 512 } else { 0 }));
    let of_this = tries.get("nx_try_gen") == Some(&record["nx_trial"])
        && tries.get("nx_try_end") == Some(&record["nx_trial"]);
    let left: u32 = if of_this {
        tries["nx_tries"].parse().unwrap()
    } else {
        0
    };
    let boots = match record["nx_trial"].as_str() {
        "00000000" => Boots::Slot {
            slot: letter("nx_slot"),
            tries: None,
        },
        _ if left > 0 => Boots::Slot {
            slot: letter("nx_slot"),
            tries: Some(left),
        },
        _ => Boots::Slot {
            slot: letter("nx_other"),
            tries: None,
        },
    };
    (boots, record)
}

/// Whether a slot holds a release: every byte, and as many sectors as the record says.
pub(crate) fn holds(
    medium: &Medium,
    record: &BTreeMap<String, String>,
    slot: char,
    release: &Release,
) -> bool {
    let partitions = partitions(medium).unwrap();
    let parts = [
        ("kernel", &release.kernel),
        ("initrd", &release.initrd),
        ("rootfs", &release.rootfs),
    ];
    parts.into_iter().all(|(name, content)| {
        let (from, end) = partitions[&format!("{name}-{slot}")];
        let found = bytes(medium, from, (end - from) as usize);
        let sectors = record.get(&format!("nx_{slot}_{name}")).map(|sectors| {
            let sectors = sectors.strip_prefix("0x").unwrap();
            usize::from_str_radix(sectors, 16).unwrap()
        });
        let (body, rest) = found.split_at(content.len());
        let long_enough = sectors.is_none_or(|sectors| sectors == content.len().div_ceil(512));
        body == content.as_slice() && rest.iter().all(|byte| *byte == 0) && long_enough
    })
}
