//! Real input for the process tests: a Debian cloud kernel, a static busybox and a root tree of
//! more than 100 MiB.
//!
//! Packages are downloaded and unpacked, never installed. What is left is
//!
//! | path in [`Repo::parts`] | is |
//! |---|---|
//! | `vmlinuz` | the kernel, bootable by QEMU and GRUB |
//! | `busybox` | one static program, for an initrd |
//! | `rootfs/` | a tree with symlinks, set-id bits, a sticky folder and kernel modules |
//! | `packages.txt` | name and version of each package, written last |
#![expect(clippy::print_stdout, reason = "a chore says what it does")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    command::Cmd,
    error::{Result, XtaskError},
    repo::Repo,
    setup::{self, Need, apt_get},
};

/// First line of `packages.txt`; another one means that the parts are of another layout.
const LAYOUT: &str = "# parts, layout 1";

/// What `rootfs/` is made of, beside the kernel's modules: no package here has a hard link or a
/// device node in it.
const ROOTFS_PACKAGES: &[&str] = &[
    "base-files",
    "bash",
    "coreutils",
    "findutils",
    "grep",
    "libc6",
    "mount",
    "sed",
    "tar",
];

const NEEDS: &[Need] = &[Need {
    what: "dpkg-deb",
    package: "dpkg",
    purpose: "unpacks packages",
}];

/// Fetches the parts, unless they are there; prints where.
///
/// # Errors
/// [`XtaskError::Missing`] if this is no Debian, or the lists of packages are out of date and only
/// root may renew them; [`XtaskError::Failed`] and [`XtaskError::Io`] as they come.
pub fn ensure(repo: &Repo) -> Result<()> {
    let parts = repo.parts();
    if !is_complete(&parts) {
        setup::ensure(NEEDS)?;
        fetch(&parts)?;
    }
    for name in ["vmlinuz", "busybox", "rootfs", "packages.txt"] {
        println!("{}", parts.join(name).display());
    }
    Ok(())
}

fn is_complete(parts: &Path) -> bool {
    fs::read_to_string(parts.join("packages.txt"))
        .is_ok_and(|packages| packages.lines().next() == Some(LAYOUT))
}

/// Builds the parts in a folder beside, so that they appear complete or not at all.
fn fetch(parts: &Path) -> Result<()> {
    let partial = parts.with_extension("partial");
    remove(&partial)?;
    let debs = partial.join("debs");
    make(&debs)?;

    let kernel = download(&debs)?;
    let unpacked = partial.join("unpacked");
    unpack(&debs, &kernel, &unpacked)?;
    rename(
        &unpacked
            .join("boot")
            .join(kernel.replace("linux-image", "vmlinuz")),
        &partial.join("vmlinuz"),
    )?;
    let modules = unpacked.join("lib/modules");
    unpack(&debs, "busybox-static", &unpacked)?;
    rename(&unpacked.join("bin/busybox"), &partial.join("busybox"))?;

    let rootfs = partial.join("rootfs");
    for package in ROOTFS_PACKAGES {
        unpack(&debs, package, &rootfs)?;
    }
    rename(&modules, &rootfs.join("lib/modules"))?;

    let packages = list(&debs)?;
    remove(&unpacked)?;
    remove(&debs)?;
    let path = partial.join("packages.txt");
    fs::write(&path, packages).map_err(XtaskError::io("write", path))?;
    remove(parts)?;
    rename(&partial, parts)
}

/// Downloads all packages into `debs`; returns the name of the kernel's.
fn download(debs: &Path) -> Result<String> {
    match try_download(debs) {
        // No lists yet, or a version that is no longer served.
        Err(XtaskError::Failed { .. } | XtaskError::Unexpected { .. }) => {
            if !setup::may_install() {
                return Err(XtaskError::Missing {
                    what: "current lists of Debian packages".to_owned(),
                    remedy: "sudo apt-get update, then cargo xtask parts".to_owned(),
                });
            }
            setup::update()?;
            try_download(debs)
        }
        other => other,
    }
}

fn try_download(debs: &Path) -> Result<String> {
    let kernel = kernel_package()?;
    apt_get("download")
        .dir(debs)
        // Else it warns that its own user may not write here, and runs as root all the same.
        .args(["-q", "-o", "APT::Sandbox::User=root"])
        .arg(&kernel)
        .arg("busybox-static")
        .args(ROOTFS_PACKAGES)
        .run()?;
    Ok(kernel)
}

/// The kernel that Debian's meta package for clouds stands for.
fn kernel_package() -> Result<String> {
    let meta = format!(
        "linux-image-cloud-{}",
        Cmd::new("dpkg").arg("--print-architecture").read()?
    );
    let shown = Cmd::new("apt-cache").args(["depends", &meta]).read()?;
    dependency(&shown).ok_or_else(|| XtaskError::Unexpected {
        what: format!("`apt-cache depends {meta}`"),
        detail: "it names no linux-image".to_owned(),
    })
}

fn dependency(depends: &str) -> Option<String> {
    depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|package| package.starts_with("linux-image-"))
        .map(str::to_owned)
}

fn unpack(debs: &Path, package: &str, into: &Path) -> Result<()> {
    Cmd::new("dpkg-deb")
        .arg("--extract")
        .arg(deb(debs, package)?)
        .arg(into)
        .run()
}

/// The file of a package: `name_version_arch.deb`.
fn deb(debs: &Path, package: &str) -> Result<PathBuf> {
    let prefix = format!("{package}_");
    entries(debs)?
        .into_iter()
        .find(|name| name.starts_with(&prefix))
        .map(|name| debs.join(name))
        .ok_or_else(|| XtaskError::Unexpected {
            what: "what apt-get downloaded".to_owned(),
            detail: format!("no {prefix}*.deb"),
        })
}

fn list(debs: &Path) -> Result<String> {
    let mut text = format!("{LAYOUT}\n");
    for name in entries(debs)? {
        let mut fields = name.split('_');
        if let (Some(package), Some(version)) = (fields.next(), fields.next()) {
            text.push_str(&format!("{package} {}\n", version.replace("%3a", ":")));
        }
    }
    Ok(text)
}

fn entries(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(XtaskError::io("list", folder))? {
        let entry = entry.map_err(XtaskError::io("list", folder))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(XtaskError::io("create", folder))
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(XtaskError::io("remove", folder)(error))
        }
        _ => Ok(()),
    }
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(XtaskError::io("move", from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_meta_package_leads_to_the_kernel() {
        let depends = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n";
        assert_eq!(
            dependency(depends).as_deref(),
            Some("linux-image-6.1.0-56-cloud-amd64")
        );
        assert_eq!(dependency("linux-image-cloud-amd64\n"), None);
    }
}
