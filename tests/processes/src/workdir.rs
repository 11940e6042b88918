//! A folder per test, and the parts that real images are made of.

use std::path::{Path, PathBuf};

/// A folder that goes with the test. Its path is short: sockets have to fit in 108 bytes.
#[derive(Debug)]
pub struct Workdir(tempfile::TempDir);

impl Workdir {
    /// A new, empty one.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("nx").tempdir_in("/tmp");
        Self(dir.unwrap_or_else(|error| unusable(&error)))
    }

    /// The path of something in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file with `len` bytes of a fixed pseudo-random sequence.
    pub fn random_file(&self, name: &str, len: usize, seed: u64) -> PathBuf {
        let path = self.path(name);
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .take(len.div_ceil(8))
        .flatten()
        .take(len)
        .collect();
        if let Err(error) = std::fs::write(&path, bytes) {
            unusable(&error)
        }
        path
    }
}

impl Default for Workdir {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(clippy::panic, reason = "a test cannot go on without its folder")]
fn unusable(error: &std::io::Error) -> ! {
    panic!("no folder to test in: {error}")
}

/// Where `cargo xtask parts` has put the kernel and the other real inputs.
#[expect(
    clippy::panic,
    reason = "the message is what tells the reader what to do"
)]
pub fn parts_dir() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/parts");
    let dir = std::env::var_os("NX_PARTS").map_or(default, PathBuf::from);
    if !dir.is_dir() {
        panic!("the real inputs are missing: run `cargo xtask parts` first");
    }
    dir
}
