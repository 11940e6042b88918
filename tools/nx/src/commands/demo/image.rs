//! The image of the demonstration, from inputs that are made for it.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nx_image::build::Build;
use nx_image::key::SigningKey;
use nx_image::{Profile, PublicKey};

use crate::error::NxError;
use crate::reason::Reason;

/// Length of the kernel's stand-in, in bytes.
const KERNEL_BYTES: usize = 900_000;
/// Length of the package file system's stand-in, in bytes.
const PKGFS_BYTES: usize = 1_500_000;
/// Length of a program in the root file system, in bytes.
const PROGRAM_BYTES: usize = 700_000;
/// Block size of the image, in bytes: small, so that a small image has many.
const BLOCK_BYTES: u32 = 32 * 1024;

/// Length of the state partition, in bytes.
const STATE_BYTES: u64 = 1024 * 1024;

/// An image and what belongs to it.
pub(super) struct Made {
    pub(super) image: PathBuf,
    pub(super) manifest: PathBuf,
    pub(super) signature: PathBuf,
    pub(super) key: PublicKey,
}

/// Makes the inputs and a key, and builds the image in `folder`.
///
/// # Errors
/// When the system does not let us.
pub(super) fn build(folder: &Path) -> Result<Made, NxError> {
    let inputs = folder.join("inputs");
    make_inputs(&inputs).map_err(|error| failed(&error))?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| failed(&error))?;
    let signer = SigningKey::from_seed(&seed).map_err(|error| failed(&error))?;
    let made = Made {
        image: folder.join("os.img"),
        manifest: folder.join("os.json"),
        signature: folder.join("os.sig"),
        key: signer.public_key(),
    };
    let mut build = Build::new(Profile::Dev);
    build.board = "demo".to_owned();
    build.image_version = "1.0.0".to_owned();
    build.block_size = BLOCK_BYTES;
    build.state_bytes = STATE_BYTES;
    build.kernel = Some(inputs.join("kernel"));
    build.initrd = Some(inputs.join("initrd"));
    build.rootfs = Some(inputs.join("rootfs"));
    build.pkgfs = Some(inputs.join("pkgfs.img"));
    build
        .write(
            &made.image,
            &made.manifest,
            &made.signature,
            Some(&signer),
            &mut |_| {},
        )
        .map_err(|error| failed(&error))?;
    Ok(made)
}

fn failed(error: &(dyn Error + 'static)) -> NxError {
    NxError::of(Reason::InternalUnexpected, error)
        .hint("a folder with 20 MiB of room in it as TMPDIR")
}

fn make_inputs(folder: &Path) -> io::Result<()> {
    let (initrd, rootfs) = (folder.join("initrd"), folder.join("rootfs"));
    fs::create_dir_all(initrd.join("etc"))?;
    fs::create_dir_all(rootfs.join("bin"))?;
    fs::create_dir_all(rootfs.join("etc"))?;
    fs::write(folder.join("kernel"), incompressible(KERNEL_BYTES, 1))?;
    fs::write(folder.join("pkgfs.img"), incompressible(PKGFS_BYTES, 2))?;
    fs::write(initrd.join("init"), "#!/bin/sh\nexec /bin/recovery\n")?;
    fs::write(initrd.join("etc/hostname"), "recovery\n")?;
    fs::write(rootfs.join("etc/hostname"), "demo\n")?;
    fs::write(
        rootfs.join("etc/os-release"),
        "NAME=demo\nVERSION_ID=1.0.0\n",
    )?;
    fs::write(rootfs.join("bin/app"), incompressible(PROGRAM_BYTES, 3))?;
    Ok(())
}

/// Bytes that nothing makes smaller, and the same on every run (xorshift64).
fn incompressible(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(len).collect()
}
