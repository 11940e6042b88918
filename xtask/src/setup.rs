//! The programs that the tests and the CI call, and the Debian packages that bring them.
#![expect(clippy::print_stdout, reason = "a chore says what it does")]

use std::path::Path;

use crate::{
    command::{Cmd, which},
    error::{Result, XtaskError},
};

/// A program or file that must be there, and the Debian package that brings it.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// A program on `PATH`, or an absolute path.
    pub what: &'static str,
    /// The package, as Debian 12 names it.
    pub package: &'static str,
    /// What we use it for.
    pub purpose: &'static str,
}

impl Need {
    fn is_met(&self) -> bool {
        if self.what.starts_with('/') {
            Path::new(self.what).exists()
        } else {
            which(self.what).is_some()
        }
    }
}

const fn need(what: &'static str, package: &'static str, purpose: &'static str) -> Need {
    Need {
        what,
        package,
        purpose,
    }
}

/// Outside judges of images and links, called by the tests.
pub const TEST_NEEDS: &[Need] = &[
    need("openssl", "openssl", "checks os.sig"),
    need("sgdisk", "gdisk", "checks the partition table"),
    need("grub-editenv", "grub-common", "reads the boot record"),
    need("grub-emu", "grub-emu", "runs the script of the boot loader"),
    need(
        "/usr/lib/grub/x86_64-efi/kernel.img",
        "grub-efi-amd64-bin",
        "is the boot loader",
    ),
    need("mkfs.vfat", "dosfstools", "makes its EFI system partition"),
    need("mcopy", "mtools", "fills its EFI system partition"),
    need("unsquashfs", "squashfs-tools", "reads the rootfs segment"),
    need("cpio", "cpio", "reads the initrd segment"),
    need("faketime", "faketime", "builds images at other times"),
    need("socat", "socat", "a stranger at the other end of a link"),
    need(
        "strace",
        "strace",
        "stops a reset at each of its system calls",
    ),
    need(
        "dpkg-deb",
        "dpkg",
        "unpacks the kernel that the tests flash",
    ),
];

/// The virtual machine and what it boots with.
pub const MACHINE_NEEDS: &[Need] = &[
    need("qemu-system-x86_64", "qemu-system-x86", "is the machine"),
    need(
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "ovmf",
        "is the machine's UEFI firmware",
    ),
    need("grub-mkimage", "grub-common", "makes its boot loader"),
    need(
        "/usr/lib/grub/x86_64-efi/kernel.img",
        "grub-efi-amd64-bin",
        "is its boot loader",
    ),
    need("mkfs.vfat", "dosfstools", "makes its EFI system partition"),
    need("mcopy", "mtools", "fills its EFI system partition"),
    need("mkfs.ext4", "e2fsprogs", "makes its state file system"),
    need("socat", "socat", "is what nx is measured beside"),
];

/// Builds the `no_std` half for targets that the main toolchain has no `core` for.
pub const TARGET_NEEDS: &[Need] = &[
    need(
        "/usr/bin/rustc",
        "rustc-web",
        "a compiler whose sources are packaged",
    ),
    need("/usr/bin/cargo", "cargo-web", "the cargo of that compiler"),
    need(
        "/usr/lib/rustlib/src/rust/library/Cargo.lock",
        "rust-web-src",
        "the sources of core and alloc",
    ),
    need("wasm-ld", "lld", "the linker for wasm32"),
];

/// Installs what is missing of `needs`; does nothing, and needs no rights, when all is there.
///
/// # Errors
/// [`XtaskError::Missing`] with the command to type if something is missing and we are not root or
/// this is no Debian; [`XtaskError::Failed`] if apt-get fails.
pub fn ensure<'a>(needs: impl IntoIterator<Item = &'a Need>) -> Result<()> {
    let missing: Vec<&Need> = needs.into_iter().filter(|need| !need.is_met()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !may_install() {
        return Err(refusal(&missing));
    }
    println!("missing: {}", describe(&missing));
    let packages = packages(&missing);
    update()?;
    apt_get("install")
        .args(["--yes", "--no-install-recommends"])
        .args(&packages)
        .run()?;
    let still: Vec<&Need> = missing.into_iter().filter(|need| !need.is_met()).collect();
    if still.is_empty() {
        return Ok(());
    }
    Err(XtaskError::Unexpected {
        what: format!("the content of {}", packages.join(", ")),
        detail: format!("still missing after installing: {}", describe(&still)),
    })
}

/// Whether we are root on a machine with apt-get.
pub fn may_install() -> bool {
    which("apt-get").is_some() && Cmd::new("id").arg("-u").read().is_ok_and(|id| id == "0")
}

/// Fetches the lists of packages.
///
/// # Errors
/// [`XtaskError::Failed`].
pub fn update() -> Result<()> {
    apt_get("update").arg("--quiet").run()
}

/// An apt-get that asks nothing, and waits for another one to finish.
pub fn apt_get(subcommand: &str) -> Cmd {
    Cmd::new("apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["-o", "DPkg::Lock::Timeout=300", subcommand])
}

/// What the operator has to do in our place.
fn refusal(missing: &[&Need]) -> XtaskError {
    XtaskError::Missing {
        what: describe(missing),
        remedy: format!("sudo apt-get install {}", packages(missing).join(" ")),
    }
}

fn describe(needs: &[&Need]) -> String {
    let one = |need: &&Need| format!("{} ({}; package {})", need.what, need.purpose, need.package);
    needs.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn packages(needs: &[&Need]) -> Vec<&'static str> {
    let mut packages: Vec<&str> = needs.iter().map(|need| need.package).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABSENT: Need = need("no-such-program-here", "no-such-package", "a test");

    #[test]
    fn what_is_there_is_not_installed_again() {
        let shell = need("sh", "no-such-package", "a test");
        let root = need("/", "no-such-package", "a test");
        // Would fail, loudly, if it asked apt-get for that package.
        ensure([&shell, &root]).unwrap();
    }

    #[test]
    fn who_may_not_install_is_told_what_to_type() {
        let other = need("/no/such/file", "no-such-package", "another test");
        assert!(!ABSENT.is_met() && !other.is_met());
        assert_eq!(
            refusal(&[&ABSENT, &other]).to_string(),
            "missing: no-such-program-here (a test; package no-such-package), \
             /no/such/file (another test; package no-such-package)\
             \n  try: sudo apt-get install no-such-package"
        );
    }
}
