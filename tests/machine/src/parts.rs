//! What machines are made of: kernel, modules, busybox, firmware, and our programs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::error::{MachineError, Result};

/// Kernel modules of Debian's cloud kernel that the guest needs, in the order in which they go in.
///
/// `virtio` and `virtio_ring` need each other's symbols only one way round.
const MODULES: &[&str] = &[
    "drivers/virtio/virtio_ring.ko",
    "drivers/virtio/virtio.ko",
    "drivers/virtio/virtio_pci_legacy_dev.ko",
    "drivers/virtio/virtio_pci_modern_dev.ko",
    "drivers/virtio/virtio_pci.ko",
    "drivers/block/virtio_blk.ko",
    "drivers/char/virtio_console.ko",
    "drivers/block/loop.ko",
    "fs/squashfs/squashfs.ko",
];

/// Files from outside, and our programs as the guest needs them.
#[derive(Debug, Clone)]
pub struct Parts {
    dir: PathBuf,
    programs: PathBuf,
}

impl Parts {
    /// The parts that `cargo xtask qemu` has fetched, and the programs of this checkout, built when
    /// they are not up to date.
    ///
    /// # Errors
    /// [`MachineError::Missing`], [`MachineError::Program`].
    pub fn find() -> Result<Self> {
        let default = checkout().join("target/parts");
        let dir = std::env::var_os("NX_PARTS").map_or(default, PathBuf::from);
        let parts = Self {
            programs: static_programs()?,
            dir,
        };
        for file in [parts.kernel(), parts.busybox(), firmware_code()] {
            if !file.is_file() {
                let what = file.display().to_string();
                return Err(MachineError::Missing { what });
            }
        }
        Ok(parts)
    }

    /// The kernel.
    #[must_use]
    pub fn kernel(&self) -> PathBuf {
        self.dir.join("vmlinuz")
    }

    /// A static busybox.
    #[must_use]
    pub fn busybox(&self) -> PathBuf {
        self.dir.join("busybox")
    }

    /// `nx`, static: for the host, and for the guest.
    #[must_use]
    pub fn nx(&self) -> PathBuf {
        self.programs.join("nx")
    }

    /// `flashd`, static.
    #[must_use]
    pub fn flashd(&self) -> PathBuf {
        self.programs.join("flashd")
    }

    /// The modules that the guest needs, in order.
    ///
    /// # Errors
    /// [`MachineError::Missing`].
    pub fn modules(&self) -> Result<Vec<PathBuf>> {
        let versions = self.dir.join("rootfs/lib/modules");
        let version = fs::read_dir(&versions)
            .map_err(MachineError::io("list", &versions))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.join("kernel").is_dir());
        let Some(version) = version else {
            let what = format!("a kernel's modules in {}", versions.display());
            return Err(MachineError::Missing { what });
        };
        Ok(MODULES
            .iter()
            .map(|module| version.join("kernel").join(module))
            .collect())
    }
}

/// UEFI firmware, to be run from.
#[must_use]
pub(crate) fn firmware_code() -> PathBuf {
    PathBuf::from("/usr/share/OVMF/OVMF_CODE_4M.fd")
}

/// The firmware's variables as they leave the factory; each machine has a copy.
#[must_use]
pub(crate) fn firmware_vars() -> PathBuf {
    PathBuf::from("/usr/share/OVMF/OVMF_VARS_4M.fd")
}

/// The folder of the workspace.
pub(crate) fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder with `nx` and `flashd`, linked statically: an initramfs has no libraries.
fn static_programs() -> Result<PathBuf> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build_static().ok());
    match built {
        Some(folder) => Ok(folder.clone()),
        // Once more, for the error.
        None => build_static(),
    }
}

fn build_static() -> Result<PathBuf> {
    const TARGET: &str = "x86_64-unknown-linux-gnu";
    // This program is <target>/<profile>/[deps/]<name>.
    let exe = std::env::current_exe().map_err(MachineError::io("find", "ourselves"))?;
    let mut folder = exe.parent().unwrap_or(Path::new("/"));
    if folder.ends_with("deps") {
        folder = folder.parent().unwrap_or(folder);
    }
    let target_dir = folder.parent().unwrap_or(folder).join("static");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(checkout())
        // A target, else the flags would hold for build scripts too.
        .args([
            "build",
            "--quiet",
            "--locked",
            "--release",
            "--target",
            TARGET,
        ])
        .args(["--package", "nx", "--package", "flashd"])
        .args(["--config", "profile.release.debug=false"])
        .args(["--config", "profile.release.strip=true"])
        .arg("--target-dir")
        .arg(&target_dir)
        .env("RUSTFLAGS", "-C target-feature=+crt-static");
    run(&mut cargo)?;
    Ok(target_dir.join(TARGET).join("release"))
}

/// Runs a program to its end; returns what it wrote to standard output.
///
/// # Errors
/// [`MachineError::Io`] if it cannot be started, [`MachineError::Program`] if it fails.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_owned();
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(MachineError::io("start", &name))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = command.get_args().map(|word| word.to_string_lossy());
    let words: Vec<_> = std::iter::once(name.to_string_lossy())
        .chain(words)
        .collect();
    Err(MachineError::Program {
        command: words.join(" "),
        code: output.status.code().unwrap_or(128),
        said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
