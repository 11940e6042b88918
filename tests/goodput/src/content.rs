//! What is in the images that are sent.

use std::fs;
use std::path::{Path, PathBuf};

use flash_matrix::random_bytes;

/// What an image is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing that can be packed.
    Random,
    /// Three quarters of this project's sources, one quarter zero pages, in runs of 1 to 32 pages.
    SourceAndZeros,
}

const PAGE_BYTES: usize = 4_096;
/// Pages in the longest run.
const RUN_PAGES: usize = 32;

impl Content {
    /// So many bytes of it.
    pub fn bytes(self, len: usize) -> Vec<u8> {
        match self {
            Self::Random => random_bytes(len, 3),
            Self::SourceAndZeros => source_and_zeros(len),
        }
    }
}

fn source_and_zeros(len: usize) -> Vec<u8> {
    let sources = sources();
    let text_len = len - len / 4;
    assert!(sources.len() >= text_len, "{} bytes", sources.len());
    let mut text = &sources[..text_len];
    let mut zero_pages = (len - text_len) / PAGE_BYTES;
    let mut bytes = Vec::with_capacity(len);
    for drawn in random_bytes(len, 5) {
        let run = usize::from(drawn) % RUN_PAGES + 1;
        let zeros = run.min(zero_pages);
        zero_pages -= zeros;
        // Three times as much text as zeros, after each run.
        let text_run = (3 * run * PAGE_BYTES).min(text.len());
        let (front, rest) = text.split_at(text_run);
        text = rest;
        bytes.extend(front);
        bytes.resize(bytes.len() + zeros * PAGE_BYTES, 0);
    }
    assert_eq!(bytes.len(), len);
    bytes
}

/// Every source of the workspace, one after the other, sorted by path.
fn sources() -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for folder in ["crates", "tools", "tests"] {
        collect(&root.join(folder), &mut files);
    }
    files.sort();
    let read = |path: &PathBuf| fs::read(path).expect("a source can be read");
    files.iter().flat_map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("a folder of sources").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
