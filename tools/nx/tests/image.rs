//! `nx image` as a user runs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod program;

use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::Command;

use program::{Run, assert_golden, command, nx};
use serde_json::Value;
use tempfile::TempDir;

/// The seed of RFC 8032, section 7.1, test 1: published, and so good for tests and dev images only.
const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";

/// A folder with inputs and a key.
struct Bench(TempDir);

impl Bench {
    /// What is in the folder.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn new() -> Self {
        let bench = Self(TempDir::with_prefix("nx-image-").unwrap());
        fs::create_dir_all(bench.path("rootfs/etc")).unwrap();
        fs::write(bench.path("rootfs/etc/hostname"), "device\n").unwrap();
        fs::create_dir(bench.path("initrd")).unwrap();
        fs::write(bench.path("initrd/init"), "#!/bin/sh\n").unwrap();
        let bytes: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
        fs::write(bench.path("kernel"), &bytes).unwrap();
        fs::write(bench.path("pkgfs.img"), &bytes[..70_000]).unwrap();
        for (mode, path) in [(0o755, "rootfs/etc"), (0o755, "rootfs"), (0o755, "initrd")] {
            fs::set_permissions(bench.path(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        for path in ["rootfs/etc/hostname", "initrd/init"] {
            fs::set_permissions(bench.path(path), fs::Permissions::from_mode(0o644)).unwrap();
        }
        fs::write(bench.path("os.key"), SEED).unwrap();
        fs::set_permissions(bench.path("os.key"), fs::Permissions::from_mode(0o600)).unwrap();
        // Its public half.
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        fs::write(bench.path("os.pub"), public).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `nx image` with these arguments, in this folder.
    fn image(&self, args: &[&str]) -> Run {
        let args = [&["image"], args].concat();
        Run::of(
            command(&args)
                .current_dir(self.0.path())
                .env_remove("SOURCE_DATE_EPOCH"),
        )
    }

    /// Builds with the usual inputs, the usual outputs, and `more`.
    fn build(&self, more: &[&str]) -> Run {
        let usual = "build --profile dev --kernel kernel --initrd initrd --rootfs rootfs \
                     --pkgfs pkgfs.img --out os.img --manifest os.json";
        let usual: Vec<&str> = usual.split_whitespace().collect();
        self.image(&[&usual, more].concat())
    }

    fn verify(&self) -> Run {
        self.image(&[
            "verify",
            "os.img",
            "--manifest",
            "os.json",
            "--pub",
            "os.pub",
        ])
    }

    fn reason(&self, run: &Run) -> Value {
        run.envelope()["data"]["reason"].clone()
    }
}

fn shown(run: &Run) -> String {
    format!("exit {}\n{}{}", run.code, run.stdout, run.stderr)
}

#[test]
fn help_is_the_golden_text() {
    for verb in ["build", "verify", "inspect", "keygen"] {
        let run = nx(&["image", verb, "--help"]);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""));
        assert_golden(&format!("help-image-{verb}.txt"), &run.stdout);
    }
}

#[test]
fn an_image_is_built_verified_and_shown() {
    let bench = Bench::new();
    assert_golden(
        "image-build.txt",
        &shown(&bench.build(&["--sign", "os.key"])),
    );
    assert_golden("image-verify.txt", &shown(&bench.verify()));
    let by_option = "verify --img os.img --manifest os.json --pub os.pub";
    let by_option: Vec<&str> = by_option.split(' ').collect();
    assert_eq!(shown(&bench.image(&by_option)), shown(&bench.verify()));

    let by_image = bench.image(&["inspect", "os.img", "--pub", "os.pub", "--json"]);
    let by_manifest = bench.image(&["inspect", "os.json", "--pub", "os.pub", "--json"]);
    assert_eq!((by_image.code, by_image.stderr.as_str()), (0, ""));
    assert_eq!(by_image.stdout, by_manifest.stdout);
    let data = &by_image.envelope()["data"];
    let map = data["map"].as_array().unwrap();
    let mut end = Value::from(0);
    for area in map {
        assert_eq!(area["offset"], end, "the map has a hole");
        end = (area["offset"].as_u64().unwrap() + area["bytes"].as_u64().unwrap()).into();
    }
    assert_eq!(end, data["image_bytes"]);
    let text = bench.image(&["inspect", "os.img"]).stdout;
    assert_eq!(bench.image(&["inspect", "--img", "os.img"]).stdout, text);
    for name in [
        "kernel",
        "initrd",
        "rootfs",
        "pkgfs",
        "state",
        "gpt",
        "not checked",
    ] {
        assert!(text.contains(name), "{name}:\n{text}");
    }
}

#[test]
fn two_images_in_one_folder_keep_their_own_signatures() {
    let bench = Bench::new();
    for name in ["one", "two"] {
        let (image, manifest) = (format!("{name}.img"), format!("{name}.json"));
        let args = ["build", "--profile", "dev", "--kernel", "kernel"];
        let more = ["--image-version", name, "--sign", "os.key"];
        let outputs = ["--out", &image, "--manifest", &manifest];
        let built = bench.image(&[&args[..], &more, &outputs].concat());
        assert_eq!(built.code, 0, "{built:#?}");
    }
    for name in ["one", "two"] {
        let (image, manifest) = (format!("{name}.img"), format!("{name}.json"));
        let args = ["verify", &image, "--manifest", &manifest, "--pub", "os.pub"];
        let verified = bench.image(&args);
        assert_eq!(verified.code, 0, "{name}: {verified:#?}");
        assert!(bench.path(&format!("{name}.sig")).exists());
    }
}

/// How `nx image` with these arguments ends, and what it says to try.
fn ended(bench: &Bench, args: &str) -> (i32, String, String) {
    let args: Vec<&str> = args.split(' ').chain(["--json"]).collect();
    let run = bench.image(&args);
    let data = &run.envelope()["data"];
    let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
    (run.code, text("reason"), text("hint"))
}

#[test]
fn what_is_no_file_is_refused_as_an_output_too() {
    let bench = Bench::new();
    fs::create_dir(bench.path("folder")).unwrap();
    let usual = "build --profile dev --kernel kernel";
    for outputs in [
        "--out folder --manifest a.json",
        "--out a.img --manifest folder",
        "--out a.img --manifest a.json --sign os.key --sig folder",
    ] {
        let (code, reason, _) = ended(&bench, &format!("{usual} {outputs}"));
        assert_eq!(
            (code, reason.as_str()),
            (3, "source.not_a_file"),
            "{outputs}"
        );
        assert!(!bench.path("a.img").exists() && !bench.path("a.json").exists());
    }
    let inspected = ended(&bench, "inspect folder");
    assert_eq!(
        (inspected.0, inspected.1.as_str()),
        (3, "source.not_a_file")
    );
}

#[test]
fn a_public_key_that_shall_sign_is_told_as_one() {
    let bench = Bench::new();
    let made = bench.image(&["keygen", "--out", "new.key", "--pub", "new.pub"]);
    assert_eq!(made.code, 0, "{made:#?}");
    let args = "build --profile dev --kernel kernel --out a.img --manifest a.json --sign new.pub";
    let (code, reason, hint) = ended(&bench, args);
    assert_eq!((code, reason.as_str()), (3, "key.invalid"));
    assert!(hint.contains("the other half"), "{hint}");
}

#[test]
fn a_verification_without_a_key_says_how_to_do_it_without() {
    let bench = Bench::new();
    assert_eq!(bench.build(&["--sign", "os.key"]).code, 0);
    let (code, reason, hint) = ended(&bench, "verify os.img --manifest os.json");
    assert_eq!((code, reason.as_str()), (2, "usage.arguments"));
    assert!(
        hint.contains("--pub KEY") && hint.contains("--allow-unsigned"),
        "{hint}"
    );
}

#[test]
fn json_agrees_with_the_files_and_with_openssl() {
    let bench = Bench::new();
    let built = bench.build(&["--sign", "os.key", "--json"]);
    assert_eq!((built.code, built.stderr.as_str()), (0, ""));
    let data = built.envelope()["data"].clone();
    let digest = |name: &str| {
        let output = Command::new("sha256sum")
            .arg(bench.path(name))
            .output()
            .unwrap();
        String::from_utf8(output.stdout)
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(data["image_sha256"], digest("os.img"));
    assert_eq!(data["manifest_sha256"], digest("os.json"));
    assert_eq!(fs::read(bench.path("os.sig")).unwrap().len(), 64);

    assert_eq!(
        bench
            .image(&["keygen", "--out", "new.key", "--pub", "new.pub"])
            .code,
        0
    );
    assert_eq!(bench.build(&["--sign", "new.key"]).code, 0);
    let openssl = Command::new("openssl")
        .args([
            "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "new.pub",
        ])
        .args(["-sigfile", "os.sig", "-in", "os.json"])
        .current_dir(bench.0.path())
        .output()
        .expect("openssl is needed: apt-get install openssl");
    assert!(openssl.status.success(), "{openssl:?}");
}

#[test]
fn a_signing_command_signs_for_a_key_that_we_do_not_have() {
    let bench = Bench::new();
    assert_eq!(
        bench
            .image(&["keygen", "--out", "hsm.key", "--pub", "hsm.pub"])
            .code,
        0
    );
    let sign = "cat > manifest && openssl pkeyutl -sign -rawin -inkey hsm.key -in manifest";
    let run = bench.build(&["--sign-cmd", sign, "--pub", "hsm.pub"]);
    assert_eq!(run.code, 0, "{run:#?}");
    let verify = "verify os.img --manifest os.json --pub hsm.pub";
    assert_eq!(bench.image(&verify.split(' ').collect::<Vec<_>>()).code, 0);

    let before = fs::read(bench.path("os.json")).unwrap();
    for (sign, key) in [
        ("exit 7", "hsm.pub"),
        ("echo no", "hsm.pub"),
        (sign, "os.pub"),
    ] {
        let more = [
            "--board",
            "other",
            "--sign-cmd",
            sign,
            "--pub",
            key,
            "--json",
        ];
        let run = bench.build(&more);
        assert_eq!(run.code, 5, "{run:#?}");
        assert_eq!(bench.reason(&run), "build.signer");
        assert_eq!(fs::read(bench.path("os.json")).unwrap(), before);
    }
    assert_eq!(bench.build(&["--sign-cmd", sign]).code, 2);
    assert_eq!(
        bench
            .build(&["--sign-cmd", sign, "--pub", "hsm.pub", "--sign", "os.key"])
            .code,
        2
    );
}

#[test]
fn damage_is_refused_and_named() {
    let bench = Bench::new();
    bench.build(&["--sign", "os.key", "--json"]);
    let inspected = bench.image(&["inspect", "os.img", "--json"]).envelope();
    let segments = inspected["data"]["segments"].as_array().unwrap();
    let kernel = segments
        .iter()
        .find(|segment| segment["name"] == "kernel")
        .unwrap();
    let offset = kernel["offset"].as_u64().unwrap();
    let image = fs::File::options()
        .write(true)
        .read(true)
        .open(bench.path("os.img"))
        .unwrap();
    let whole = image.metadata().unwrap().len();

    let mut byte = [0];
    let at = offset + 65_536 + 5;
    image.read_exact_at(&mut byte, at).unwrap();
    image.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
    let run = bench.image(&[
        "verify",
        "os.img",
        "--manifest",
        "os.json",
        "--pub",
        "os.pub",
        "--json",
    ]);
    assert_eq!((run.code, run.stderr.as_str()), (3, ""));
    let data = &run.envelope()["data"];
    assert_eq!(data["reason"], "source.mismatch");
    assert_eq!(data["segment"], "kernel");
    assert_eq!(data["block"], 1);
    assert!(bench.verify().stderr.contains("kernel"));
    image.write_all_at(&byte, at).unwrap();
    assert_eq!(bench.verify().code, 0);

    image.set_len(whole + 1).unwrap();
    assert_eq!(bench.verify().code, 3);
    image.set_len(whole).unwrap();

    for file in ["os.json", "os.sig"] {
        let good = fs::read(bench.path(file)).unwrap();
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 1;
        fs::write(bench.path(file), bad).unwrap();
        assert_eq!(bench.verify().code, 3, "{file}");
        fs::write(bench.path(file), good).unwrap();
    }
    assert_eq!(bench.verify().code, 0);
}

#[test]
fn without_a_key_or_a_word_nothing_is_verified() {
    let bench = Bench::new();
    bench.build(&[]);
    assert!(!bench.path("os.sig").exists());
    let verify = |more: &[&str]| {
        bench.image(&[&["verify", "os.img", "--manifest", "os.json"], more].concat())
    };
    assert_eq!(verify(&[]).code, 2);
    assert_eq!(verify(&["--pub", "os.pub", "--allow-unsigned"]).code, 2);
    let run = verify(&["--allow-unsigned"]);
    assert_eq!(run.code, 0);
    assert!(
        run.stdout.contains("the signature was not checked"),
        "{run:#?}"
    );
    assert_ne!(verify(&["--pub", "os.pub"]).code, 0);

    bench.build(&["--sign", "os.key"]);
    assert_eq!(
        bench
            .image(&["keygen", "--out", "other.key", "--pub", "other.pub"])
            .code,
        0
    );
    let run = verify(&["--pub", "other.pub", "--json"]);
    assert_eq!(
        (run.code, bench.reason(&run)),
        (3, "source.signature".into())
    );
    let run = verify(&["--pub", "nowhere.pub", "--json"]);
    assert_eq!(
        (run.code, bench.reason(&run)),
        (4, "source.not_found".into())
    );
    let run = verify(&["--pub", "kernel", "--json"]);
    assert_eq!((run.code, bench.reason(&run)), (3, "key.invalid".into()));
}

#[test]
fn what_cannot_be_built_is_refused_and_leaves_nothing() {
    let bench = Bench::new();
    let out = ["--out", "os.img", "--manifest", "os.json", "--json"];
    let refused = |args: &str, code: i32, reason: &str| {
        let args: Vec<&str> = args.split_whitespace().collect();
        let run = bench.image(&[&["build"], &args[..], &out[..]].concat());
        assert_eq!(
            (run.code, bench.reason(&run)),
            (code, reason.into()),
            "{run:#?}"
        );
        for name in ["os.img", "os.json", "os.sig", "os.blocks"] {
            assert!(!bench.path(name).exists(), "{name} is there: {run:#?}");
        }
    };
    refused("--profile dev", 2, "build.nothing");
    refused("--profile release --kernel kernel", 2, "build.unsigned");
    refused(
        "--profile release --kernel kernel --sign os.key",
        3,
        "key.refused",
    );
    refused("--profile dev --kernel nowhere", 4, "source.not_found");
    refused("--profile dev --kernel rootfs", 3, "build.input");
    refused("--profile dev --kernel /dev/null", 3, "build.input");
    refused(
        "--profile dev --kernel kernel --board a/b",
        3,
        "build.format",
    );
    refused(
        "--profile dev --kernel kernel --block-size 1000",
        3,
        "build.format",
    );
    refused(
        "--profile dev --kernel kernel --block-size 8GiB",
        3,
        "build.format",
    );
    refused(
        "--profile dev --kernel kernel --state-size 1000",
        3,
        "build.format",
    );
    refused(
        "--profile dev --kernel kernel --sign kernel",
        3,
        "key.exposed",
    );
    refused("--profile tests --kernel kernel", 2, "usage.arguments");
    refused(
        "--profile dev --kernel kernel --state-size 1X",
        2,
        "usage.arguments",
    );

    let same = "build --profile dev --kernel kernel --out kernel --manifest os.json --json";
    let run = bench.image(&same.split(' ').collect::<Vec<_>>());
    assert_eq!((run.code, bench.reason(&run)), (2, "build.output".into()));
    assert_eq!(fs::metadata(bench.path("kernel")).unwrap().len(), 300_000);
    let inside = "build --profile dev --rootfs rootfs --out rootfs/i --manifest os.json --json";
    let run = bench.image(&inside.split(' ').collect::<Vec<_>>());
    assert_eq!((run.code, bench.reason(&run)), (2, "build.output".into()));

    fs::hard_link(
        bench.path("rootfs/etc/hostname"),
        bench.path("rootfs/etc/name"),
    )
    .unwrap();
    refused("--profile dev --rootfs rootfs", 3, "build.input");
    assert_eq!(bench.build(&["--copy-hard-links"]).code, 0);
}

#[test]
fn keys_are_never_replaced_and_are_for_their_owner() {
    let bench = Bench::new();
    let keygen =
        |key: &str, public: &str| bench.image(&["keygen", "--out", key, "--pub", public, "--json"]);
    let made = keygen("new.key", "new.pub");
    assert_eq!(made.code, 0);
    let mode = fs::metadata(bench.path("new.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let key = fs::read(bench.path("new.key")).unwrap();

    let run = keygen("new.key", "more.pub");
    assert_eq!((run.code, bench.reason(&run)), (3, "key.exists".into()));
    assert_eq!(fs::read(bench.path("new.key")).unwrap(), key);
    assert!(!bench.path("more.pub").exists());
    let run = keygen("more.key", "new.pub");
    assert_eq!((run.code, bench.reason(&run)), (3, "key.exists".into()));
    assert!(!bench.path("more.key").exists());

    bench.build(&["--sign", "new.key"]);
    let verify = "verify os.img --manifest os.json --pub new.pub --json";
    let verified = bench
        .image(&verify.split(' ').collect::<Vec<_>>())
        .envelope();
    assert_eq!(
        verified["data"]["signed_by"],
        made.envelope()["data"]["fingerprint"]
    );

    fs::set_permissions(bench.path("new.key"), fs::Permissions::from_mode(0o640)).unwrap();
    let run = bench.build(&["--sign", "new.key", "--json"]);
    assert_eq!((run.code, bench.reason(&run)), (3, "key.exposed".into()));
}

#[test]
fn the_same_inputs_give_the_same_bytes_and_the_epoch_counts() {
    let bench = Bench::new();
    bench.build(&["--sign", "os.key"]);
    let outputs =
        || ["os.img", "os.json", "os.sig"].map(|name| fs::read(bench.path(name)).unwrap());
    let first = outputs();
    bench.build(&["--sign", "os.key"]);
    assert!(outputs() == first, "built twice, and not the same");

    let build = "image build --profile dev --rootfs rootfs --out e.img --manifest e.json --json";
    let epoch = |value: &str| {
        let args: Vec<&str> = build.split(' ').collect();
        let mut command = command(&args);
        Run::of(
            command
                .current_dir(bench.0.path())
                .env("SOURCE_DATE_EPOCH", value),
        )
    };
    let digest = |run: &Run| run.envelope()["data"]["image_sha256"].clone();
    assert_ne!(digest(&epoch("0")), digest(&epoch("1700000000")));
    assert_eq!(digest(&epoch("0")), digest(&epoch("")));
    for value in ["yesterday", "-1", "4294967296"] {
        let run = epoch(value);
        assert_eq!(
            (run.code, bench.reason(&run)),
            (2, "usage.arguments".into())
        );
    }
}

/// Runs a build under strace, which sends one interrupt, with a system call of the first thread;
/// nothing may be left. Other threads are not watched: strace counts the calls of each on its own,
/// so that an interrupt could come from several, and the second one ends the build at once.
fn interrupted(bench: &Bench, call: &str, when: u32, args: &str) {
    let before = bench.names();
    // What does not stop for the interrupt is ended by `timeout`, with another code.
    let mut strace = Command::new("timeout");
    strace
        .args(["60", "strace", "-qq", "-o", "/dev/null"])
        .args(["-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:signal=INT:when={when}")])
        .arg(env!("CARGO_BIN_EXE_nx"))
        .args(format!("image build --profile dev {args} --out i.img").split(' '))
        .args(["--manifest", "i.json", "--json"])
        .current_dir(bench.0.path());
    let run = Run::of(&mut strace);
    assert_eq!(
        (run.code, bench.reason(&run)),
        (7, "run.interrupted".into()),
        "{run:#?}"
    );
    assert_eq!(bench.names(), before);
}

#[test]
fn interrupted_a_build_leaves_nothing() {
    interrupted(&Bench::new(), "pwrite64", 2, "--kernel kernel");
}

/// To pack or to compare 1 TiB takes minutes, holes or not.
#[test]
fn interrupted_while_a_directory_is_packed_a_build_ends_soon() {
    let bench = Bench::new();
    let huge = fs::File::create(bench.path("rootfs/huge")).unwrap();
    huge.set_len(1 << 40).unwrap();
    // Other threads read, and this one wakes them.
    interrupted(&bench, "futex", 100, "--rootfs rootfs");
}
