//! A machine's whole life: steps 1 to 4.

use crate::{
    error::Result,
    host::Nx,
    lab::{LIMIT, Lab},
    report::Report,
};

const DISK_MIB: u32 = 512;

/// From a blank disk to a booted system and back.
///
/// # Errors
/// [`MachineError`](crate::MachineError): the first step that fails.
pub fn life() -> Result<()> {
    let report = Report::begin();
    let mut lab = report.step("parts, keys and a recovery initramfs", || {
        let lab = Lab::new("--board virt --profile release --layout in-place")?;
        Ok((lab, String::new()))
    })?;
    lab.run(|lab| {
        let disk = lab.blank_disk("disk.img", DISK_MIB)?;
        let machine = report.step("1 a blank device is ready to be flashed", || {
            let machine = lab.recovery("blank", &disk)?;
            Ok((
                machine,
                "recovery: ready (serial=@/dev/vport0p1)".to_owned(),
            ))
        })?;
        let release = lab.small_release("1.0.0", 32 << 10, 1)?;
        report.step("2 a release is flashed", || {
            let sent = lab.send(&release, &machine, &[])?;
            Ok(((), format!("{} blocks sent", sent.blocks_sent)))
        })?;
        report.step("2 and verified", || {
            let manifest = release.manifest.display().to_string();
            let verify = ["verify", "--manifest", &manifest];
            Nx::flash(lab.parts(), &verify, &machine.flash_socket())?
                .wait(LIMIT)?
                .ok()?;
            Ok(((), String::new()))
        })?;
        report.end();
        Ok(())
    })
}
