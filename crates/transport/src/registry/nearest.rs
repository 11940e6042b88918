//! The known name that an unknown one was probably meant to be.

use std::mem;

/// Most edits between a name and what was probably meant.
const EDITS_MAX: usize = 2;

/// The known name nearest to `name`, when it is near enough for a typing slip.
pub(super) fn nearest(name: &str, known: &[&str]) -> Option<String> {
    known
        .iter()
        .map(|candidate| (edits(name, candidate), *candidate))
        .filter(|(edits, candidate)| *edits <= EDITS_MAX && *edits < candidate.len())
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

/// Letters to insert, delete or replace to get from one name to the other.
fn edits(a: &str, b: &str) -> usize {
    // One row of the table at a time: `row[j]` is the distance of the prefixes seen so far.
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i.saturating_add(1);
        let mut left = diagonal;
        if let Some(first) = row.first_mut() {
            diagonal = mem::replace(first, left);
        }
        for (cell, to) in row.iter_mut().skip(1).zip(b.chars()) {
            let replaced = diagonal.saturating_add(usize::from(from != to));
            diagonal = *cell;
            left = replaced
                .min(left.saturating_add(1))
                .min(cell.saturating_add(1));
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("serial", "serial"), 0);
        assert_eq!(edits("serail", "serial"), 2);
        assert_eq!(edits("unx", "unix"), 1);
        assert_eq!(edits("kitten", "sitting"), 3);
    }

    #[test]
    fn only_slips_are_corrected() {
        assert_eq!(
            nearest("serail", &["serial", "tcp"]),
            Some("serial".to_owned())
        );
        assert_eq!(nearest("usb", &["serial", "tcp", "unix"]), None);
    }
}
