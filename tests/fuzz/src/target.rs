use std::fs;
use std::path::{Path, PathBuf};

use crate::TARGETS;

/// One parser, or one machine, that takes bytes of anyone.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is that of its file in `corpus/`.
    pub name: &'static str,
    /// Longest input that is worth trying, in bytes.
    pub bytes_max: usize,
    /// Tries an input; whether it was taken for what it claims to be. Panics are what we look for.
    pub run: fn(&[u8]) -> bool,
    /// Inputs to begin with: well-formed ones, so that the engine need not guess formats.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

impl Target {
    /// The target with this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// The file of its corpus.
    pub fn corpus_file(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(self.name)
            .with_extension("hex")
    }

    /// Its corpus: one input a line, in hexadecimal digits.
    pub fn corpus(&self) -> Vec<Vec<u8>> {
        let path = self.corpus_file();
        let text = fs::read_to_string(&path).unwrap_or_else(|error| {
            panic!("{}: {error}", path.display());
        });
        text.lines().map(from_hex).collect()
    }
}

fn from_hex(line: &str) -> Vec<u8> {
    assert!(
        line.len().is_multiple_of(2),
        "half a byte in a corpus: {line}"
    );
    let digits = (0..line.len()).step_by(2).map(|at| &line[at..at + 2]);
    digits
        .map(|byte| u8::from_str_radix(byte, 16).expect("hexadecimal digits in a corpus"))
        .collect()
}
