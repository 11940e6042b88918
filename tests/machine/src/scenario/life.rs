//! A machine's whole life: steps 1 to 4.

use std::path::Path;

use crate::{
    error::{MachineError, Result},
    host::{Ended, Nx},
    lab::{BOOT_LIMIT, LIMIT, Lab},
    qemu::{Machine, Setup},
    report::Report,
    system::{FLASHD, System},
};

const DISK_MIB: u32 = 512;
/// What a user leaves on the device.
const NOTE: &str = "precious";

/// From a blank disk to a booted system and back.
///
/// # Errors
/// [`MachineError`]: the first step that fails.
pub fn life() -> Result<()> {
    let report = Report::begin();
    let mut lab = report.step("parts, keys and a recovery initramfs", || {
        Ok((Lab::new(FLASHD)?, String::new()))
    })?;
    lab.run(|lab| {
        let [first, second, broken] = report.step("three releases", || {
            let first = System::build(lab, "1.0.0", true)?;
            let note = format!("{} MiB each", first.release.bytes()? >> 20);
            let second = System::build(lab, "2.0.0", true)?;
            let broken = System::build(lab, "3.0.0", false)?;
            Ok(([first, second, broken], note))
        })?;
        let disk = lab.blank_disk("disk.img", DISK_MIB)?;
        provision(lab, &report, &first, &disk)?;
        let mut machine = report.step("3 it boots from its own disk", || {
            let setup = Setup::with_disk(&disk, lab.firmware("disk")?);
            let machine = Machine::start(lab.room(), "disk", &setup)?;
            up(&machine, &first, 0, "flashd: slot a confirmed")?;
            Ok((machine, format!("`{}`", first.marker)))
        })?;
        leave_data(&mut machine)?;
        update(lab, &report, &machine, &second)?;
        fall_back(lab, &report, &machine, &broken, &second)?;
        reset(lab, &report, &mut machine, &second)?;
        report.end();
        Ok(())
    })
}

/// Steps 1 and 2: recovery comes from outside, the release goes to the disk.
fn provision(lab: &Lab, report: &Report, first: &System, disk: &Path) -> Result<()> {
    let machine = report.step("1 a blank device is ready to be flashed", || {
        let machine = lab.recovery("blank", disk)?;
        Ok((
            machine,
            "recovery: ready (serial=@/dev/vport0p1)".to_owned(),
        ))
    })?;
    report.step("2 a release is flashed", || {
        let sent = lab.send(&first.release, &machine, &[])?;
        Ok(((), format!("{} blocks sent", sent.blocks_sent)))
    })?;
    report.step("2 it is verified", || {
        let manifest = first.release.manifest.display().to_string();
        ask(lab, &machine, &["verify", "--manifest", &manifest])?;
        let info = ask(lab, &machine, &["info"])?;
        let said = |member| info.data(member).as_str().unwrap_or("?");
        let version = said("installed_version");
        Ok(((), format!("{version}, layout {}", said("layout"))))
    })?;
    report.step("3 it is told to start normally", || {
        ask(lab, &machine, &["reboot", "normal"])?;
        machine.wait_for_end(LIMIT)?;
        Ok(((), String::new()))
    })
}

fn leave_data(machine: &mut Machine) -> Result<()> {
    let leave = format!(
        "cd /run/state && mkdir -p content trust/installed boot && echo {NOTE} > content/note && \
         echo anchor > trust/installed/mine.pub && echo kept > boot/next && sync"
    );
    machine.hand().ok(&leave, LIMIT).map(drop)
}

fn update(lab: &Lab, report: &Report, machine: &Machine, second: &System) -> Result<()> {
    report.step("4 an update goes to the idle slot", || {
        let sent = lab.send(&second.release, machine, &[])?;
        if sent.blocks_sent > sent.blocks_skipped {
            return Err(MachineError::broken(
                "only what changed is sent",
                format!("{sent:?}"),
            ));
        }
        Ok((
            (),
            format!(
                "{} blocks sent, {} not",
                sent.blocks_sent, sent.blocks_skipped
            ),
        ))
    })?;
    report.step("4 it is booted and confirmed", || {
        let mark = machine.console().mark();
        ask(lab, machine, &["reboot", "normal"])?;
        up(machine, second, mark, "flashd: slot b confirmed")?;
        Ok(((), format!("`{}`", second.marker)))
    })
}

fn fall_back(
    lab: &Lab,
    report: &Report,
    machine: &Machine,
    broken: &System,
    second: &System,
) -> Result<()> {
    report.step("4 a release that does not come up is sent", || {
        let sent = lab.send(&broken.release, machine, &[])?;
        Ok(((), format!("{} blocks sent", sent.blocks_sent)))
    })?;
    report.step("4 the machine falls back by itself", || {
        let mark = machine.console().mark();
        ask(lab, machine, &["reboot", "normal"])?;
        let limit = BOOT_LIMIT.saturating_mul(4);
        let fell = machine.console().wait_for(&second.marker, mark, limit)?;
        let lines = machine.console().since(mark);
        let tries = lines
            .iter()
            .filter(|line| line.contains("Attempted to kill init"))
            .filter(|line| line.contains("Kernel panic"))
            .count();
        if lines.iter().any(|line| line.contains(&broken.marker)) || tries < 3 {
            return Err(MachineError::broken(
                "it is tried three times",
                tries.to_string(),
            ));
        }
        machine
            .console()
            .wait_for("system: ready", mark, BOOT_LIMIT)?;
        Ok(((), format!("after {tries} tries: `{fell}`")))
    })
}

fn reset(lab: &Lab, report: &Report, machine: &mut Machine, second: &System) -> Result<()> {
    report.step("4 recovery starts from its own disk", || {
        let mark = machine.console().mark();
        ask(lab, machine, &["reboot", "recovery"])?;
        let ready = "recovery: ready (serial=@/dev/vport0p1)";
        machine.console().wait_for(ready, mark, BOOT_LIMIT)?;
        Ok(((), String::new()))
    })?;
    report.step("4 user data is there, and a reset removes it", || {
        let hand = machine.hand();
        let note = hand.ok("mount-state && cat /run/state/content/note", LIMIT)?;
        if note.trim() != NOTE {
            return Err(MachineError::broken("user data survives", note));
        }
        hand.ok("nx reset factory --state /run/state --yes", LIMIT)?;
        let left = "cd /run/state && ! [ -e content ] && cat trust/installed/mine.pub boot/next";
        let left = hand.ok(left, LIMIT)?;
        if left != "anchor\nkept" {
            return Err(MachineError::broken("trust and boot are kept", left));
        }
        hand.ok("umount /run/state && sync", LIMIT)?;
        Ok(((), "trust and boot are kept".to_owned()))
    })?;
    report.step("4 it starts normally again", || {
        let mark = machine.console().mark();
        ask(lab, machine, &["reboot", "normal"])?;
        up(machine, second, mark, "system: ready")?;
        Ok(((), format!("`{}`", second.marker)))
    })
}

/// Waits for a system to be up, and for what it says after that.
fn up(machine: &Machine, system: &System, mark: usize, then: &str) -> Result<()> {
    let console = machine.console();
    console.wait_for(&system.marker, mark, BOOT_LIMIT)?;
    console.wait_for(then, mark, BOOT_LIMIT)?;
    console
        .wait_for("system: ready", mark, BOOT_LIMIT)
        .map(drop)
}

/// Runs a command of `nx flash`, which has to succeed.
fn ask(lab: &Lab, machine: &Machine, command: &[&str]) -> Result<Ended> {
    Nx::flash(lab.parts(), command, &machine.flash_socket())?
        .wait(LIMIT)?
        .ok()
}
