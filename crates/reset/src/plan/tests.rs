use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use proptest::prelude::*;

use super::*;

fn directory(name: &str) -> Entry {
    Entry::new(name, EntryKind::Directory)
}

fn text(tree: &[Entry]) -> String {
    plan(tree, &Policy::FACTORY).to_string()
}

#[test]
fn trust_and_boot_stay_and_the_named_three_go() {
    let tree = ["apps", "content", "settings", "trust", "boot"].map(directory);
    assert_eq!(
        text(&tree),
        "PRESERVE\tpkg://trust/**\tnever-opened\n\
         REMOVE\tstate:/apps\tdirectory\n\
         PRESERVE\tstate:/boot\tdirectory\n\
         REMOVE\tstate:/content\tdirectory\n\
         REMOVE\tstate:/settings\tdirectory\n\
         PRESERVE\tstate:/trust\tdirectory\n"
    );
}

#[test]
fn the_order_of_the_tree_does_not_matter() {
    let forward = ["apps", "ime", "trust", "boot"].map(directory);
    let mut backward = forward.clone();
    backward.reverse();
    let twice = [forward.clone(), backward.clone()].concat();
    assert_eq!(text(&forward), text(&backward));
    assert_eq!(text(&forward), text(&twice));
}

#[test]
fn names_that_differ_in_case_or_by_a_letter_are_not_kept() {
    for name in [
        "Trust", "TRUST", "trust ", "trus", "trusts", "boot\n", "..trust",
    ] {
        let plan = plan(&[directory(name)], &Policy::FACTORY);
        let removed: Vec<_> = plan.removals().collect();
        assert_eq!(removed.len(), 1, "{name:?}");
        assert!(removed[0].is_unknown(), "{name:?}");
    }
}

#[test]
fn a_kept_name_stays_whatever_it_is() {
    for kind in [EntryKind::File, EntryKind::Symlink, EntryKind::Fifo] {
        let plan = plan(&[Entry::new("keystore", kind)], &Policy::FACTORY);
        assert_eq!(plan.removals().count(), 0, "{kind}");
    }
}

#[test]
fn the_reserved_directory_is_not_listed() {
    assert_eq!(text(&[directory(".nx-reset")]), text(&[]));
}

#[test]
fn the_hash_is_over_the_canonical_lines() {
    let plan = plan(&[directory("apps")], &Policy::FACTORY);
    assert_eq!(plan.hash(), Digest::of(plan.to_string().as_bytes()));
    assert_ne!(plan.hash(), super::plan(&[], &Policy::FACTORY).hash());
}

proptest! {
    #[test]
    fn every_entry_is_on_one_line_and_only_the_table_keeps(
        names in prop::collection::hash_set("[a-z]{1,8}|[\\x01-\\x2e\\x30-\\x7f]{1,12}", 0..40),
    ) {
        let tree: Vec<_> = names.iter().map(|name| directory(name)).collect();
        let plan = plan(&tree, &Policy::FACTORY);
        prop_assert_eq!(plan.to_string().lines().skip(1).count(), names.len());
        for line in plan.lines() {
            let Some(target) = line.target() else { continue };
            let kept = Policy::FACTORY.kept().iter().any(|kept| kept.as_bytes() == target.name());
            prop_assert_eq!(line.action() == Action::Preserve, kept);
        }
    }

    #[test]
    fn bytes_of_no_encoding_are_removed_under_a_printable_uri(name: [u8; 4]) {
        prop_assume!(!name.contains(&0) && !name.contains(&b'/'));
        let plan = plan(&[Entry::new(OsStr::from_bytes(&name), EntryKind::File)], &Policy::FACTORY);
        let printable = |b: u8| b == b'\t' || b == b'\n' || b.is_ascii_graphic();
        prop_assert!(plan.to_string().bytes().all(printable));
    }
}
