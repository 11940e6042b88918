//! Disks as a power cut could have left them, made from the record of one update.

use std::{fs, ops::Range};

use crate::{
    disk::{Boots, Contents, inspect_with},
    error::{MachineError, Result},
    host::Nx,
    lab::{BOOT_LIMIT, Lab, SEND_LIMIT},
    qemu::{Machine, Setup},
    report::line,
    scenario::cuts::Dice,
    system::{FLASHD, System},
    write_log::{self, Entry},
};

const DISK_MIB: u32 = 256;
/// What each release has that no other has: so much of the second has to be sent.
const FRESH_KIB: u32 = 4 << 10;
/// Half of the states lie in so many of the last requests, where the switch is.
const LAST: usize = 40;

/// Records one update with QEMU's `blklogwrites`, makes `count` disks from the record, looks at
/// each with a reader of its own, and boots `boots` of them.
///
/// A state is everything that a finished flush had made durable, of the writes since then any
/// subset, and of one of those, or of the one under way, any number of bytes at its front. A write
/// that was recorded before a flush counts as covered by it.
///
/// # Errors
/// [`MachineError::Broken`] for the first disk that would boot neither the old system nor the new.
pub fn recorded(count: u32, boots: u32, seed: u64) -> Result<()> {
    let mut lab = Lab::new(FLASHD)?;
    lab.run(|lab| {
        let old = System::build_with(lab, "1.0.0", true, FRESH_KIB)?;
        let new = System::build_with(lab, "2.0.0", true, FRESH_KIB)?;
        let disk = lab.blank_disk("disk.img", DISK_MIB)?;
        let machine = lab.recovery("before", &disk)?;
        lab.send(&old.release, &machine, &[])?;
        machine.cut();
        let before = fs::read(&disk).map_err(MachineError::io("read", &disk))?;
        let entries = record(lab, &new)?;
        line(&format!("{} requests recorded", entries.len()));
        let contents = (Contents::of(&old.release)?, Contents::of(&new.release)?);
        let mut dice = Dice::new(seed);
        let mut points: Vec<usize> = (0..count)
            .map(|number| {
                let last = if number % 2 == 0 { LAST } else { usize::MAX };
                let first = entries.len().saturating_sub(last);
                dice.within(first..entries.len().saturating_add(1))
            })
            .collect();
        points.sort_unstable();
        let every = count.checked_div(boots).unwrap_or(u32::MAX).max(1) as usize;
        let mut world = World::new(before);
        let (mut olds, mut news, mut torn, mut booted) = (0u32, 0u32, 0u32, 0u32);
        for (number, point) in points.into_iter().enumerate() {
            world.advance(&entries, point);
            torn = torn.saturating_add(u32::from(world.cut(&entries, point, &mut dice)));
            let found = inspect_with(&mut |at, len| world.read(at, len), &contents.0, &contents.1);
            let found = found.inspect_err(|_| line(&format!("state {number} of seed {seed}")))?;
            match found {
                Boots::Old => olds = olds.saturating_add(1),
                Boots::NewOnTrial | Boots::New => news = news.saturating_add(1),
            }
            if number.is_multiple_of(every) && booted < boots {
                booted = booted.saturating_add(1);
                comes_up(lab, &world, found, &old, &new)?;
            }
            world.undo();
        }
        line(&format!(
            "{count} of {count} disks good (seed {seed}): {olds} boot the old system, {news} the \
             new one; {torn} with a torn write; {booted} booted"
        ));
        Ok(())
    })
}

/// One update on the disk as it is, request by request.
fn record(lab: &Lab, new: &System) -> Result<Vec<Entry>> {
    let log = lab.room().path("writes.bin");
    fs::write(&log, []).map_err(MachineError::io("create", &log))?;
    let disk = lab.room().path("disk.img");
    let mut setup = Setup::with_disk(&disk, lab.rom(""));
    setup.disk = format!(
        "driver=blklogwrites,log-sector-size=512,file.driver=file,file.filename={},\
         log.driver=file,log.filename={}",
        disk.display(),
        log.display()
    );
    let machine = Machine::start(lab.room(), "record", &setup)?;
    machine
        .console()
        .wait_for("recovery: ready", 0, BOOT_LIMIT)?;
    let nx = Nx::send(lab.parts(), &new.release, &machine.flash_socket(), &[])?;
    nx.wait(SEND_LIMIT)?.ok()?;
    machine.cut();
    write_log::read(&log)
}

/// Boots the disk by its own boot loader: what it is said to boot has to come up.
fn comes_up(lab: &Lab, world: &World, boots: Boots, old: &System, new: &System) -> Result<()> {
    let disk = lab.room().path("state.img");
    fs::write(&disk, &world.disk).map_err(MachineError::io("write", &disk))?;
    let machine = Machine::start(
        lab.room(),
        "state",
        &Setup::with_disk(&disk, lab.firmware("state")?),
    )?;
    let want = if boots == Boots::Old { old } else { new };
    let console = machine.console();
    console.wait_for(&want.marker, 0, BOOT_LIMIT)?;
    console.wait_for("system: ready", 0, BOOT_LIMIT).map(drop)
}

/// A disk, and how it was before the cut that is being looked at.
struct World {
    disk: Vec<u8>,
    undo: Vec<(usize, Vec<u8>)>,
    /// How many entries are durable on the disk.
    durable: usize,
}

impl World {
    const fn new(disk: Vec<u8>) -> Self {
        Self {
            disk,
            undo: Vec::new(),
            durable: 0,
        }
    }

    /// Makes all durable that is so once the first `point` entries are finished.
    fn advance(&mut self, entries: &[Entry], point: usize) {
        let done = entries.get(..point).unwrap_or(entries);
        let flush = done.iter().rposition(|entry| *entry == Entry::Flush);
        let until = flush.unwrap_or(0).max(self.durable);
        for entry in entries.get(self.durable..until).unwrap_or_default() {
            if let Entry::Write { offset, data, .. } = entry {
                self.write(*offset, data);
            }
        }
        self.durable = until;
        self.undo.clear();
    }

    /// Of what is not durable, what the dice keep. Whether a write is torn.
    fn cut(&mut self, entries: &[Entry], point: usize, dice: &mut Dice) -> bool {
        let end = point.saturating_add(1).min(entries.len());
        let pending = self.durable..end;
        let torn = dice.within(pending.start..pending.end.saturating_add(4));
        let mut tore = false;
        for (number, entry) in entries.iter().enumerate().take(end).skip(pending.start) {
            let Entry::Write {
                offset,
                data,
                durable,
            } = entry
            else {
                continue;
            };
            if number == torn && !(*durable && number < point) {
                tore = true;
                let front = dice.within(0..data.len());
                self.write(*offset, data.get(..front).unwrap_or_default());
            } else if number < point && (*durable || dice.within(0..2) == 1) {
                self.write(*offset, data);
            }
        }
        tore
    }

    fn write(&mut self, offset: usize, data: &[u8]) {
        let end = offset.saturating_add(data.len());
        if let Some(place) = self.disk.get_mut(offset..end) {
            self.undo.push((offset, place.to_vec()));
            place.copy_from_slice(data);
        }
    }

    fn undo(&mut self) {
        while let Some((offset, data)) = self.undo.pop() {
            let end = offset.saturating_add(data.len());
            if let Some(place) = self.disk.get_mut(offset..end) {
                place.copy_from_slice(&data);
            }
        }
    }

    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let range = usize::try_from(offset).ok().and_then(|start| {
            let end = start.checked_add(length)?;
            Some(Range { start, end })
        });
        let bytes = range.and_then(|range| self.disk.get(range));
        bytes
            .map(<[u8]>::to_vec)
            .ok_or_else(|| MachineError::broken("a place on the disk", offset.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(offset: usize, byte: u8) -> Entry {
        Entry::Write {
            offset,
            data: vec![byte; 4],
            durable: false,
        }
    }

    #[test]
    fn what_was_flushed_is_never_lost_and_what_was_not_comes_and_goes() {
        let entries = [write(0, 1), Entry::Flush, write(4, 2), write(8, 3)];
        let mut seen = std::collections::BTreeSet::new();
        let mut dice = Dice::new(1);
        for _ in 0..200 {
            let mut world = World::new(vec![0; 12]);
            world.advance(&entries, 3);
            world.cut(&entries, 3, &mut dice);
            assert_eq!(world.disk[..4], [1; 4], "durable");
            seen.insert(world.disk.clone());
            world.undo();
            assert_eq!(world.disk, [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        }
        assert!(
            seen.contains(&vec![1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
            "lost"
        );
        assert!(
            seen.contains(&vec![1, 1, 1, 1, 2, 2, 2, 2, 0, 0, 0, 0]),
            "kept"
        );
        assert!(
            seen.contains(&vec![1, 1, 1, 1, 2, 2, 0, 0, 0, 0, 0, 0]),
            "torn"
        );
        assert!(
            seen.contains(&vec![1, 1, 1, 1, 0, 0, 0, 0, 3, 0, 0, 0]),
            "under way"
        );
    }
}
