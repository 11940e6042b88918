//! Bad input to the programs: a clear error, the right exit code, and nothing lost.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs;

use processes::{Bench, Flashd, Ran, Workdir, nx};

struct Rig {
    bench: Bench,
    _flashd: Flashd,
}

impl Rig {
    fn new() -> Self {
        let bench = Bench::new();
        bench.key("other");
        for (name, key) in [("os", "dev.key"), ("strange", "other.key")] {
            bench.build(name, 300_000, 1, &[], key);
        }
        fs::write(bench.work().path("disk.img"), b"the old system").unwrap();
        let flashd = bench.flashd();
        Self {
            bench,
            _flashd: flashd,
        }
    }

    fn path(&self, name: &str) -> String {
        self.bench.path(name)
    }

    fn send(&self, name: &str) -> Ran {
        self.bench.send(name, &[])
    }

    /// It must fail like this, and the device must be what it was.
    #[track_caller]
    fn assert_refused(&self, ran: &Ran, code: i32, words: &[&str]) {
        assert_eq!(ran.code, code, "{ran:#?}");
        for word in words {
            assert!(ran.stdout.contains(word), "`{word}` is not in {ran:#?}");
        }
        assert_eq!(
            fs::read(self.bench.work().path("disk.img")).unwrap(),
            b"the old system"
        );
    }

    fn flip(&self, name: &str, at: usize) {
        let path = self.bench.work().path(name);
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn a_strangers_image_is_refused_by_the_device() {
    let rig = Rig::new();
    rig.assert_refused(&rig.send("strange"), 3, &["sign"]);
}

#[test]
fn a_tampered_image_manifest_or_signature_is_refused() {
    let rig = Rig::new();
    for (name, at) in [("os.img", 2_000_000), ("os.json", 30), ("os.sig", 5)] {
        if name == "os.img" {
            let len = fs::metadata(rig.bench.work().path(name)).unwrap().len();
            assert!(len > 2_000_000, "{len}");
        }
        rig.flip(name, at);
        rig.assert_refused(&rig.send("os"), 3, &[]);
        let verified = nx([
            "image",
            "verify",
            &rig.path("os.img"),
            "--manifest",
            &rig.path("os.json"),
            "--sig",
            &rig.path("os.sig"),
            "--pub",
            &rig.path("dev.pub"),
        ]);
        assert_eq!(verified.code, 3, "{name}: {verified:#?}");
        rig.flip(name, at);
    }
    assert_eq!(rig.send("os").code, 0);
}

#[test]
fn a_port_that_is_none_says_so() {
    let unknown = nx(["flash", "info", "--port", "unx:/tmp/s"]);
    assert_eq!(unknown.code, 2, "{unknown:#?}");
    assert!(
        unknown.stderr.contains("unix"),
        "no suggestion: {unknown:#?}"
    );
    let key = nx(["flash", "info", "--port", "unix:/tmp/s?lisen"]);
    assert_eq!(key.code, 2, "{key:#?}");
    assert!(key.stderr.contains("listen"), "no known keys: {key:#?}");
    let missing = nx(["flash", "info", "--port", "/dev/ttyNONE"]);
    assert!([4, 5].contains(&missing.code), "{missing:#?}");
    let nobody = nx(["flash", "info", "--port", "unix:/tmp/nobody-is-here"]);
    assert!([4, 5].contains(&nobody.code), "{nobody:#?}");
    let none = nx(["flash", "reboot", "normal"]);
    assert_eq!(none.code, 2, "{none:#?}");
    assert!(none.stderr.contains("NX_PORT"), "no hint: {none:#?}");
}

#[test]
fn a_second_flashd_leaves_the_first_alone() {
    let rig = Rig::new();
    let second = std::process::Command::new(processes::flashd_path())
        .args(["--port", &format!("unix:{}?listen", rig.path("t"))])
        .args([
            "--target",
            &rig.path("disk.img"),
            "--journal",
            &rig.path("journal"),
        ])
        .args(["--pub", &rig.path("dev.pub")])
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(5), "{second:?}");
    assert_eq!(rig.send("os").code, 0);
}

#[test]
fn reset_without_yes_changes_nothing() {
    let work = Workdir::new();
    for folder in ["apps", "trust"] {
        fs::create_dir_all(work.path("state").join(folder)).unwrap();
    }
    let state = work.path("state").display().to_string();
    let asked = nx(["reset", "factory", "--state", &state]);
    assert_eq!(asked.code, 2, "{asked:#?}");
    assert!(work.path("state").join("apps").exists());
    nx(["reset", "factory", "--state", &state, "--yes"]).ok();
    assert!(!work.path("state").join("apps").exists());
    assert!(work.path("state").join("trust").exists());
}
