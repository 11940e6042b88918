//! A real kernel, a real initrd and a real root file system go through real processes.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use nx_transport::pty::Cable;
use processes::{Flashd, Workdir, nx, parts_dir};

struct Os {
    work: Workdir,
}

impl Os {
    fn path(&self, name: &str) -> String {
        self.work.path(name).display().to_string()
    }
}

/// Built once for all tests of this file.
fn os() -> &'static Os {
    static OS: OnceLock<Os> = OnceLock::new();
    OS.get_or_init(|| {
        let work = Workdir::new();
        let parts = parts_dir();
        let initrd = work.path("initrd");
        fs::create_dir_all(initrd.join("bin")).unwrap();
        fs::copy(parts.join("busybox"), initrd.join("bin/busybox")).unwrap();
        fs::write(
            initrd.join("init"),
            "#!/bin/busybox sh\nexec /bin/busybox sh\n",
        )
        .unwrap();
        fs::write(work.path("pkgfs"), vec![0x70; 1 << 20]).unwrap();
        let os = Os { work };
        let (key, public) = (os.path("dev.key"), os.path("dev.pub"));
        nx(["image", "keygen", "--out", &key, "--pub", &public]).ok();
        let rootfs = parts.join("rootfs");
        assert!(
            tree_bytes(&rootfs) >= 100 << 20,
            "the root file system is too small"
        );
        let kernel = parts.join("vmlinuz");
        nx([
            "image",
            "build",
            "--profile",
            "dev",
            "--kernel",
            kernel.to_str().unwrap(),
            "--initrd",
            initrd.to_str().unwrap(),
            "--rootfs",
            rootfs.to_str().unwrap(),
            "--pkgfs",
            &os.path("pkgfs"),
            "--out",
            &os.path("os.img"),
            "--manifest",
            &os.path("os.json"),
            "--sign",
            &key,
        ])
        .ok();
        os
    })
}

fn tree_bytes(root: &Path) -> u64 {
    let mut folders = vec![root.to_owned()];
    let mut bytes = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let found = entry.metadata().unwrap();
            if found.is_dir() {
                folders.push(entry.path());
            } else {
                bytes = found.len().saturating_add(bytes);
            }
        }
    }
    bytes
}

/// Sends the image from one port to the other, and has the device's word and file for it.
fn send(host_port: &str, device_port: &str, verify_port: &str) {
    let os = os();
    let work = Workdir::new();
    let target = work.path("disk.img");
    let text = |path: PathBuf| path.display().to_string();
    let mut flashd = Flashd::start([
        "--port",
        device_port,
        "--target",
        &text(target.clone()),
        "--journal",
        &text(work.path("journal")),
        "--pub",
        &os.path("dev.pub"),
    ]);
    let (image, manifest) = (os.path("os.img"), os.path("os.json"));
    let sent = nx([
        "--json",
        "flash",
        "send",
        "--img",
        &image,
        "--manifest",
        &manifest,
        "--port",
        host_port,
    ])
    .ok();
    assert_eq!(sent.stderr, "", "all is well, and something is said");
    let data = &sent.json()["data"];
    for member in [
        "image_sha256",
        "payload_bytes",
        "wire_bytes",
        "retransmitted_bytes",
        "blocks_total",
        "blocks_sent",
        "blocks_packed",
        "blocks_skipped",
        "elapsed_ms",
    ] {
        assert!(!data[member].is_null(), "{member} is missing: {data:#}");
    }
    flashd.wait_for("flashd: verify ok");
    flashd.wait_for("flashd: installed");
    nx([
        "flash",
        "verify",
        "--manifest",
        &manifest,
        "--port",
        verify_port,
    ])
    .ok();
    let same = Command::new("cmp")
        .arg(&image)
        .arg(&target)
        .status()
        .unwrap();
    assert!(same.success(), "the installed file is not the image");
}

#[test]
fn over_a_unix_socket() {
    let work = Workdir::new();
    let port = format!("unix:{}", work.path("s").display());
    send(&port, &format!("{port}?listen"), &port);
}

#[test]
fn over_a_serial_line() {
    let cable = Cable::plug().unwrap();
    let [near, far] = cable.paths().map(|path| path.display().to_string());
    send(&near, &far, &near);
}

#[test]
fn over_a_lossy_unix_socket() {
    let work = Workdir::new();
    let port = format!("unix:{}", work.path("s").display());
    let lossy = format!("lossy+{port}?drop_every=5&seed=7");
    send(&lossy, &format!("{port}?listen"), &port);
}

#[test]
fn over_a_lossy_serial_line() {
    let cable = Cable::plug().unwrap();
    let [near, far] = cable.paths().map(|path| path.display().to_string());
    send(
        &format!("lossy+serial:{near}?ber=1e-6&drop_every=50&seed=3"),
        &far,
        &near,
    );
}
