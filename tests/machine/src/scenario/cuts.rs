//! The power cut at seeded moments of an update, and of the first boot after it.

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    disk::{Boots, inspect},
    error::{MachineError, Result},
    host::Nx,
    lab::{BOOT_LIMIT, Lab, SEND_LIMIT},
    parts::run,
    qemu::{Machine, Setup},
    report::line,
    system::{FLASHD, System},
};

const DISK_MIB: u32 = 512;
/// What each release has that no other has: so much of the second has to be sent.
const FRESH_KIB: u32 = 16 << 10;

/// How long what can be cut takes here when it is not.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// From "accepted" to "verify ok".
    transfer: Duration,
    /// From "verify ok" to "installed".
    install: Duration,
    /// Of the first boot, from power on to "confirmed".
    boot: Duration,
}

/// What a series of cuts works on.
struct Series<'a> {
    lab: &'a Lab,
    old: System,
    new: System,
    /// A disk with the old system, confirmed.
    before: PathBuf,
    /// A disk with the new system on trial.
    after: PathBuf,
    pace: Pace,
}

/// What came of one cut.
struct Outcome {
    /// Where it fell, by what device and host had said.
    fell: &'static str,
    boots: Boots,
    /// Bytes that the disk had taken since power on.
    written: u64,
    /// Blocks that went again.
    sent_again: Option<u64>,
}

/// Cuts the power `count` times; prints where each cut fell and what came of it.
///
/// SIGKILL of QEMU is the cut. It loses what the guest has not handed to its disk and what QEMU is
/// writing just then; what QEMU has written is in the host's page cache and stays. Writes that a
/// disk has taken and not made durable are lost in `recorded`, not here.
///
/// # Errors
/// [`MachineError`]: of the first cut that leaves neither the old system nor the new.
pub fn power_cuts(count: u32, seed: u64) -> Result<()> {
    let mut lab = Lab::new(FLASHD)?;
    lab.run(|lab| {
        let series = Series::prepare(lab)?;
        let mut dice = Dice::new(seed);
        line(
            "  n  cut after  fell in                 KiB written  \
             disk then boots   blocks sent again",
        );
        for number in 0..count {
            let outcome = series.cut(number, &mut dice);
            let (after, outcome) = outcome.inspect_err(|_| {
                line(&format!("cut {number} of seed {seed} failed"));
            })?;
            let again = outcome.sent_again.map_or("-".to_owned(), |n| n.to_string());
            let boots = format!("{:?}", outcome.boots);
            line(&format!(
                "{number:>3} {:>8.2} s  {:<22} {:>11}  {boots:<16}  {again}",
                after.as_secs_f64(),
                outcome.fell,
                outcome.written >> 10,
            ));
        }
        line(&format!("{count} of {count} in a good state (seed {seed})"));
        Ok(())
    })
}

impl<'a> Series<'a> {
    fn prepare(lab: &'a Lab) -> Result<Self> {
        let old = System::build_with(lab, "1.0.0", true, FRESH_KIB)?;
        let new = System::build_with(lab, "2.0.0", true, FRESH_KIB)?;
        let before = lab.blank_disk("before.img", DISK_MIB)?;
        let machine = lab.recovery("prepare", &before)?;
        lab.send(&old.release, &machine, &[])?;
        machine.cut();
        let after = copy(&before, &lab.room().path("after.img"))?;
        let machine = lab.recovery("prepare", &after)?;
        let nx = Nx::send(lab.parts(), &new.release, &machine.flash_socket(), &[])?;
        let said = |marker: &str| {
            let wait = machine.console().wait_for(marker, 0, SEND_LIMIT);
            wait.map(|_| Instant::now())
        };
        let accepted = said("flashd: accepted")?;
        let verified = said("flashd: verify ok")?;
        let installed = said("flashd: installed")?;
        nx.wait(SEND_LIMIT)?.ok()?;
        machine.cut();
        let mut series = Self {
            lab,
            old,
            new,
            before,
            after,
            pace: Pace {
                transfer: verified.duration_since(accepted),
                install: installed.duration_since(verified),
                boot: Duration::ZERO,
            },
        };
        let disk = copy(&series.after, &lab.room().path("disk.img"))?;
        let started = Instant::now();
        series.boots_by_itself("first", &disk)?;
        series.pace.boot = started.elapsed();
        let Pace {
            transfer,
            install,
            boot,
        } = series.pace;
        line(&format!(
            "uncut: transfer and read-back {:.2} s, install {:.3} s, first boot {:.1} s",
            transfer.as_secs_f64(),
            install.as_secs_f64(),
            boot.as_secs_f64()
        ));
        Ok(series)
    }

    /// The cut of this number. Of five, two fall in the transfer, two around the install and one
    /// in the first boot.
    fn cut(&self, number: u32, dice: &mut Dice) -> Result<(Duration, Outcome)> {
        let pace = self.pace;
        match number % 5 {
            4 => {
                let after = dice.part_of(pace.boot);
                Ok((after, self.cut_boot(after)?))
            }
            1 | 3 => {
                let after = dice.part_of(pace.install.saturating_mul(2));
                Ok((after, self.cut_update("flashd: verify ok", after)?))
            }
            _ => {
                let after = dice.part_of(pace.transfer);
                Ok((after, self.cut_update("flashd: accepted", after)?))
            }
        }
    }

    fn cut_update(&self, marker: &str, after: Duration) -> Result<Outcome> {
        let room = self.lab.room();
        let disk = copy(&self.before, &room.path("disk.img"))?;
        let mut machine = self.lab.recovery("cut", &disk)?;
        let events = room.path("events.jsonl");
        // Of the cut before this one.
        let _ = fs::remove_file(&events);
        let more = ["--events", &events.display().to_string()];
        let nx = Nx::send(
            self.lab.parts(),
            &self.new.release,
            &machine.flash_socket(),
            &more,
        )?;
        let console = machine.console().clone();
        console.wait_for(marker, 0, SEND_LIMIT)?;
        // The end of the machine does not come: this is the wait.
        let _ = console.wait_for_end(after);
        let written = machine.monitor().disk_writes()?.bytes;
        machine.cut();
        nx.kill();
        let events = fs::read_to_string(&events).unwrap_or_default();
        let fell = place(&console.since(0), &events);
        let boots = inspect(&disk, &self.old.release, &self.new.release)?;
        // Recovery finishes the job.
        let machine = self.lab.recovery("finish", &disk)?;
        let again = self.lab.send(&self.new.release, &machine, &[])?.blocks_sent;
        machine.cut();
        let finished = inspect(&disk, &self.old.release, &self.new.release)?;
        if finished == Boots::Old {
            return Err(MachineError::broken("recovery finishes the update", fell));
        }
        if fell != "receive" && again > 0 {
            let what = "what was durable is not sent again";
            return Err(MachineError::broken(
                what,
                format!("{again} blocks after {fell}"),
            ));
        }
        Ok(Outcome {
            fell,
            boots,
            written,
            sent_again: Some(again),
        })
    }

    fn cut_boot(&self, after: Duration) -> Result<Outcome> {
        let disk = copy(&self.after, &self.lab.room().path("disk.img"))?;
        let setup = Setup::with_disk(&disk, self.lab.firmware("cut")?);
        let mut machine = Machine::start(self.lab.room(), "boot", &setup)?;
        let _ = machine.console().wait_for_end(after);
        let lines = machine.console().since(0);
        let written = machine.monitor().disk_writes()?.bytes;
        machine.cut();
        let came = |text: &str| lines.iter().any(|line| line.contains(text));
        let fell = if came("confirmed") {
            "system, confirmed"
        } else if came(&self.new.marker) {
            "system, on trial"
        } else if came("Linux version") {
            "kernel"
        } else {
            "firmware, boot loader"
        };
        let boots = inspect(&disk, &self.old.release, &self.new.release)?;
        self.boots_by_itself("again", &disk)?;
        Ok(Outcome {
            fell,
            boots,
            written,
            sent_again: None,
        })
    }

    /// Boots the disk by its own boot loader; the new system has to come up and be confirmed.
    fn boots_by_itself(&self, name: &str, disk: &Path) -> Result<()> {
        let setup = Setup::with_disk(disk, self.lab.firmware(name)?);
        let machine = Machine::start(self.lab.room(), name, &setup)?;
        let console = machine.console();
        console.wait_for(&self.new.marker, 0, BOOT_LIMIT)?;
        console.wait_for("flashd: slot b confirmed", 0, BOOT_LIMIT)?;
        machine.cut();
        match inspect(disk, &self.old.release, &self.new.release)? {
            Boots::New => Ok(()),
            other => Err(MachineError::broken(
                "it is confirmed",
                format!("{other:?}"),
            )),
        }
    }
}

/// Where a cut fell.
fn place(console: &[String], events: &str) -> &'static str {
    let said = |text: &str| console.iter().any(|line| line.contains(text));
    if said("flashd: installed") {
        "after the switch"
    } else if said("flashd: verify ok") {
        "install, switch"
    } else if events.contains("\"read_back\"") {
        "read-back"
    } else {
        "receive"
    }
}

/// Copies a disk with its holes.
fn copy(from: &Path, to: &Path) -> Result<PathBuf> {
    run(Command::new("cp").arg("--sparse=always").arg(from).arg(to))?;
    Ok(to.to_owned())
}

/// Numbers that follow from a seed.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 16
    }

    /// One of the range, which must not be empty.
    pub(super) fn within(&mut self, range: Range<usize>) -> usize {
        let count = u64::try_from(range.len()).unwrap_or(u64::MAX).max(1);
        let drawn = self.next().checked_rem(count).unwrap_or(0);
        range
            .start
            .saturating_add(usize::try_from(drawn).unwrap_or(0))
    }

    fn part_of(&mut self, whole: Duration) -> Duration {
        let thousandths = u32::try_from(self.within(0..1000)).unwrap_or(0);
        whole.mul_f64(f64::from(thousandths) / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_placed_by_the_last_that_was_said() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(place(&lines("flashd: accepted x"), ""), "receive");
        assert_eq!(
            place(&lines("flashd: accepted x"), r#""read_back""#),
            "read-back"
        );
        let both = lines("flashd: verify ok\nflashd: installed");
        assert_eq!(place(&both, r#""read_back""#), "after the switch");
    }

    #[test]
    fn the_same_seed_gives_the_same_moments() {
        let draw = |seed| Dice::new(seed).part_of(Duration::from_secs(1000));
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
