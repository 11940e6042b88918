//! Outputs appear complete or not at all, and a build never touches what it reads.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

use nx_image::build::{Build, BuildError, Progress, Report};
use nx_image::key::{PublicKey, SigningKey};
use nx_image::manifest::{Profile, SegmentKind};
use nx_image::signer::{Signer, SignerError};
use nx_image::verify::{Depth, Files, verify};
use rstest::rstest;
use rustix::fs::{Mode, OFlags};
use tempfile::TempDir;

const ENDS: [&str; 4] = ["img", "json", "sig", "blocks"];

/// A folder with a kernel of 3 MiB and outputs of an older build.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        let kernel: Vec<u8> = (1_u8..=255).cycle().take(3 << 20).collect();
        fs::write(bench.path("kernel"), kernel).unwrap();
        // Long ago, so that a change has another time however coarse the clock is.
        let file = fs::File::options().write(true).open(bench.path("kernel"));
        file.unwrap().set_modified(UNIX_EPOCH).unwrap();
        for end in ENDS {
            fs::write(bench.os(end), format!("old {end}")).unwrap();
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn os(&self, end: &str) -> PathBuf {
        self.path(&format!("os.{end}"))
    }

    fn build(&self) -> Build {
        let mut build = Build::new(Profile::Dev);
        build.kernel = Some(self.path("kernel"));
        build
    }

    fn write(
        &self,
        build: &Build,
        signer: Option<&dyn Signer>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Report, BuildError> {
        let [image, manifest, signature, _] = ENDS.map(|end| self.os(end));
        build.write(&image, &manifest, &signature, signer, progress)
    }

    /// The older build's outputs are as they were, and nothing else was left behind.
    fn assert_untouched(&self) {
        for end in ENDS {
            let found = fs::read_to_string(self.os(end)).unwrap();
            assert_eq!(found, format!("old {end}"));
        }
        self.assert_no_scraps();
    }

    fn assert_no_scraps(&self) {
        for entry in fs::read_dir(self.0.path()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.starts_with('.'), "{name} was left behind");
        }
    }
}

fn key() -> SigningKey {
    SigningKey::from_seed(&[0x5a; 32]).unwrap()
}

#[test]
fn an_output_named_twice_is_refused() {
    let bench = Bench::new();
    let [image, manifest, signature, blocks] = ENDS.map(|end| bench.os(end));
    let roundabout = bench.path("./os.img");
    let build = bench.build();
    for [image, manifest, signature] in [
        [&image, &image, &signature],
        [&image, &manifest, &image],
        [&image, &manifest, &manifest],
        [&image, &manifest, &roundabout],
        // The block digests of the manifest would land on these.
        [&blocks, &manifest, &signature],
        [&image, &blocks, &signature],
    ] {
        let refused = build.write(image, manifest, signature, Some(&key()), &mut |_| {});
        assert!(
            matches!(refused, Err(BuildError::SameFile { .. })),
            "{refused:?}"
        );
    }
    bench.assert_untouched();
}

/// An output under whatever name leads to an input would replace or, worse, empty it.
#[rstest]
#[case::by_hard_link(|from: &Path, to: &Path| fs::hard_link(from, to))]
#[case::by_symbolic_link(|from: &Path, to: &Path| symlink(from, to))]
fn an_input_under_another_name_is_no_output(
    #[case] link: fn(&Path, &Path) -> std::io::Result<()>,
    #[values("img", "json", "sig", "blocks")] end: &str,
) {
    let bench = Bench::new();
    let before = fs::read(bench.path("kernel")).unwrap();
    fs::remove_file(bench.os(end)).unwrap();
    link(&bench.path("kernel"), &bench.os(end)).unwrap();
    let refused = bench.write(&bench.build(), Some(&key()), &mut |_| {});
    match refused {
        Err(BuildError::SameFile { path }) => assert_eq!(path, bench.os(end)),
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read(bench.path("kernel")).unwrap(), before);
    bench.assert_no_scraps();
}

#[test]
fn outputs_inside_of_an_input_tree_are_refused() {
    let bench = Bench::new();
    fs::create_dir_all(bench.path("tree/deep")).unwrap();
    fs::write(bench.path("tree/file"), b"content").unwrap();
    symlink(bench.path("tree/deep"), bench.path("door")).unwrap();
    let mut build = bench.build();
    build.rootfs = Some(bench.path("tree"));
    let [image, manifest, signature, _] = ENDS.map(|end| bench.os(end));
    for inside in ["tree/os.img", "tree/deep/os.img", "door/os.img"].map(|name| bench.path(name)) {
        let refused = build.write(&inside, &manifest, &signature, Some(&key()), &mut |_| {});
        assert!(
            matches!(refused, Err(BuildError::OutputInside { .. })),
            "{refused:?}"
        );
        let refused = build.write(&image, &manifest, &inside, Some(&key()), &mut |_| {});
        assert!(
            matches!(refused, Err(BuildError::OutputInside { .. })),
            "{refused:?}"
        );
    }
    bench.assert_untouched();
    assert_eq!(fs::read_dir(bench.path("tree/deep")).unwrap().count(), 0);
}

#[test]
fn a_folder_in_the_place_of_an_output_stays() {
    let bench = Bench::new();
    for end in ENDS {
        fs::remove_file(bench.os(end)).unwrap();
        fs::create_dir(bench.os(end)).unwrap();
        let refused = bench.write(&bench.build(), Some(&key()), &mut |_| {});
        match refused {
            Err(BuildError::Io { path, .. }) => assert_eq!(path, bench.os(end)),
            other => panic!("{other:?}"),
        }
        fs::remove_dir(bench.os(end)).unwrap();
        fs::write(bench.os(end), format!("old {end}")).unwrap();
        bench.assert_untouched();
    }
}

#[test]
fn a_reader_of_the_old_image_keeps_the_old_image() {
    let bench = Bench::new();
    fs::hard_link(bench.os("img"), bench.path("reader")).unwrap();
    bench
        .write(&bench.build(), Some(&key()), &mut |_| {})
        .unwrap();
    assert_eq!(fs::read(bench.path("reader")).unwrap(), b"old img");
    assert_ne!(fs::read(bench.os("img")).unwrap(), b"old img");
    bench.assert_no_scraps();
}

#[rstest]
#[case::while_packing(|p| matches!(p, Progress::Packing(SegmentKind::Rootfs)))]
#[case::while_writing(|p| matches!(p, Progress::Writing { .. }))]
#[case::while_digesting(|p| matches!(p, Progress::Digesting { .. }))]
#[case::at_the_very_end(|p| matches!(p, Progress::Digesting { done, total } if done == total))]
fn a_build_that_is_stopped_leaves_no_trace(#[case] moment: fn(Progress) -> bool) {
    let bench = Bench::new();
    fs::create_dir(bench.path("tree")).unwrap();
    fs::write(bench.path("tree/file"), b"content").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut build = bench.build();
    build.rootfs = Some(bench.path("tree"));
    build.stop = Some(Arc::clone(&stop));
    let stopped = bench.write(&build, Some(&key()), &mut |progress| {
        stop.fetch_or(moment(progress), Ordering::Relaxed);
    });
    assert!(matches!(stopped, Err(BuildError::Stopped)), "{stopped:?}");
    bench.assert_untouched();
}

#[rstest]
#[case::written_to(|kernel: &Path| {
    let mut bytes = fs::read(kernel).unwrap();
    bytes.reverse();
    fs::write(kernel, bytes).unwrap();
})]
#[case::cut_short(|kernel: &Path| {
    fs::OpenOptions::new().write(true).open(kernel).unwrap().set_len(1).unwrap();
})]
#[case::grown(|kernel: &Path| {
    fs::OpenOptions::new().write(true).open(kernel).unwrap().set_len(4 << 20).unwrap();
})]
fn an_input_that_changes_meanwhile_is_noticed(#[case] change: fn(&Path)) {
    let bench = Bench::new();
    let kernel = bench.path("kernel");
    let mut changed = false;
    let refused = bench.write(&bench.build(), Some(&key()), &mut |progress| {
        // After the first of three reads.
        if matches!(progress, Progress::Writing { .. }) && !changed {
            changed = true;
            change(&kernel);
        }
    });
    match refused {
        Err(BuildError::Changed { segment, path }) => {
            assert_eq!((segment, path), ("kernel", kernel));
        }
        other => panic!("{other:?}"),
    }
    bench.assert_untouched();
}

/// What is opened is what is built, wherever its name leads afterwards.
#[test]
fn an_input_that_is_renamed_over_meanwhile_is_built_as_it_was_opened() {
    let bench = Bench::new();
    let mut swapped = false;
    let expected = bench
        .write(&bench.build(), Some(&key()), &mut |_| {})
        .unwrap();
    let report = bench
        .write(&bench.build(), Some(&key()), &mut |progress| {
            if matches!(progress, Progress::Writing { .. }) && !swapped {
                swapped = true;
                fs::write(bench.path("other"), b"another kernel").unwrap();
                fs::rename(bench.path("other"), bench.path("kernel")).unwrap();
            }
        })
        .unwrap();
    assert!(swapped);
    assert_eq!(report.manifest_digest, expected.manifest_digest);
}

#[test]
fn an_unsigned_build_takes_the_old_signature_away() {
    let bench = Bench::new();
    let report = bench.write(&bench.build(), None, &mut |_| {}).unwrap();
    assert_eq!(report.signed_by, None);
    assert!(!bench.os("sig").exists());
    let [image, manifest, signature, _] = ENDS.map(|end| bench.os(end));
    let files = Files {
        image: &image,
        manifest: &manifest,
        signature: &signature,
    };
    verify(&files, &[], true, Depth::Blocks, &mut |_, _| {}).unwrap();
    let keys = [key().public_key()];
    verify(&files, &keys, false, Depth::Bytes, &mut |_, _| {}).unwrap_err();
}

/// Names one key and signs with another, or something else.
#[derive(Debug)]
struct Liar;

impl Signer for Liar {
    fn public_key(&self) -> PublicKey {
        key().public_key()
    }

    fn sign(&self, manifest: &[u8]) -> Result<[u8; 64], SignerError> {
        Ok(SigningKey::from_seed(&[0x5b; 32]).unwrap().sign(manifest))
    }
}

#[test]
fn a_signature_by_another_key_than_named_is_refused() {
    let bench = Bench::new();
    let refused = bench.write(&bench.build(), Some(&Liar), &mut |_| {});
    match refused {
        Err(BuildError::WrongSignature { key: named }) => {
            assert_eq!(named, key().public_key().fingerprint());
        }
        other => panic!("{other:?}"),
    }
    bench.assert_untouched();
}

const CHILD_FOLDER: &str = "NX_IMAGE_TEST_FOLDER";

/// Runs one test of this file in a process of its own, in which [`CHILD_FOLDER`] is set.
fn child(test: &str, folder: &Path, shell: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{shell} exec \"$@\""), "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env(CHILD_FOLDER, folder);
    command
}

/// Killed as no process can prevent, in the middle and with every output begun. A file system
/// that has only files with names keeps one; the next build takes it away.
#[test]
fn a_build_that_is_killed_leaves_nothing_in_the_end() {
    if let Some(folder) = std::env::var_os(CHILD_FOLDER) {
        let folder = PathBuf::from(folder);
        let mut build = Build::new(Profile::Dev);
        build.kernel = Some(folder.join("kernel"));
        let [image, manifest, signature] =
            ["img", "json", "sig"].map(|end| folder.join(format!("os.{end}")));
        let _ = build.write(&image, &manifest, &signature, None, &mut |progress| {
            if matches!(progress, Progress::Digesting { .. }) {
                fs::write(folder.join("begun"), b"").unwrap();
                loop {
                    std::thread::park();
                }
            }
        });
        return;
    }
    let bench = Bench::new();
    let test = "a_build_that_is_killed_leaves_nothing_in_the_end";
    let mut killed = child(test, bench.0.path(), "").spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while !bench.path("begun").exists() {
        assert!(Instant::now() < until, "the build does not begin");
        std::thread::yield_now();
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let flags = OFlags::TMPFILE | OFlags::RDWR;
    if rustix::fs::open(bench.0.path(), flags, Mode::RWXU).is_ok() {
        bench.assert_untouched();
    }
    bench
        .write(&bench.build(), Some(&key()), &mut |_| {})
        .unwrap();
    bench.assert_no_scraps();
}

/// The medium takes 1 MiB of an image of 21 MiB and no more. A limit on the length of files is
/// the refusal that every Linux can give to everybody; a full disk takes the same way.
#[test]
fn a_medium_that_takes_no_more_leaves_old_outputs_alone() {
    if let Some(folder) = std::env::var_os(CHILD_FOLDER) {
        let folder = PathBuf::from(folder);
        let mut build = Build::new(Profile::Dev);
        build.kernel = Some(folder.join("kernel"));
        let [image, manifest, signature] =
            ["img", "json", "sig"].map(|end| folder.join(format!("os.{end}")));
        let refused = build.write(&image, &manifest, &signature, Some(&key()), &mut |_| {});
        match refused {
            Err(BuildError::Io { path, source, .. }) => {
                assert_eq!(path, image);
                assert_eq!(source.kind(), std::io::ErrorKind::FileTooLarge);
            }
            other => panic!("{other:?}"),
        }
        return;
    }
    let bench = Bench::new();
    let test = "a_medium_that_takes_no_more_leaves_old_outputs_alone";
    // `ulimit -f` counts blocks of 512 bytes; the ignored signal survives `exec`.
    let output = child(test, bench.0.path(), "trap '' XFSZ; ulimit -f 2048;")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
    bench.assert_untouched();
}
