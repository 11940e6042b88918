//! Folders that become file systems of the guest.

use std::{
    fs::{self, File},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    error::{MachineError, Result},
    parts::{Parts, run},
};

/// The recipe that `examples/linux-device` gives to everyone.
const INIT: &str = include_str!("../../../examples/linux-device/init");
const BOARD: &str = include_str!("../guest/board");
const SYSTEM_INIT: &str = include_str!("../guest/system-init");
const MOUNT_STATE: &str = include_str!("../guest/mount-state");

/// Length of the state file system: the partition's 16 MiB without its header.
const STATE_BYTES: u64 = (16 << 20) - 4096;

/// A folder that is being filled.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// A new, empty one.
    ///
    /// # Errors
    /// [`MachineError::Io`].
    pub fn new(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).map_err(MachineError::io("create", root))?;
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// The initramfs of a device that trusts the keys in `anchors` and gives `flashd` these
    /// arguments more.
    ///
    /// # Errors
    /// [`MachineError::Io`], [`MachineError::Missing`].
    pub fn initramfs(root: &Path, parts: &Parts, key: &Path, flashd: &str) -> Result<Self> {
        let tree = Self::new(root)?;
        tree.program("init", INIT)?;
        tree.copy(&parts.busybox(), "bin/busybox")?;
        tree.copy(&parts.flashd(), "bin/flashd")?;
        tree.copy(&parts.nx(), "bin/nx")?;
        tree.program("bin/mount-state", MOUNT_STATE)?;
        tree.copy(key, "etc/nexus/anchors/release.pub")?;
        tree.file("etc/nexus/flashd.conf", &format!("FLASHD=\"{flashd}\"\n"))?;
        tree.file("etc/nexus/board", BOARD)?;
        let mut load = String::new();
        for module in parts.modules()? {
            let name = module.file_name().unwrap_or_default().to_string_lossy();
            tree.copy(&module, &format!("lib/modules/{name}"))?;
            load.push_str(&name);
            load.push('\n');
        }
        tree.file("lib/modules/load", &load)?;
        Ok(tree)
    }

    /// The root file system of a system that says `marker` when it is up. One that is not to come
    /// up dies at once.
    ///
    /// # Errors
    /// [`MachineError::Io`], [`MachineError::Program`].
    pub fn system(
        root: &Path,
        parts: &Parts,
        key: &Path,
        marker: &str,
        comes_up: bool,
    ) -> Result<Self> {
        let tree = Self::new(root)?;
        for folder in ["proc", "sys", "dev", "run", "tmp"] {
            tree.folder(folder)?;
        }
        let init = if comes_up {
            SYSTEM_INIT
        } else {
            "#!/bin/busybox sh\nexit 1\n"
        };
        tree.program("sbin/init", init)?;
        tree.copy(&parts.busybox(), "bin/busybox")?;
        let applets = run(Command::new(parts.busybox()).arg("--list"))?;
        for applet in applets.lines().filter(|name| *name != "busybox") {
            let link = tree.root.join("bin").join(applet);
            symlink("busybox", &link).map_err(MachineError::io("link", &link))?;
        }
        tree.copy(&parts.flashd(), "bin/flashd")?;
        tree.copy(&parts.nx(), "bin/nx")?;
        tree.program("bin/mount-state", MOUNT_STATE)?;
        tree.copy(key, "etc/nexus/anchors/release.pub")?;
        tree.file("etc/nexus/board", BOARD)?;
        tree.file("etc/nexus/marker", &format!("{marker}\n"))?;
        tree.state("usr/share/state.ext4")?;
        Ok(tree)
    }

    /// An empty file system for the state partition; the same bytes each time.
    fn state(&self, name: &str) -> Result<()> {
        let path = self.place(name)?;
        File::create(&path)
            .and_then(|file| file.set_len(STATE_BYTES))
            .map_err(MachineError::io("create", &path))?;
        const UUID: &str = "6e786d00-0000-4000-8000-000000000001";
        run(Command::new("mkfs.ext4")
            .args(["-q", "-U", UUID, "-E"])
            .arg(format!("hash_seed={UUID}"))
            .arg(&path)
            .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin"))
        .map(drop)
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes an empty folder.
    ///
    /// # Errors
    /// [`MachineError::Io`].
    pub fn folder(&self, name: &str) -> Result<()> {
        let path = self.root.join(name);
        fs::create_dir_all(&path).map_err(MachineError::io("create", &path))
    }

    /// Writes a file.
    ///
    /// # Errors
    /// [`MachineError::Io`].
    pub fn file(&self, name: &str, text: &str) -> Result<()> {
        let path = self.place(name)?;
        fs::write(&path, text).map_err(MachineError::io("write", &path))
    }

    /// Writes a file that can be run.
    ///
    /// # Errors
    /// [`MachineError::Io`].
    pub fn program(&self, name: &str, text: &str) -> Result<()> {
        self.file(name, text)?;
        let path = self.root.join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .map_err(MachineError::io("make executable", &path))
    }

    /// Copies a file, with its mode.
    ///
    /// # Errors
    /// [`MachineError::Io`].
    pub fn copy(&self, from: &Path, name: &str) -> Result<()> {
        let path = self.place(name)?;
        fs::copy(from, &path)
            .map(drop)
            .map_err(MachineError::io("copy", from))
    }

    fn place(&self, name: &str) -> Result<PathBuf> {
        let path = self.root.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(MachineError::io("create", folder))?;
        }
        Ok(path)
    }
}
