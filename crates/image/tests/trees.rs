//! Directories become file systems as they are, or not at all.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use nx_image::build::{Build, BuildError, HardLinks, Report, Xattrs};
use nx_image::manifest::{Profile, Table};
use rstest::rstest;
use rustix::fs::{XattrFlags, setxattr};
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::create_dir(folder.tree()).unwrap();
        fs::set_permissions(folder.tree(), Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.tree().join("first"), "first").unwrap();
        folder
    }

    fn tree(&self) -> PathBuf {
        self.0.path().join("tree")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Builds the tree as `rootfs` or `initrd`, after `change`.
    fn build(&self, segment: &str, change: impl FnOnce(&mut Build)) -> Result<Report, BuildError> {
        let mut build = Build::new(Profile::Dev);
        build.table = Table::None;
        match segment {
            "rootfs" => build.rootfs = Some(self.tree()),
            _ => build.initrd = Some(self.tree()),
        }
        change(&mut build);
        let [image, manifest, signature] = ["os.img", "os.json", "os.sig"].map(|n| self.path(n));
        build.write(&image, &manifest, &signature, None, &mut |_| {})
    }

    /// Why the tree is not built.
    fn refusal(&self, segment: &str) -> (PathBuf, String) {
        match self.build(segment, |_| {}) {
            Err(BuildError::Input { path, what, .. }) => {
                assert!(!self.path("os.img").exists());
                (path, what)
            }
            other => panic!("{other:?}"),
        }
    }

    /// The bytes of a segment, in a file of their own.
    fn segment(&self, report: &Report, name: &str) -> PathBuf {
        let (_, segment) = report.manifest.segment(name).unwrap();
        let image = fs::read(self.path("os.img")).unwrap();
        let bytes = &image[segment.offset as usize..segment.end() as usize];
        let path = self.path("segment");
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .env("TZ", "UTC")
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; `cargo xtask setup` installs it"));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn socket(tree: &Path) {
    drop(UnixListener::bind(tree.join("odd")).unwrap());
}

fn second_name(tree: &Path) {
    fs::hard_link(tree.join("first"), tree.join("odd")).unwrap();
}

fn attribute(tree: &Path) {
    fs::write(tree.join("odd"), "").unwrap();
    setxattr(tree.join("odd"), "user.nx", b"1", XattrFlags::empty()).unwrap();
}

fn name_that_is_no_text(tree: &Path) {
    fs::write(tree.join(OsStr::from_bytes(b"odd\xff")), "").unwrap();
}

fn link_that_is_no_text(tree: &Path) {
    symlink(OsStr::from_bytes(b"\xff"), tree.join("odd")).unwrap();
}

fn depth(tree: &Path) {
    fs::create_dir_all(tree.join("odd/".repeat(200))).unwrap();
}

#[rstest]
#[case::socket(socket, "socket")]
#[case::second_name(second_name, "same file as first")]
#[case::attribute(attribute, "attribute user.nx")]
#[case::name_that_is_no_text(name_that_is_no_text, "not UTF-8")]
#[case::link_that_is_no_text(link_that_is_no_text, "not UTF-8")]
#[case::depth(depth, "128 directories deep")]
fn what_an_image_does_not_keep_is_refused_by_name(
    #[values("rootfs", "initrd")] segment: &str,
    #[case] odd: fn(&Path),
    #[case] why: &str,
) {
    let folder = Folder::new();
    odd(&folder.tree());
    let (path, what) = folder.refusal(segment);
    assert!(what.contains(why), "{what}");
    assert!(path.to_string_lossy().contains("odd"), "{}", path.display());
}

#[test]
fn the_whole_tree_is_refused_if_it_is_empty_and_for_other_segments() {
    let folder = Folder::new();
    fs::remove_file(folder.tree().join("first")).unwrap();
    assert!(folder.refusal("rootfs").1.contains("empty"));
    let refused = folder.build("rootfs", |build| {
        build.kernel = build.rootfs.take();
    });
    assert!(
        matches!(
            &refused,
            Err(BuildError::Input {
                segment: "kernel",
                ..
            })
        ),
        "{refused:?}"
    );
}

#[test]
fn a_link_that_leads_too_far_for_squashfs_is_refused() {
    let folder = Folder::new();
    symlink("x".repeat(256), folder.tree().join("odd")).unwrap();
    assert!(folder.refusal("rootfs").1.contains("over 255 bytes"));
    folder.build("initrd", |_| {}).unwrap();
}

#[test]
fn names_outside_of_the_tree_do_not_matter() {
    let folder = Folder::new();
    fs::hard_link(folder.tree().join("first"), folder.path("outside")).unwrap();
    folder.build("rootfs", |_| {}).unwrap();
}

#[test]
fn whoever_asks_for_it_gets_copies_and_no_attributes() {
    let folder = Folder::new();
    let first = folder.tree().join("first");
    fs::hard_link(&first, folder.tree().join("second")).unwrap();
    setxattr(&first, "user.nx", b"1", XattrFlags::empty()).unwrap();
    let report = folder
        .build("rootfs", |build| {
            build.hard_links = HardLinks::Copy;
            build.xattrs = Xattrs::Drop;
        })
        .unwrap();
    let segment = folder.segment(&report, "rootfs");
    for name in ["first", "second"] {
        let text = run("unsquashfs", &["-cat", segment.to_str().unwrap(), name]);
        assert_eq!(text, "first");
    }
}

/// A tree with every kind of entry that anyone can make, and modes that are easily lost.
fn odd_but_good(tree: &Path) -> BTreeMap<&'static str, u32> {
    fs::create_dir_all(tree.join("empty")).unwrap();
    fs::create_dir_all(tree.join("a.b/c")).unwrap();
    fs::write(tree.join("a.b/c/big"), vec![7; 1 << 20]).unwrap();
    fs::write(tree.join("a.b/c/zeros"), vec![0; 600_000]).unwrap();
    fs::write(tree.join("a b\nc"), "a name of two lines").unwrap();
    fs::write(tree.join("ünïcode"), "").unwrap();
    symlink("../first", tree.join("empty/link")).unwrap();
    symlink("x".repeat(255), tree.join("long")).unwrap();
    fs::create_dir(tree.join("many")).unwrap();
    // More than an ordinary inode of a squashfs can say.
    for n in 0..2_000 {
        fs::write(tree.join(format!("many/{n:040}")), n.to_string()).unwrap();
    }
    run("mkfifo", &[tree.join("fifo").to_str().unwrap()]);
    let modes = BTreeMap::from([
        ("first", 0o4750),
        ("empty", 0o2775),
        ("a.b", 0o1777),
        ("a.b/c/big", 0o400),
        ("a.b/c/zeros", 0o000),
        ("fifo", 0o622),
    ]);
    for (name, mode) in &modes {
        fs::set_permissions(tree.join(name), Permissions::from_mode(*mode)).unwrap();
    }
    modes
}

#[test]
fn a_squashfs_holds_what_the_tree_held() {
    let folder = Folder::new();
    let modes = odd_but_good(&folder.tree());
    let report = folder
        .build("rootfs", |build| build.mtime = 86_400)
        .unwrap();
    let segment = folder.segment(&report, "rootfs");
    let out = folder.path("out");
    run(
        "unsquashfs",
        &["-q", "-d", out.to_str().unwrap(), segment.to_str().unwrap()],
    );
    for (name, mode) in modes {
        let found = fs::symlink_metadata(out.join(name)).unwrap();
        assert_eq!(found.permissions().mode() & 0o7777, mode, "{name}");
    }
    let last = format!("many/{:040}", 1_999);
    for name in [
        "a.b/c/big",
        "a.b/c/zeros",
        "a b\nc",
        "ünïcode",
        "first",
        &last,
    ] {
        let read = |root: &Path| fs::read(root.join(name)).unwrap();
        assert!(read(&out) == read(&folder.tree()), "{name}");
    }
    for name in ["empty/link", "long"] {
        let link = |root: &Path| fs::read_link(root.join(name)).unwrap();
        assert_eq!(link(&out), link(&folder.tree()));
    }
    let listing = run("unsquashfs", &["-lln", segment.to_str().unwrap()]);
    for line in listing
        .lines()
        .filter(|line| line.contains("squashfs-root/"))
    {
        assert!(
            line.contains(" 0/0 ") && line.contains("1970-01-02 00:00"),
            "{line}"
        );
    }
}

#[test]
fn a_cpio_archive_holds_what_the_tree_held() {
    let folder = Folder::new();
    let modes = odd_but_good(&folder.tree());
    let report = folder.build("initrd", |_| {}).unwrap();
    let segment = folder.segment(&report, "initrd");
    let out = folder.path("out");
    fs::create_dir(&out).unwrap();
    let extract = "cd \"$1\" && cpio -idm --quiet --no-preserve-owner < \"$2\"";
    let paths = [out.to_str().unwrap(), segment.to_str().unwrap()];
    run("sh", &["-c", extract, "sh", paths[0], paths[1]]);
    for (name, mode) in modes {
        let found = fs::symlink_metadata(out.join(name)).unwrap();
        assert_eq!(found.permissions().mode() & 0o7777, mode, "{name}");
    }
    for name in ["a.b/c/big", "a b\nc", "ünïcode", "first"] {
        let read = |root: &Path| fs::read(root.join(name)).unwrap();
        assert!(read(&out) == read(&folder.tree()), "{name}");
    }
    let link = fs::read_link(out.join("long")).unwrap();
    assert_eq!(link, fs::read_link(folder.tree().join("long")).unwrap());
    // Names are under the root, without a leading slash or dot, and parents come first.
    let list = run("sh", &["-c", "cpio -it --quiet < \"$1\"", "sh", paths[1]]);
    let place = |name: &str| list.lines().position(|line| line == name).unwrap();
    assert!(place("a.b") < place("a.b/c") && place("a.b/c") < place("a.b/c/big"));
}

#[test]
fn devices_are_kept() {
    let folder = Folder::new();
    let device = folder.tree().join("console");
    let made = Command::new("mknod")
        .args([
            device.as_os_str(),
            OsStr::new("c"),
            OsStr::new("5"),
            OsStr::new("1"),
        ])
        .status()
        .unwrap();
    if !made.success() {
        println!("skipped: only root can make devices");
        return;
    }
    let block = folder.tree().join("block");
    run("mknod", &[block.to_str().unwrap(), "b", "259", "77"]);
    let report = folder.build("rootfs", |_| {}).unwrap();
    let segment = folder.segment(&report, "rootfs");
    let list = run("unsquashfs", &["-lln", segment.to_str().unwrap()]);
    let line = |name: &str| list.lines().find(|line| line.ends_with(name)).unwrap();
    assert!(
        line("console").starts_with('c') && line("console").contains("5,  1"),
        "{list}"
    );
    assert!(
        line("block").starts_with('b') && line("block").contains("259, 77"),
        "{list}"
    );
    let report = folder.build("initrd", |_| {}).unwrap();
    let segment = folder.segment(&report, "initrd");
    let list = run(
        "sh",
        &[
            "-c",
            "cpio -itv --quiet < \"$1\"",
            "sh",
            segment.to_str().unwrap(),
        ],
    );
    let line = |name: &str| list.lines().find(|line| line.ends_with(name)).unwrap();
    assert!(
        line("console").starts_with('c') && line("console").contains("5,   1"),
        "{list}"
    );
    assert!(
        line("block").starts_with('b') && line("block").contains("259,  77"),
        "{list}"
    );
}

#[test]
fn a_mount_in_the_tree_is_refused() {
    let folder = Folder::new();
    let odd = folder.tree().join("odd");
    fs::create_dir(&odd).unwrap();
    let odd = odd.to_str().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "nx-image-test", odd])
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("skipped: only root can mount");
        return;
    }
    let refused = folder.build("rootfs", |_| {});
    run("umount", &[odd]);
    match refused {
        Err(BuildError::Input { path, what, .. }) => {
            assert!(what.contains("another file system"), "{what}");
            assert_eq!(path, Path::new(odd));
        }
        other => panic!("{other:?}"),
    }
}
