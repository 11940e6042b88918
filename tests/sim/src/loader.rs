//! Reads a disk with two slots as its boot loader does, with nothing of the code that wrote it.

use std::collections::BTreeMap;

use crate::release::{Release, place};

/// What a disk starts next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Boots {
    pub(crate) slot: char,
    /// Tries left, of a slot on trial.
    pub(crate) tries: Option<u32>,
    /// What is fallen back to.
    pub(crate) other: char,
}

/// What a disk starts; nothing if it is blank.
pub(crate) fn boots(disk: &[u8]) -> Option<Boots> {
    if disk.get(512..520) != Some(b"EFI PART") || !has_table(disk) {
        return None;
    }
    let at = place("boot-record").0;
    let copies = [4_096, 8_192].map(|offset| variables(&disk[at + offset..at + offset + 512]));
    let whole = copies.into_iter().filter(|record| {
        record.contains_key("nx_gen") && record.get("nx_gen") == record.get("nx_end")
    });
    let record = whole.max_by_key(|record| record["nx_gen"].clone())?;
    let letter = |name: &str| record.get(name).and_then(|value| value.chars().next());
    let (slot, other) = (letter("nx_slot")?, letter("nx_other")?);
    let trial = record.get("nx_trial")?;
    if trial == "00000000" {
        return Some(Boots {
            slot,
            tries: None,
            other,
        });
    }
    let is_file = &disk[at..at + 6] == b"tries\0" && &disk[at + 257..at + 262] == b"ustar";
    let tries = variables(&disk[at + 512..at + 1_024]);
    let of_this =
        is_file && tries.get("nx_try_gen") == Some(trial) && tries.get("nx_try_end") == Some(trial);
    let left = tries.get("nx_tries").and_then(|left| left.parse().ok());
    Some(match left.filter(|left| of_this && *left > 0) {
        Some(left) => Boots {
            slot,
            tries: Some(left),
            other,
        },
        None => Boots {
            slot: other,
            tries: None,
            other,
        },
    })
}

/// Whether a slot holds a release, byte for byte.
pub(crate) fn holds(disk: &[u8], slot: char, release: &Release) -> bool {
    release.parts.iter().all(|(name, content)| {
        let (at, len) = place(&format!("{name}-{slot}"));
        let (body, rest) = disk[at..at + len].split_at(content.len());
        body == content.as_slice() && rest.iter().all(|byte| *byte == 0)
    })
}

/// Whether the table's own checksums are right.
fn has_table(disk: &[u8]) -> bool {
    let header = &disk[512..1_024];
    let number = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
    let mut zeroed = header[..92].to_vec();
    zeroed[16..20].fill(0);
    number(16) == crc(&zeroed) && number(88) == crc(&disk[1_024..1_024 + 128 * 128])
}

fn crc(bytes: &[u8]) -> u32 {
    // Bit by bit, so that it is nobody else's.
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (0_u32.wrapping_sub(crc & 1)))
        })
    });
    !crc
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
