//! The same inputs give the same bytes, whoever builds them, where and when; and the bytes are
//! those of the last release, unless somebody means to change them.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

mod bytes;

use std::env;
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use bytes::noise;
use nx_image::Digest;
use nx_image::build::Build;
use nx_image::key::SigningKey;
use nx_image::manifest::Profile;

/// Digests of the image, its manifest, its signature and its block digests.
///
/// A difference is a new image for every device of every user of the same sources. Change it on
/// purpose or not at all, and say so in the changelog. (A new version of the compressor changes
/// it too: that is why `Cargo.lock` pins it.)
const GOLDEN: [(&str, &str); 4] = [
    (
        "os.img",
        "8b8073ce096fd6529a3fd28bcd2285f3d6fa634ac5c089ff8853153fc5251024",
    ),
    (
        "os.json",
        "8604fa02499aabef7e7226a44426f1be5932b13d3282b780a2569b9b30a62021",
    ),
    (
        "os.sig",
        "4d6ca9d7a96540a8b58714069dfa9886b038c81e2253786c5f9f402e7ec83fc0",
    ),
    (
        "os.blocks",
        "81a8543b8031eadbc4f910f09bf3f5e7d706f03a4d1eb5a93d1e392741ce6b42",
    ),
];

/// Says that the process is to build, and where.
const CHILD: &str = "NX_IMAGE_TEST_FOLDER";

/// Files of a tree, in an order that a directory may list them in.
fn make_tree(root: &Path, backwards: bool) {
    let mut files: Vec<(String, Vec<u8>, u32)> = (0..30)
        .map(|n| {
            let text = format!("file {n}\n").repeat(n * n * 7);
            (format!("usr/share/ä{n:02}.txt"), text.into_bytes(), 0o644)
        })
        .collect();
    files.push(("bin/tool".into(), noise(200_000, 3), 0o4755));
    files.push(("bin/tool2".into(), noise(131_072, 4), 0o755));
    files.push(("etc/shadow".into(), b"root:*:".to_vec(), 0o600));
    files.push(("empty".into(), Vec::new(), 0o444));
    let mut links = vec![("bin/sh", "tool"), ("dangling", "/no/where")];
    let mut folders = vec!["bin", "etc", "usr/share", "var/empty", "tmp"];
    if backwards {
        files.reverse();
        links.reverse();
        folders.reverse();
    }
    for folder in &folders {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for (path, content, mode) in files {
        let path = root.join(path);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let age = Duration::from_secs(if backwards { 1_000_000 } else { 77 });
        let times = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + age);
        File::open(&path).unwrap().set_times(times).unwrap();
    }
    for (name, to) in links {
        symlink(to, root.join(name)).unwrap();
    }
    for folder in ["bin", "etc", "usr", "usr/share", "var", "var/empty"] {
        fs::set_permissions(root.join(folder), Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(root.join("tmp"), Permissions::from_mode(0o1777)).unwrap();
    fs::set_permissions(root, Permissions::from_mode(0o755)).unwrap();
}

fn make_inputs(folder: &Path, backwards: bool) {
    fs::write(folder.join("bootloader"), noise(40_000, 1)).unwrap();
    fs::write(folder.join("kernel"), noise(300_001, 2)).unwrap();
    fs::write(folder.join("pkgfs"), noise(65_536, 5)).unwrap();
    for tree in ["initrd", "rootfs"] {
        fs::create_dir(folder.join(tree)).unwrap();
        make_tree(&folder.join(tree), backwards);
    }
}

/// Builds from the inputs in `folder`, and leaves the outputs there.
fn build(folder: &Path) {
    let mut build = Build::new(Profile::Release);
    build.board = "qemu-virt".into();
    build.image_version = "1.2.3".into();
    build.rollback_index = 4;
    build.bootloader = Some(folder.join("bootloader"));
    build.kernel = Some(folder.join("kernel"));
    build.initrd = Some(folder.join("initrd"));
    build.rootfs = Some(folder.join("rootfs"));
    build.pkgfs = Some(folder.join("pkgfs"));
    let key = SigningKey::from_seed(&noise(32, 6).try_into().unwrap()).unwrap();
    build
        .write(
            &folder.join("os.img"),
            &folder.join("os.json"),
            &folder.join("os.sig"),
            Some(&key),
            &mut |_| {},
        )
        .unwrap();
}

/// One test, so that the process which it starts runs it too, and builds.
#[test]
fn nothing_but_the_inputs_matters() {
    if let Some(folder) = env::var_os(CHILD) {
        if let Some(clock) = env::var_os("FAKETIME") {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let year = now.unwrap().as_secs() / 31_556_952 + 1970;
            assert!(matches!(year, 1970 | 2100), "{year}, not {clock:?}");
        }
        return build(Path::new(&folder));
    }
    let is_root = fs::read_dir("/root").is_ok();
    let mut runs = vec![
        "",
        "TZ=Pacific/Kiritimati LC_ALL=C LANG=C",
        "TZ=America/Caracas LC_ALL=tr_TR.UTF-8 LANG=tr_TR.UTF-8 SOURCE_DATE_EPOCH=86400",
        "umask 000;",
        "umask 077;",
        "cd /; env -i",
        "cd /proc; HOME=/nonexistent TMPDIR=/dev/shm",
        "taskset -c 0",
        "faketime @4102444800",
        "faketime @1",
    ];
    if is_root {
        runs.push("setpriv --reuid 65534 --regid 65534 --clear-groups");
    }
    let mut first = None;
    for (number, run) in runs.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        // A path of another length and depth each time.
        let folder = dir
            .path()
            .join("deep/".repeat(number))
            .join(number.to_string());
        fs::create_dir_all(&folder).unwrap();
        make_inputs(&folder, number % 2 == 1);
        if run.starts_with("setpriv") {
            // To change the owner takes set-id bits away; a tree that somebody unpacked has them.
            let (dir, folder) = (dir.path().display(), folder.display());
            let owner = format!("chown -R 65534:65534 {dir} && chmod u+s {folder}/*/bin/tool");
            let owned = Command::new("sh").args(["-c", &owner]).status().unwrap();
            assert!(owned.success(), "{owner}");
        }
        let child = env::current_exe().unwrap();
        let line = format!(
            "{run} env {CHILD}={} {} --exact nothing_but_the_inputs_matters",
            folder.display(),
            child.display()
        );
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{line}: {said}");
        let found = GOLDEN.map(|(name, _)| {
            let bytes =
                fs::read(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}: {line}"));
            Digest::of(&bytes)
        });
        assert_eq!(*first.get_or_insert(found), found, "{line}");
    }
    let found = first.unwrap().map(|digest| digest.to_string());
    assert_eq!(found, GOLDEN.map(|(_, digest)| digest.to_owned()));
}
