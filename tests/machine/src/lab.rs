//! What a scenario works with: a room, the parts, a key, and a recovery initramfs.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    error::{MachineError, Result},
    host::Nx,
    parts::{Parts, firmware_code, firmware_vars},
    qemu::{Boot, Machine, Setup},
    release::{Keys, Recipe, Release, pack_initramfs},
    room::Room,
    tree::Tree,
};

/// How long a system may take to come up on a busy machine, without acceleration.
pub const BOOT_LIMIT: Duration = Duration::from_secs(240);
/// How long a transfer may take.
pub const SEND_LIMIT: Duration = Duration::from_secs(600);
/// How long anything else may take.
pub const LIMIT: Duration = Duration::from_secs(120);

/// The board of all machines.
pub const BOARD: &str = "virt";

/// A place to try things.
#[derive(Debug)]
pub struct Lab {
    room: Room,
    parts: Parts,
    keys: Keys,
    initrd: PathBuf,
}

impl Lab {
    /// One whose devices give `flashd` these arguments beside port, target, journal and keys.
    ///
    /// # Errors
    /// [`MachineError::Missing`], [`MachineError::Program`], [`MachineError::Io`].
    pub fn new(flashd: &str) -> Result<Self> {
        let parts = Parts::find()?;
        let room = Room::new()?;
        let keys = Keys::make(&room, "release", &parts)?;
        let tree = Tree::initramfs(&room.path("recovery"), &parts, &keys.public, flashd)?;
        let initrd = pack_initramfs(&room, &parts, &keys, tree.root(), "recovery")?;
        Ok(Self {
            room,
            parts,
            keys,
            initrd,
        })
    }

    /// Runs a scenario; of one that fails, the logs stay.
    ///
    /// # Errors
    /// Those of the scenario.
    pub fn run<T>(&mut self, scenario: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let outcome = scenario(self);
        if outcome.is_err() {
            self.room.keep_logs();
        }
        outcome
    }

    /// The folder of the run.
    #[must_use]
    pub const fn room(&self) -> &Room {
        &self.room
    }

    /// What all is made of.
    #[must_use]
    pub const fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The key that devices trust.
    #[must_use]
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The folder that the recovery initramfs is packed from.
    #[must_use]
    pub fn initramfs_tree(&self) -> PathBuf {
        self.room.path("recovery")
    }

    /// An empty disk of so many MiB.
    ///
    /// # Errors
    /// [`MachineError::Io`].
    pub fn blank_disk(&self, name: &str, mib: u32) -> Result<PathBuf> {
        let path = self.room.path(name);
        File::create(&path)
            .and_then(|file| file.set_len(u64::from(mib) << 20))
            .map_err(MachineError::io("create", &path))?;
        Ok(path)
    }

    /// A boot ROM that brings recovery, with these words more on the kernel's command line.
    #[must_use]
    pub fn rom(&self, append: &str) -> Boot {
        Boot::Rom {
            kernel: self.parts.kernel(),
            initrd: self.initrd.clone(),
            append: format!("nexus.target=recovery {append}"),
        }
    }

    /// Firmware that boots from the disk, with variables of its own.
    ///
    /// # Errors
    /// [`MachineError::Io`].
    pub fn firmware(&self, name: &str) -> Result<Boot> {
        let vars = self.room.path(&format!("{name}.vars"));
        if !vars.exists() {
            fs::copy(firmware_vars(), &vars).map_err(MachineError::io("copy", &vars))?;
        }
        Ok(Boot::Disk {
            code: firmware_code(),
            vars,
        })
    }

    /// Switches a machine on whose boot ROM brings recovery, and waits until it is ready.
    ///
    /// # Errors
    /// Those of [`Machine::start`]; [`MachineError::Late`].
    pub fn recovery(&self, name: &str, disk: &Path) -> Result<Machine> {
        let machine = Machine::start(&self.room, name, &Setup::with_disk(disk, self.rom("")))?;
        let ready = "recovery: ready (serial=@/dev/vport0p1)";
        machine.console().wait_for(ready, 0, BOOT_LIMIT)?;
        Ok(machine)
    }

    /// A small release for a device in recovery: nothing in it boots. Its bytes depend on `seed`.
    ///
    /// # Errors
    /// [`MachineError::Program`].
    pub fn small_release(&self, name: &str, kib: u32, seed: u64) -> Result<Release> {
        let rootfs = self.room.path(&format!("{name}.rootfs"));
        fs::write(&rootfs, noise(kib, seed)).map_err(MachineError::io("write", &rootfs))?;
        Recipe {
            name,
            keys: &self.keys,
            profile: "release",
            board: BOARD,
            args: vec![("--rootfs", rootfs)],
        }
        .build(&self.room, &self.parts)
    }

    /// Sends a release to a machine, to its end.
    ///
    /// # Errors
    /// [`MachineError::Program`] if it fails, [`MachineError::Late`].
    pub fn send(&self, release: &Release, machine: &Machine, more: &[&str]) -> Result<crate::Sent> {
        let nx = Nx::send(&self.parts, release, &machine.flash_socket(), more)?;
        crate::Sent::of(&nx.wait(SEND_LIMIT)?.ok()?)
    }
}

/// So many KiB of a fixed pseudo-random sequence, which no codec packs.
pub(crate) fn noise(kib: u32, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = (kib as usize).saturating_mul(128);
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take(words)
    .flatten()
    .collect()
}
