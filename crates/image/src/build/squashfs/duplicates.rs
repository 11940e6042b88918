use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::BLOCK_BYTES;
use super::threads::on_every_processor;
use crate::build::error::BuildError;
use crate::build::tree::{Kind, Tree};
use crate::digest::Digest;

/// Files that a thread takes at once.
const BATCH: usize = 16;

/// Files that are equal to an earlier one, of which a file system keeps the content once.
#[derive(Debug, Default)]
pub(super) struct Duplicates(BTreeMap<usize, usize>);

impl Duplicates {
    /// Finds them by size, then by SHA-256 of the first block, then by that of all. Most files
    /// are read by nobody here, because no other has their size.
    pub(super) fn find(tree: &Tree) -> Result<Self, BuildError> {
        let mut sizes: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (index, entry) in tree.entries.iter().enumerate() {
            match entry.kind {
                Kind::File { size } if size > 0 => sizes.entry(size).or_default().push(index),
                _ => {}
            }
        }
        let alike = several(sizes);
        let alike = by_digest(tree, alike, BLOCK_BYTES as u64)?;
        let (short, long): (Vec<_>, Vec<_>) = alike.into_iter().partition(|entries| {
            let size = entries.first().map_or(0, |first| tree.size(*first));
            size <= BLOCK_BYTES as u64
        });
        let mut equal = by_digest(tree, long, u64::MAX)?;
        equal.extend(short);
        let others = equal.iter().filter_map(|entries| entries.split_first());
        Ok(Self(
            others
                .flat_map(|(first, others)| others.iter().map(|other| (*other, *first)))
                .collect(),
        ))
    }

    /// The first entry with the same content, if that is another one.
    pub(super) fn first_of(&self, entry: usize) -> Option<usize> {
        self.0.get(&entry).copied()
    }
}

/// Groups of at least two.
fn several<K>(groups: BTreeMap<K, Vec<usize>>) -> Vec<Vec<usize>> {
    groups
        .into_values()
        .filter(|entries| entries.len() > 1)
        .collect()
}

/// Splits groups by the digest of the first `bytes` bytes.
fn by_digest(
    tree: &Tree,
    groups: Vec<Vec<usize>>,
    bytes: u64,
) -> Result<Vec<Vec<usize>>, BuildError> {
    let files: Vec<_> = groups
        .iter()
        .enumerate()
        .flat_map(|(group, entries)| entries.iter().map(move |entry| (group, *entry)))
        .collect();
    let next = AtomicUsize::new(0);
    let batches = files.len().div_ceil(BATCH);
    let digested = on_every_processor(batches, || {
        let mut buffer = vec![0; BLOCK_BYTES];
        let mut digested = Vec::new();
        loop {
            let batch = next.fetch_add(1, Ordering::Relaxed);
            let files = files.chunks(BATCH).nth(batch);
            let Some(files) = files else {
                return Ok(digested);
            };
            for (group, entry) in files {
                match digest(tree, *entry, bytes, &mut buffer) {
                    Ok(digest) => digested.push((*entry, (*group, digest))),
                    Err(error) => {
                        next.store(batches, Ordering::Relaxed);
                        return Err((batch, error));
                    }
                }
            }
        }
    })?;
    let mut digested: Vec<_> = digested.into_iter().flatten().collect();
    digested.sort_unstable();
    let mut split: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (entry, key) in digested {
        split.entry(key).or_default().push(entry);
    }
    Ok(several(split))
}

fn digest(tree: &Tree, entry: usize, bytes: u64, buffer: &mut [u8]) -> Result<Digest, BuildError> {
    let size = tree.size(entry).min(bytes);
    tree.stop.check()?;
    let file = tree.open_unchanged(entry)?;
    let mut hasher = Digest::hasher();
    let mut at = 0_u64;
    while at < size {
        let len = usize::try_from(size.saturating_sub(at))
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let piece = buffer.get_mut(..len).unwrap_or_default();
        match file.read_exact_at(piece, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(tree.changed(entry));
            }
            other => other.map_err(|error| BuildError::io("read", &tree.full(entry))(error))?,
        }
        hasher.update(piece);
        at = at.saturating_add(len as u64);
    }
    tree.check_unchanged(entry, &file)?;
    Ok(hasher.finish())
}
