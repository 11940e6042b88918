//! Whatever happens to an image, its manifest or its signature, verification says so, and where.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

mod bytes;

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use bytes::noise;
use nx_image::build::{Build, Report};
use nx_image::key::SigningKey;
use nx_image::manifest::{Manifest, Profile, Table};
use nx_image::verify::{Damage, Depth, Files, Looks, VerifyError, verify};
use tempfile::TempDir;

/// A signed image and its files.
struct Image {
    dir: TempDir,
    key: SigningKey,
    report: Report,
}

impl Image {
    fn build(table: Table, block_size: u32, segments: &[(&str, Vec<u8>)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::from_seed(&noise(32, 9).try_into().unwrap()).unwrap();
        let mut build = Build::new(Profile::Dev);
        build.table = table;
        build.block_size = block_size;
        for (name, bytes) in segments {
            let path = dir.path().join(name);
            fs::write(&path, bytes).unwrap();
            match *name {
                "kernel" => build.kernel = Some(path),
                "pkgfs" => build.pkgfs = Some(path),
                other => panic!("{other}"),
            }
        }
        let [image, manifest, signature] =
            ["os.img", "os.json", "os.sig"].map(|name| dir.path().join(name));
        let report = build
            .write(&image, &manifest, &signature, Some(&key), &mut |_| {})
            .unwrap();
        Self { dir, key, report }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self) -> File {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.path("os.img"))
            .unwrap()
    }

    fn verify(&self) -> Result<(), VerifyError> {
        let [image, manifest, signature] =
            ["os.img", "os.json", "os.sig"].map(|name| self.path(name));
        let files = Files {
            image: &image,
            manifest: &manifest,
            signature: &signature,
        };
        verify(
            &files,
            &[self.key.public_key()],
            false,
            Depth::Blocks,
            &mut |_, _| {},
        )
        .map(|_| ())
    }

    /// Where a segment starts.
    fn start(&self, name: &str) -> u64 {
        self.report.manifest.segment(name).unwrap().1.offset
    }

    /// The damage after these bytes were written over the image; the image is good again then.
    fn damage(&self, at: u64, bytes: &[u8]) -> (String, Damage) {
        let file = self.file();
        let mut old = vec![0; bytes.len()];
        file.read_exact_at(&mut old, at).unwrap();
        file.write_all_at(bytes, at).unwrap();
        let damage = match self.verify() {
            Err(VerifyError::Segment { segment, damage }) => (segment, damage),
            other => panic!("{other:?}"),
        };
        file.write_all_at(&old, at).unwrap();
        self.verify().unwrap();
        damage
    }
}

const BLOCK: usize = 64 * 1024;

fn large() -> Image {
    let mut pkgfs = noise(2 * BLOCK + 1_000, 2);
    // A block of nothing, as file systems have.
    pkgfs[BLOCK..2 * BLOCK].fill(0);
    Image::build(
        Table::Gpt,
        BLOCK as u32,
        &[("kernel", noise(5 * BLOCK + 77, 1)), ("pkgfs", pkgfs)],
    )
}

#[test]
fn damage_is_named_for_what_it_looks_like() {
    let image = large();
    let kernel = image.start("kernel");
    let at = kernel + 3 * BLOCK as u64;
    let original = noise(5 * BLOCK + 77, 1);
    let block = &original[3 * BLOCK..4 * BLOCK];

    let mut flipped = block[1_234];
    flipped ^= 1 << 6;
    let mut few = block[100..103].to_vec();
    few[0] ^= 0xff;
    few[2] ^= 0x01;
    let cases: [(u64, Vec<u8>, Looks); 6] = [
        (at, vec![0; BLOCK], Looks::Zeros),
        (at, vec![0xff; BLOCK], Looks::Erased),
        (
            at + 1_234,
            vec![flipped],
            Looks::BitFlip {
                offset: at + 1_234,
                bit: 6,
            },
        ),
        (
            at + 100,
            few.clone(),
            Looks::Bytes {
                offset: at + 100,
                want: block[100..103].to_vec(),
                got: few,
            },
        ),
        (
            at,
            original[..BLOCK].to_vec(),
            Looks::OtherBlock {
                segment: "kernel".into(),
                block: 0,
            },
        ),
        (at, noise(BLOCK, 77), Looks::Changed),
    ];
    for (offset, bytes, looks) in cases {
        let (segment, damage) = image.damage(offset, &bytes);
        assert_eq!(segment, "kernel");
        assert_eq!(damage.block, Some((3, at)), "{damage}");
        assert_eq!(damage.bad_blocks, Some(1), "{damage}");
        assert_eq!(damage.looks, looks, "{damage}");
    }
}

#[test]
fn the_first_of_many_bad_blocks_is_named_and_all_are_counted() {
    let image = large();
    let kernel = image.start("kernel");
    let (segment, damage) = image.damage(kernel + BLOCK as u64 - 1, &vec![0x5a; 2 * BLOCK]);
    assert_eq!(segment, "kernel");
    assert_eq!(damage.block, Some((0, kernel)));
    assert_eq!(damage.bad_blocks, Some(3));
    // The last block is short.
    let last = kernel + 5 * BLOCK as u64;
    let (_, damage) = image.damage(
        last + 76,
        &[noise(5 * BLOCK + 77, 1)[5 * BLOCK + 76] ^ 0x80],
    );
    assert_eq!(damage.block, Some((5, last)));
    assert_eq!(
        damage.looks,
        Looks::BitFlip {
            offset: last + 76,
            bit: 7
        }
    );
}

#[test]
fn a_table_is_a_segment_like_any_other() {
    let image = large();
    let backup = image.start("gpt-backup");
    let (segment, damage) = image.damage(backup + 5, &[0xee]);
    assert_eq!(
        (segment.as_str(), damage.block),
        ("gpt-backup", Some((0, backup)))
    );
    let (segment, _) = image.damage(510, &[0]);
    assert_eq!(segment, "gpt");
    // State is checked too: as long as no device has it, nothing in it is a user's.
    let (segment, _) = image.damage(image.start("state"), &[0]);
    assert_eq!(segment, "state");
}

#[test]
fn the_earliest_damage_is_reported() {
    let image = large();
    let file = image.file();
    let gap = image.start("kernel") - 1;
    file.write_all_at(&[1], gap).unwrap();
    file.write_all_at(&[1], image.start("pkgfs") + 70_000)
        .unwrap();
    assert!(matches!(image.verify(), Err(VerifyError::Gap { offset }) if offset == gap));
    file.write_all_at(&[0], gap).unwrap();
    match image.verify() {
        Err(VerifyError::Segment { segment, damage }) => {
            assert_eq!(segment, "pkgfs");
            assert_eq!(damage.block.unwrap().0, 1);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_block_digests_nothing_is_claimed_about_blocks() {
    let image = large();
    let kernel = image.start("kernel");
    fs::remove_file(image.path("os.blocks")).unwrap();
    image.verify().unwrap();
    let (segment, damage) = image.damage(kernel + 5, &[0]);
    assert_eq!(segment, "kernel");
    assert_eq!((damage.block, damage.bad_blocks), (None, None));
    assert_eq!(damage.looks, Looks::Changed);
    let (_, damage) = image.damage(kernel, &vec![0; 5 * BLOCK + 77]);
    assert_eq!(damage.looks, Looks::Zeros);
    // A segment of one block has only one that can be bad.
    let backup = image.start("gpt-backup");
    let (_, damage) = image.damage(backup, &[1]);
    assert_eq!(damage.block, Some((0, backup)));
}

#[test]
fn block_digests_that_prove_nothing_are_not_used() {
    let image = large();
    let kernel = image.start("kernel");
    let good = fs::read(image.path("os.blocks")).unwrap();
    let blocks = good.len() / 36;
    // Any digest changed, a digest missing, one too many: as if the file were not there.
    for at in (0..blocks * 32).step_by(31) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(image.path("os.blocks"), bad).unwrap();
        assert_eq!(image.damage(kernel + 5, &[0]).1.block, None, "byte {at}");
    }
    for bad in [&good[36..], &[good.as_slice(), &[0; 36]].concat(), b""] {
        fs::write(image.path("os.blocks"), bad).unwrap();
        assert_eq!(image.damage(kernel + 5, &[0]).1.block, None);
    }
    // A wrong checksum costs the detail and not the block, and invents nothing.
    let mut bad = good.clone();
    bad[blocks * 32..].iter_mut().for_each(|byte| *byte ^= 0x55);
    fs::write(image.path("os.blocks"), bad).unwrap();
    let damage = image.damage(kernel + 5, &[noise(10, 1)[5] ^ 1]).1;
    assert_eq!(damage.block, Some((0, kernel)));
    assert_eq!(damage.looks, Looks::Changed);
}

/// 8 KiB: a kernel, a gap, a state header.
fn small() -> Image {
    Image::build(Table::None, 4_096, &[("kernel", noise(100, 1))])
}

#[test]
fn every_changed_byte_is_found_and_named() {
    let image = small();
    let file = image.file();
    let good = fs::read(image.path("os.img")).unwrap();
    assert_eq!(good.len(), 8_192);
    for (at, byte) in good.iter().enumerate() {
        let offset = at as u64;
        file.write_all_at(&[byte ^ 0x10], offset).unwrap();
        match (at, image.verify()) {
            (100..4_096, Err(VerifyError::Gap { offset: found })) => assert_eq!(found, offset),
            (_, Err(VerifyError::Segment { segment, damage })) => {
                let want = if at < 100 { "kernel" } else { "state" };
                assert_eq!(segment, want, "byte {at}");
                assert_eq!(damage.looks, Looks::BitFlip { offset, bit: 4 }, "byte {at}");
            }
            (_, other) => panic!("byte {at}: {other:?}"),
        }
        file.write_all_at(&[*byte], offset).unwrap();
    }
    image.verify().unwrap();
}

#[test]
fn every_truncation_is_found_and_named() {
    let image = small();
    let file = image.file();
    for len in (0..8_192).rev() {
        file.set_len(len).unwrap();
        match (len, image.verify()) {
            (_, Err(VerifyError::Segment { segment, damage })) => {
                let want = if len < 100 { "kernel" } else { "state" };
                assert_eq!(segment, want, "{len} bytes");
                assert_eq!(damage.looks, Looks::Truncated, "{len} bytes");
            }
            (_, other) => panic!("{len} bytes: {other:?}"),
        }
    }
}

#[test]
fn what_trails_is_found_even_if_it_is_zero() {
    let image = small();
    for extra in [1, 4_096] {
        image.file().set_len(8_192 + extra).unwrap();
        let found = image.verify();
        assert!(
            matches!(found, Err(VerifyError::Length { got, want: 8_192 }) if got == 8_192 + extra),
            "{found:?}"
        );
    }
}

#[test]
fn every_changed_bit_of_manifest_and_signature_is_found() {
    let image = small();
    for name in ["os.json", "os.sig"] {
        let good = fs::read(image.path(name)).unwrap();
        let file = OpenOptions::new()
            .write(true)
            .open(image.path(name))
            .unwrap();
        for bit in 0..good.len() * 8 {
            let (at, byte) = ((bit / 8) as u64, good[bit / 8]);
            file.write_all_at(&[byte ^ (1 << (bit % 8))], at).unwrap();
            let found = image.verify();
            assert!(
                matches!(found, Err(VerifyError::Signature(_))),
                "{name}, bit {bit}: {found:?}"
            );
            file.write_all_at(&[byte], at).unwrap();
        }
        for len in (0..good.len()).rev() {
            file.set_len(len as u64).unwrap();
            assert!(image.verify().is_err(), "{len} bytes of {name}");
        }
        fs::write(image.path(name), [&*good, &[0]].concat()).unwrap();
        assert!(image.verify().is_err(), "{name} with a tail");
        fs::write(image.path(name), good).unwrap();
    }
    image.verify().unwrap();
}

#[test]
fn a_manifest_that_contradicts_itself_is_no_good_even_if_signed() {
    let image = small();
    let sign = |change: &dyn Fn(&mut Manifest)| {
        let mut manifest = image.report.manifest.clone();
        change(&mut manifest);
        let bytes = manifest.encode();
        fs::write(image.path("os.json"), &bytes).unwrap();
        fs::write(image.path("os.sig"), image.key.sign(&bytes)).unwrap();
        image.verify()
    };
    sign(&|_| {}).unwrap();
    let root = sign(&|manifest| manifest.segments[0].block_root = manifest.segments[1].block_root);
    assert!(
        matches!(&root, Err(VerifyError::BlockRoot { segment }) if segment == "kernel"),
        "{root:?}"
    );
    let whole = sign(&|manifest| manifest.image.sha256 = manifest.segments[0].sha256);
    assert!(matches!(whole, Err(VerifyError::Image)), "{whole:?}");
    // A segment declared shorter than it is: its tail would be under no digest.
    let tail = sign(&|manifest| manifest.segments[0].size -= 1);
    assert!(
        matches!(
            tail,
            Err(VerifyError::Segment { .. } | VerifyError::Gap { .. })
        ),
        "{tail:?}"
    );
    let beyond = sign(&|manifest| manifest.image.size += 64);
    assert!(
        matches!(beyond, Err(VerifyError::Manifest(_))),
        "{beyond:?}"
    );
}

#[test]
fn a_key_or_a_word_is_needed() {
    let image = small();
    let [path, manifest, signature] = ["os.img", "os.json", "os.sig"].map(|name| image.path(name));
    let files = Files {
        image: &path,
        manifest: &manifest,
        signature: &signature,
    };
    let other = SigningKey::from_seed(&noise(32, 10).try_into().unwrap()).unwrap();
    let check = |keys: &[_], unsigned| verify(&files, keys, unsigned, Depth::Bytes, &mut |_, _| {});
    assert!(matches!(check(&[], false), Err(VerifyError::Signature(_))));
    assert!(check(&[], true).unwrap().signed_by.is_none());
    // Who names a key wants it checked, whatever else is said.
    for unsigned in [false, true] {
        let refused = check(&[other.public_key()], unsigned);
        assert!(matches!(refused, Err(VerifyError::Signature(_))));
    }
    let keys = [other.public_key(), image.key.public_key()];
    let verified = check(&keys, false).unwrap();
    assert_eq!(
        verified.signed_by,
        Some(image.key.public_key().fingerprint())
    );
    assert_eq!(verified.manifest, image.report.manifest);
}
