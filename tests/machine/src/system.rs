//! Releases that boot: a boot loader, a kernel, an initrd and a root file system.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    error::{MachineError, Result},
    lab::{BOARD, Lab, noise},
    parts::{checkout, run},
    release::{Recipe, Release},
    tree::Tree,
};

/// What `flashd` is given on a device with two slots.
pub const FLASHD: &str = "--board virt --profile release --layout ab";

/// A release, and what it says when it is up.
#[derive(Debug, Clone)]
pub struct System {
    /// Its files.
    pub release: Release,
    /// A line that lies in its root file system, and nowhere else.
    pub marker: String,
}

impl System {
    /// Builds a release of this version for a disk with two slots. One that is not to come up has
    /// a first program that dies at once.
    ///
    /// # Errors
    /// [`MachineError::Program`], [`MachineError::Io`].
    pub fn build(lab: &Lab, version: &str, comes_up: bool) -> Result<Self> {
        Self::build_with(lab, version, comes_up, 0)
    }

    /// The same, with so many KiB in its root file system that no other version has.
    ///
    /// # Errors
    /// As [`System::build`].
    pub fn build_with(lab: &Lab, version: &str, comes_up: bool, fresh_kib: u32) -> Result<Self> {
        let room = lab.room();
        let marker = format!("system: release {version} is up");
        let folder = room.path(&format!("{version}.tree"));
        let key = &lab.keys().public;
        let rootfs = Tree::system(&folder, lab.parts(), key, &marker, comes_up)?;
        let seed = version.bytes().fold(1, |seed: u64, byte| {
            seed.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        let fresh = folder.join("fresh");
        fs::write(&fresh, noise(fresh_kib, seed)).map_err(MachineError::io("write", &fresh))?;
        let pkgfs = room.path("pkgfs");
        fs::write(&pkgfs, vec![0x70; 1 << 20]).map_err(MachineError::io("write", &pkgfs))?;
        let release = Recipe {
            name: version,
            keys: lab.keys(),
            profile: "release",
            board: BOARD,
            args: vec![
                ("--slots", PathBuf::from("2")),
                ("--bootloader", boot_loader(lab)?),
                ("--kernel", lab.parts().kernel()),
                ("--initrd", lab.initramfs_tree()),
                ("--rootfs", rootfs.root().to_owned()),
                ("--pkgfs", pkgfs),
            ],
        }
        .build(room, lab.parts())?;
        Ok(Self { release, marker })
    }
}

/// The EFI system partition with GRUB, made once by the recipe of `examples/ab-disk`.
fn boot_loader(lab: &Lab) -> Result<PathBuf> {
    let path = lab.room().path("esp.img");
    if !path.exists() {
        let script = checkout().join("examples/ab-disk/esp.sh");
        run(Command::new("sh").arg(script).arg(&path))?;
    }
    Ok(path)
}
