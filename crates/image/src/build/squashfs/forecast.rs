use crate::build::tree::{Kind, Tree};

/// Bytes that the library will read, and want compressed as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// So many bytes of an entry's file, from an offset on.
    Of(usize, u64, usize),
    /// All bytes of the files of these entries, of which there is at least one.
    Small(Vec<usize>),
}

impl Block {
    /// The entry whose file is read first, and from where.
    pub(super) fn start(&self) -> (usize, u64) {
        match self {
            Self::Of(entry, offset, _) => (*entry, *offset),
            Self::Small(entries) => (entries.first().copied().unwrap_or(0), 0),
        }
    }
}

/// The blocks of a tree, in the order in which their first bytes are read.
#[derive(Debug)]
pub(super) struct Forecast<'a> {
    tree: &'a Tree,
    block_size: usize,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    /// A file of at least one block.
    Large(usize),
    /// Files that share a block.
    Small(Vec<usize>),
}

impl<'a> Forecast<'a> {
    /// Knows what the library does: files in order; one of less than a block goes into the open
    /// group of small files, if it has room there, and else begins the next.
    pub(super) fn of(tree: &'a Tree, block_size: usize) -> Self {
        let mut parts = Vec::new();
        // Index and length of the open group.
        let mut group = None;
        for (index, entry) in tree.entries.iter().enumerate() {
            let Kind::File { size } = entry.kind else {
                continue;
            };
            match usize::try_from(size) {
                Ok(0) => {}
                Ok(size) if size < block_size => {
                    let (at, filled) = match group {
                        Some((at, filled)) if size <= block_size.saturating_sub(filled) => {
                            (at, filled)
                        }
                        _ => {
                            parts.push(Part::Small(Vec::new()));
                            (parts.len().saturating_sub(1), 0)
                        }
                    };
                    if let Some(Part::Small(entries)) = parts.get_mut(at) {
                        entries.push(index);
                    }
                    group = Some((at, filled.saturating_add(size)));
                }
                _ => parts.push(Part::Large(index)),
            }
        }
        Self {
            tree,
            block_size,
            parts,
        }
    }

    /// All blocks.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Block> {
        self.parts.iter().flat_map(|part| match part {
            Part::Small(entries) => Blocks::One(Some(Block::Small(entries.clone()))),
            Part::Large(entry) => Blocks::Of {
                entry: *entry,
                left: self.size(*entry),
                offset: 0,
                block_size: self.block_size,
            },
        })
    }

    fn size(&self, entry: usize) -> u64 {
        match self.tree.entries.get(entry).map(|entry| &entry.kind) {
            Some(Kind::File { size }) => *size,
            _ => 0,
        }
    }
}

/// The blocks of one part.
enum Blocks {
    One(Option<Block>),
    Of {
        entry: usize,
        left: u64,
        offset: u64,
        block_size: usize,
    },
}

impl Iterator for Blocks {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        match self {
            Self::One(block) => block.take(),
            Self::Of { left: 0, .. } => None,
            Self::Of {
                entry,
                left,
                offset,
                block_size,
            } => {
                let len = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(*block_size);
                let block = Block::Of(*entry, *offset, len);
                *left = left.saturating_sub(len as u64);
                *offset = offset.saturating_add(len as u64);
                Some(block)
            }
        }
    }
}
