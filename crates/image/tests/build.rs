//! What the builder promises, judged from outside where there is a judge.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

mod bytes;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::noise;
use nx_image::build::{Build, BuildError, Report};
use nx_image::key::SigningKey;
use nx_image::manifest::Profile;
use nx_image::verify::{Depth, Files, VerifyError, verify};
use tempfile::TempDir;

struct Bench {
    dir: TempDir,
    key: SigningKey,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            dir,
            key: SigningKey::from_seed(&[7; 32]).unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// A tree with what trees have.
    fn tree(&self, name: &str) -> PathBuf {
        let root = self.path(name);
        fs::create_dir(&root).unwrap();
        fs::create_dir(root.join("etc")).unwrap();
        let lens = [0, 1, 4_096, 300_000].into_iter().cycle();
        for (number, len) in (0..40).zip(lens) {
            let path = root.join(format!("etc/file-{number:02}"));
            fs::write(path, noise(len, number)).unwrap();
        }
        // Two files that share their first blocks: a library once took them for one.
        let mut twin = noise(300_000, 5);
        fs::write(root.join("twin-a"), &twin).unwrap();
        twin[200_000] ^= 1;
        fs::write(root.join("twin-b"), &twin).unwrap();
        symlink("etc/file-00", root.join("link")).unwrap();
        fs::set_permissions(root.join("twin-a"), fs::Permissions::from_mode(0o4755)).unwrap();
        root
    }

    fn write(&self, build: &Build, name: &str) -> Result<Report, BuildError> {
        build.write(
            &self.path(&format!("{name}.img")),
            &self.path(&format!("{name}.json")),
            &self.path(&format!("{name}.sig")),
            Some(&self.key),
            &mut |_| {},
        )
    }

    fn verify(&self, name: &str) -> Result<(), VerifyError> {
        self.prove(name, Depth::Blocks)
    }

    fn prove(&self, name: &str, depth: Depth) -> Result<(), VerifyError> {
        let [image, manifest, signature] =
            ["img", "json", "sig"].map(|end| self.path(&format!("{name}.{end}")));
        let files = Files {
            image: &image,
            manifest: &manifest,
            signature: &signature,
        };
        verify(
            &files,
            &[self.key.public_key()],
            false,
            depth,
            &mut |_, _| {},
        )
        .map(|_| ())
    }

    fn full(&self) -> Build {
        let mut build = Build::new(Profile::Dev);
        build.bootloader = Some(self.file("boot", &noise(70_000, 1)));
        build.kernel = Some(self.file("kernel", &noise(200_001, 2)));
        build.initrd = Some(self.tree("initrd"));
        build.rootfs = Some(self.tree("rootfs"));
        build.pkgfs = Some(self.file("pkgfs", &noise(4_096, 3)));
        build
    }
}

fn run(program: &str, args: &[&str]) -> (bool, String) {
    let output = Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; `cargo xtask setup` installs it"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

#[test]
fn a_whole_image_is_built_and_proven() {
    let bench = Bench::new();
    let report = bench.write(&bench.full(), "os").unwrap();
    let names: Vec<&str> = report
        .manifest
        .segments
        .iter()
        .map(|s| s.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "gpt",
            "bootloader",
            "kernel",
            "initrd",
            "rootfs",
            "pkgfs",
            "state",
            "gpt-backup"
        ]
    );
    bench.verify("os").unwrap();
}

#[test]
fn outside_judges_agree() {
    let bench = Bench::new();
    let report = bench.write(&bench.full(), "os").unwrap();
    let path = |name: &str| bench.path(name).display().to_string();
    bench.key.write_public_new(&bench.path("key.pub")).unwrap();
    let (ok, text) = run(
        "openssl",
        &[
            "pkeyutl",
            "-verify",
            "-rawin",
            "-pubin",
            "-inkey",
            &path("key.pub"),
            "-sigfile",
            &path("os.sig"),
            "-in",
            &path("os.json"),
        ],
    );
    assert!(ok, "{text}");
    let (ok, text) = run("sgdisk", &["-v", &path("os.img")]);
    assert!(ok && text.contains("No problems found"), "{text}");
    let (_, text) = run("sgdisk", &["-p", &path("os.img")]);
    for name in ["bootloader", "kernel", "initrd", "rootfs", "pkgfs", "state"] {
        assert!(text.contains(name), "{name} is not in:\n{text}");
    }
    let (_, text) = run("sha256sum", &[&path("os.img")]);
    assert!(
        text.starts_with(&report.manifest.image.sha256.to_string()),
        "{text}"
    );
    let image = fs::read(bench.path("os.img")).unwrap();
    for segment in &report.manifest.segments {
        let from = usize::try_from(segment.offset).unwrap();
        let content = &image[from..from + usize::try_from(segment.size).unwrap()];
        let part = bench.file(&format!("{}.part", segment.name), content);
        let (_, text) = run("sha256sum", &[part.to_str().unwrap()]);
        assert!(
            text.starts_with(&segment.sha256.to_string()),
            "{}: {text}",
            segment.name
        );
    }
}

#[test]
fn a_tree_comes_out_of_the_image_as_it_went_in() {
    let bench = Bench::new();
    let build = bench.full();
    let report = bench.write(&build, "os").unwrap();
    let image = fs::read(bench.path("os.img")).unwrap();
    let part = |name: &str| {
        let (_, segment) = report.manifest.segment(name).unwrap();
        let from = usize::try_from(segment.offset).unwrap();
        let content = &image[from..from + usize::try_from(segment.size).unwrap()];
        bench
            .file(&format!("{name}.part"), content)
            .display()
            .to_string()
    };
    let out = bench.path("out").display().to_string();
    let (ok, text) = run("unsquashfs", &["-d", &out, &part("rootfs")]);
    assert!(ok, "{text}");
    let tree = bench.path("rootfs").display().to_string();
    let (ok, text) = run("diff", &["-r", "--no-dereference", &tree, &out]);
    assert!(ok, "{text}");
    let twin = fs::metadata(Path::new(&out).join("twin-a")).unwrap();
    assert_eq!(twin.permissions().mode() & 0o7777, 0o4755);
    let initrd = part("initrd");
    let (ok, text) = run("sh", &["-c", &format!("cpio -t --quiet < {initrd}")]);
    assert!(
        ok && text.contains("etc/file-07") && text.contains("twin-b"),
        "{text}"
    );
}

#[test]
fn bad_inputs_leave_old_outputs_alone() {
    let bench = Bench::new();
    for end in ["img", "json", "sig", "blocks"] {
        bench.file(&format!("os.{end}"), b"old");
    }
    let mut empty = Build::new(Profile::Dev);
    assert!(matches!(bench.write(&empty, "os"), Err(BuildError::Empty)));
    empty.kernel = Some(bench.path("missing"));
    assert!(matches!(
        bench.write(&empty, "os"),
        Err(BuildError::Io { .. })
    ));
    empty.kernel = Some(bench.file("zero", b""));
    assert!(matches!(
        bench.write(&empty, "os"),
        Err(BuildError::Input { .. })
    ));
    empty.kernel = Some(bench.path("os.img"));
    assert!(matches!(
        bench.write(&empty, "os"),
        Err(BuildError::SameFile { .. })
    ));
    empty.kernel = Some(bench.file("kernel", &noise(100, 1)));
    let tree = bench.tree("tree");
    fs::hard_link(tree.join("twin-a"), tree.join("twin-c")).unwrap();
    empty.rootfs = Some(tree);
    assert!(matches!(
        bench.write(&empty, "os"),
        Err(BuildError::Input { .. })
    ));
    for end in ["img", "json", "sig", "blocks"] {
        assert_eq!(fs::read(bench.path(&format!("os.{end}"))).unwrap(), b"old");
    }
    let left = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(".nx");
    assert!(
        !fs::read_dir(bench.dir.path())
            .unwrap()
            .flatten()
            .any(|entry| left(&entry))
    );
}

#[test]
fn a_release_needs_a_signature_by_a_key_that_may() {
    let bench = Bench::new();
    let mut build = Build::new(Profile::Release);
    build.kernel = Some(bench.file("kernel", &noise(100, 1)));
    let paths = ["img", "json", "sig"].map(|end| bench.path(&format!("os.{end}")));
    let unsigned = build.write(&paths[0], &paths[1], &paths[2], None, &mut |_| {});
    assert!(matches!(unsigned, Err(BuildError::Unsigned)));
}

#[test]
fn keys_go_both_ways_with_openssl() {
    let bench = Bench::new();
    let key = bench.path("key.pem");
    bench.key.write_new(&key).unwrap();
    let text = key.display().to_string();
    let (ok, out) = run("openssl", &["pkey", "-in", &text, "-pubout"]);
    assert!(ok, "{out}");
    let public = nx_image::key::PublicKey::parse(out.as_bytes()).unwrap();
    assert_eq!(public.fingerprint(), bench.key.public_key().fingerprint());
    let theirs = bench.path("theirs.pem").display().to_string();
    run(
        "openssl",
        &["genpkey", "-algorithm", "ed25519", "-out", &theirs],
    );
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o600)).unwrap();
    SigningKey::read(Path::new(&theirs)).unwrap();
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(
        SigningKey::read(Path::new(&theirs)).is_err(),
        "others can read the key"
    );
    assert!(
        bench.key.write_new(&key).is_err(),
        "a key is never written over"
    );
}

#[test]
fn inputs_over_four_gibibytes_are_covered_to_their_end() {
    let bench = Bench::new();
    let path = bench.path("pkgfs");
    let file = fs::File::create(&path).unwrap();
    file.set_len((4 << 30) + 5_000).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"end", (4 << 30) + 4_997).unwrap();
    let mut build = Build::new(Profile::Dev);
    build.pkgfs = Some(path);
    let report = bench.write(&build, "os").unwrap();
    let (_, segment) = report.manifest.segment("pkgfs").unwrap();
    assert_eq!(segment.size, (4 << 30) + 5_000);
    bench.prove("os", Depth::Bytes).unwrap();
    let image = fs::OpenOptions::new()
        .write(true)
        .open(bench.path("os.img"))
        .unwrap();
    let last = segment.end() - 1;
    std::os::unix::fs::FileExt::write_all_at(&image, b"x", last).unwrap();
    assert!(matches!(
        bench.prove("os", Depth::Bytes),
        Err(VerifyError::Segment { .. })
    ));
    use std::os::unix::fs::MetadataExt as _;
    let used = fs::metadata(bench.path("os.img")).unwrap().blocks() * 512;
    assert!(used < 64 << 20, "holes were written: {used} bytes");
}
