//! A device with nothing on its disk, over virtio-serial.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use machine::{LIMIT, Lab, Nx};

#[test]
fn a_blank_device_is_flashed_and_verified() {
    let mut lab = Lab::new("--board virt --profile release --layout in-place").unwrap();
    lab.run(|lab| {
        let disk = lab.blank_disk("disk.img", 64)?;
        let release = lab.small_release("one", 8 << 10, 1)?;
        let machine = lab.recovery("blank", &disk)?;
        let sent = lab.send(&release, &machine, &[])?;
        assert!(
            sent.blocks_sent > 0 && sent.blocks_skipped < sent.blocks_sent,
            "{sent:?}"
        );
        machine.console().wait_for("flashd: installed", 0, LIMIT)?;
        let manifest = release.manifest.display().to_string();
        let verify = ["verify", "--manifest", &manifest];
        Nx::flash(lab.parts(), &verify, &machine.flash_socket())?
            .wait(LIMIT)?
            .ok()?;
        drop(machine);
        assert!(
            release.is_on_disk("rootfs", &disk)?,
            "the disk has other bytes"
        );
        Ok(())
    })
    .unwrap();
}
