//! What all runs share: the programs, a key pair and two images.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Result, Trouble};
use crate::process::{Ended, Running};
use crate::room::Room;
use crate::watch::Watch;

/// Programs and inputs; nothing in it changes after it was made.
#[derive(Debug)]
pub(crate) struct World {
    /// The host tool.
    pub(crate) nx: PathBuf,
    /// The daemon.
    pub(crate) flashd: PathBuf,
    room: Room,
}

/// Length of a block of the images, in bytes: small, so that a short image has several.
const BLOCK: &str = "4KiB";

impl World {
    /// Finds the programs in `folder`, and makes the images.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let world = Self {
            nx: folder.join("nx"),
            flashd: folder.join("flashd"),
            room: Room::new()?,
        };
        let path = |name| world.asset(name);
        let keys = [
            "--out".into(),
            path("os.key"),
            "--pub".into(),
            path("os.pub"),
        ];
        world.must(&["image", "keygen"], &keys)?;
        world.write("pkgfs", &noise(5_000, 1))?;
        // As many blocks each, so that the state has its place in both.
        for (image, kernel_bytes, seed) in [("old", 9_000, 2), ("new", 11_000, 3)] {
            let kernel = noise(kernel_bytes, seed);
            world.write(&format!("{image}.kernel"), &kernel)?;
            world.build(image)?;
        }
        Ok(world)
    }

    fn build(&self, image: &str) -> Result<()> {
        let of = |ending: &str| self.asset(&format!("{image}.{ending}"));
        let args = [
            ("--kernel", of("kernel")),
            ("--pkgfs", self.asset("pkgfs")),
            ("--out", of("img")),
            ("--manifest", of("json")),
            ("--sign", self.asset("os.key")),
        ];
        let args = args.map(|(option, path)| [PathBuf::from(option), path]);
        let fixed = ["image", "build", "--profile", "dev", "--table", "none"];
        let sized = [
            &fixed[..],
            &["--block-size", BLOCK, "--image-version", image],
        ]
        .concat();
        self.must(&sized, args.as_flattened())
    }

    /// Where an input is.
    pub(crate) fn asset(&self, name: &str) -> PathBuf {
        self.room.work().join(name)
    }

    /// The folder of all inputs.
    pub(crate) fn assets(&self) -> PathBuf {
        self.room.work()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.asset(name);
        fs::write(&path, bytes).map_err(Trouble::io("write", path))
    }

    fn must(&self, words: &[&str], paths: &[PathBuf]) -> Result<()> {
        let mut command = Watch::Not.command(&self.nx);
        command.args(words).args(paths);
        let ended = Running::start(command, &self.room, "world")?.wait();
        if ended.is_success() {
            return Ok(());
        }
        Err(Trouble::plain(&words.join(" "), ended.err))
    }

    /// `nx` with these arguments, watched, not yet started.
    pub(crate) fn nx<S: AsRef<OsStr>>(&self, watch: &Watch<'_>, args: &[S]) -> Command {
        let mut command = watch.command(&self.nx);
        command.args(args);
        command
    }

    /// Runs `nx` to its end.
    pub(crate) fn run_nx<S: AsRef<OsStr>>(
        &self,
        room: &Room,
        watch: &Watch<'_>,
        args: &[S],
    ) -> Result<Ended> {
        Ok(Running::start(self.nx(watch, args), room, "nx")?.wait())
    }
}

/// Bytes that do not compress, the same ones for the same seed.
pub(crate) fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(bytes).collect()
}
