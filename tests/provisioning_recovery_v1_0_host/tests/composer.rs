//! Composer: a two-segment image has a manifest and a signature that verify, and a hash that
//! is stable across runs.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::Path;

use nx_image::build::Build;
use nx_image::key::SigningKey;
use nx_image::manifest::{Manifest, Profile};
use nx_image::verify::{Depth, Files, verify};

fn build(dir: &Path) -> (Manifest, Vec<u8>) {
    fs::write(dir.join("kernel"), vec![0x4b; 70_000]).unwrap();
    fs::write(dir.join("pkgfs"), vec![0x70; 5_000]).unwrap();
    let mut build = Build::new(Profile::Dev);
    build.board = "virt".to_owned();
    build.kernel = Some(dir.join("kernel"));
    build.pkgfs = Some(dir.join("pkgfs"));
    let key = SigningKey::from_seed(&[3; 32]).unwrap();
    let [image, manifest, signature] = ["os.img", "os.json", "os.sig"].map(|name| dir.join(name));
    let report = build
        .write(&image, &manifest, &signature, Some(&key), &mut |_| {})
        .unwrap();
    let files = Files {
        image: &image,
        manifest: &manifest,
        signature: &signature,
    };
    let verified = verify(
        &files,
        &[key.public_key()],
        false,
        Depth::Blocks,
        &mut |_, _| {},
    )
    .unwrap();
    assert_eq!(verified.manifest, report.manifest);
    assert_eq!(verified.signed_by, Some(key.public_key().fingerprint()));
    assert_eq!(fs::read(&signature).unwrap().len(), 64);
    (verified.manifest, fs::read(&image).unwrap())
}

#[test]
fn two_segments_verify_and_hash_the_same_in_every_run() {
    let runs = [(); 3].map(|()| {
        let dir = tempfile::tempdir().unwrap();
        build(dir.path())
    });
    assert!(runs.iter().all(|run| *run == runs[0]));
    let names: Vec<&str> = runs[0].0.segments.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["gpt", "kernel", "pkgfs", "state", "gpt-backup"]);
    // A change of this digest is a change of every image that anybody ever built.
    let golden = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/two-segments.sha256"),
    );
    assert_eq!(runs[0].0.image.sha256.to_string(), golden.unwrap().trim());
}
