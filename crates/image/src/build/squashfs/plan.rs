use std::ops::Range;

use super::BLOCK_BYTES;
use super::duplicates::Duplicates;
use crate::build::tree::{Kind, Tree};

/// Bytes that are read, compressed and stored as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// The block with this number of an entry's file.
    Block(usize, u64),
    /// All bytes of some small files, one after the other: these of [`Plan::small`].
    Group(Range<usize>),
}

/// Where the content of an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It has none.
    Nowhere,
    /// In these pieces, which are its blocks.
    Blocks(Range<usize>),
    /// In the group with this number, from this byte on.
    Share(usize, usize),
}

/// What a file system will hold, and where. It follows from the sizes of the files and from which
/// of them are equal.
#[derive(Debug)]
pub(super) struct Plan {
    /// In the order in which they are stored.
    pub(super) pieces: Vec<Piece>,
    /// Entries whose files share blocks.
    pub(super) small: Vec<usize>,
    /// Of each entry.
    pub(super) places: Vec<Place>,
    /// The piece that each group is.
    pub(super) groups: Vec<usize>,
}

impl Plan {
    /// Files of at least one block have blocks of their own. A smaller one goes into the open
    /// group, if it has room there, and else begins the next. Of equal files only the first has
    /// a content.
    pub(super) fn of(tree: &Tree, duplicates: &Duplicates) -> Self {
        let mut plan = Self {
            pieces: Vec::new(),
            small: Vec::new(),
            places: vec![Place::Nowhere; tree.entries.len()],
            groups: Vec::new(),
        };
        // The first file of the open group in `small`, and its length in bytes.
        let (mut first, mut filled) = (0, 0_usize);
        for (index, entry) in tree.entries.iter().enumerate() {
            let Kind::File { size } = entry.kind else {
                continue;
            };
            let place = match (duplicates.first_of(index), usize::try_from(size)) {
                (Some(same), _) => plan.places.get(same).cloned(),
                (None, Ok(0)) => None,
                (None, Ok(len)) if len < BLOCK_BYTES => {
                    if len > BLOCK_BYTES.saturating_sub(filled) {
                        plan.end_group(first);
                        (first, filled) = (plan.small.len(), 0);
                    }
                    let share = Place::Share(plan.groups.len(), filled);
                    plan.small.push(index);
                    filled = filled.saturating_add(len);
                    Some(share)
                }
                _ => {
                    let blocks = 0..size.div_ceil(BLOCK_BYTES as u64);
                    let from = plan.pieces.len();
                    plan.pieces
                        .extend(blocks.map(|number| Piece::Block(index, number)));
                    Some(Place::Blocks(from..plan.pieces.len()))
                }
            };
            if let (Some(place), Some(of)) = (place, plan.places.get_mut(index)) {
                *of = place;
            }
        }
        plan.end_group(first);
        plan
    }

    /// The entry that a piece begins with.
    pub(super) fn first_in(&self, piece: &Piece) -> Option<usize> {
        match piece {
            Piece::Block(entry, _) => Some(*entry),
            Piece::Group(files) => self.small.get(files.start).copied(),
        }
    }

    fn end_group(&mut self, first: usize) {
        if first < self.small.len() {
            self.groups.push(self.pieces.len());
            self.pieces.push(Piece::Group(first..self.small.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::build::Build;
    use crate::manifest::Profile;

    /// The plan of files with these sizes and contents.
    fn plan(files: &[(usize, u8)]) -> Plan {
        let dir = tempfile::tempdir().unwrap();
        for (number, (size, fill)) in files.iter().enumerate() {
            fs::write(dir.path().join(format!("{number:02}")), vec![*fill; *size]).unwrap();
        }
        let tree = Tree::read("rootfs", dir.path(), &Build::new(Profile::Dev)).unwrap();
        Plan::of(&tree, &Duplicates::find(&tree).unwrap())
    }

    #[test]
    fn small_files_share_a_block_while_there_is_room() {
        let plan = plan(&[
            (BLOCK_BYTES - 1, 1),
            (1, 2),
            (1, 3),
            (2 * BLOCK_BYTES + 1, 4),
            (0, 0),
            (BLOCK_BYTES - 1, 5),
            (BLOCK_BYTES, 6),
        ]);
        let group = |range| Piece::Group(range);
        let wanted = [
            group(0..2),
            Piece::Block(3, 0),
            Piece::Block(3, 1),
            Piece::Block(3, 2),
            Piece::Block(6, 0),
            group(2..4),
        ];
        assert_eq!(plan.pieces, wanted);
        assert_eq!(plan.small, [0, 1, 2, 5]);
        assert_eq!(plan.groups, [0, 5]);
        let wanted = [
            Place::Share(0, 0),
            Place::Share(0, BLOCK_BYTES - 1),
            Place::Share(1, 0),
            Place::Blocks(1..4),
            Place::Nowhere,
            Place::Share(1, 1),
            Place::Blocks(4..5),
        ];
        assert_eq!(plan.places, wanted);
    }

    #[test]
    fn equal_files_have_one_place() {
        let plan = plan(&[(9, 1), (9, 2), (9, 1), (BLOCK_BYTES, 3), (BLOCK_BYTES, 3)]);
        assert_eq!(plan.places[0], plan.places[2]);
        assert_ne!(plan.places[0], plan.places[1]);
        assert_eq!(plan.places[3], plan.places[4]);
        assert_eq!(plan.pieces.len(), 2);
    }
}
