//! What a device installs to, and what it holds, seen by tools that know nothing of `flashd`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Result, Trouble};
use crate::listing::sha256;
use crate::room::Room;
use crate::world::World;

/// A layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    /// A file that is replaced.
    File,
    /// A file that is written over.
    InPlace,
}

/// What a device holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// What it held before, whole.
    Old,
    /// What it was to hold, whole.
    New,
    /// Neither.
    Between,
}

impl Medium {
    /// The arguments of `flashd` for it.
    pub(super) fn args(self, room: &Room) -> Vec<String> {
        let layout = match self {
            Self::File => "file",
            Self::InPlace => "in-place",
        };
        let path = |name: &str| room.work().join(name).display().to_string();
        vec![
            "--layout".to_owned(),
            layout.to_owned(),
            "--target".to_owned(),
            path(TARGET),
            "--journal".to_owned(),
            path("journal"),
            "--boot-record".to_owned(),
            path(BOOT_RECORD),
        ]
    }

    /// Whether a cut may leave neither the old nor the new, as long as the device says so.
    pub(super) const fn may_be_between(self) -> bool {
        matches!(self, Self::InPlace)
    }

    /// Gives the device data of its own, which an update has to keep, and writes down what its
    /// target is before and after one. An image without a target before it is written as built.
    pub(super) fn expect(self, world: &World, room: &Room) -> Result<()> {
        let target = room.work().join(TARGET);
        let (old, new) = (room.kept().join("old"), room.kept().join("new"));
        let mut after = read(&world.asset("new.img"))?;
        if target.exists() {
            let mut before = read(&target)?;
            let data = b"what a user put on the device";
            let state = state_of(&world.asset("old.json"))?;
            put(&mut before, state.start, data);
            write(&target, &before)?;
            write(&old, &before)?;
            let kept = before.get(state).unwrap_or_default().to_vec();
            put(&mut after, state_of(&world.asset("new.json"))?.start, &kept);
        }
        write(&new, &after)
    }

    /// What the target holds.
    pub(super) fn holds(self, room: &Room) -> Result<Holds> {
        compare(room, TARGET, "old", "new")
    }
}

const TARGET: &str = "target";
/// Where the next boot is written to.
pub(super) const BOOT_RECORD: &str = "boot";

/// Which of two files that were put by another is; no file is what it was if none was put by.
pub(super) fn compare(room: &Room, subject: &str, old: &str, new: &str) -> Result<Holds> {
    let (subject, old) = (room.work().join(subject), room.kept().join(old));
    let new = room.kept().join(new);
    if !subject.exists() {
        return Ok(if old.exists() {
            Holds::Between
        } else {
            Holds::Old
        });
    }
    let mut paths = vec![subject, new];
    if old.exists() {
        paths.push(old);
    }
    let digests = sha256(&paths)?;
    Ok(match digests.as_slice() {
        [subject, new, ..] if subject == new => Holds::New,
        [subject, _, old] if subject == old => Holds::Old,
        _ => Holds::Between,
    })
}

/// Where the state is in an image, by its manifest.
fn state_of(manifest: &Path) -> Result<std::ops::Range<usize>> {
    let odd = || Trouble::plain("the manifest", "it has no state segment");
    let json: Value = serde_json::from_slice(&read(manifest)?).map_err(|_| odd())?;
    let segments = json.get("segments").and_then(Value::as_array);
    let state = segments
        .into_iter()
        .flatten()
        .find(|segment| segment.get("name").and_then(Value::as_str) == Some("state"))
        .ok_or_else(odd)?;
    let number = |name| {
        let number = state.get(name).and_then(Value::as_u64);
        number
            .and_then(|number| usize::try_from(number).ok())
            .ok_or_else(odd)
    };
    let start = number("offset")?;
    Ok(start..start.saturating_add(number("size")?))
}

fn put(bytes: &mut [u8], at: usize, data: &[u8]) {
    let room = bytes.iter_mut().skip(at);
    for (byte, new) in room.zip(data) {
        *byte = *new;
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(Trouble::io("read", path))
}

fn write(path: &PathBuf, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(Trouble::io("write", path))
}
