use std::fs;
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::Path;

use super::*;
use crate::build::Build;
use crate::manifest::Profile;

const MTIME: u32 = 86_400;

fn with_tree(test: impl FnOnce(&Path, Tree)) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("dir")).unwrap();
    for (name, size) in [("dir/a", 0), ("dir/b", 1), ("dir/c", 4_099), ("z", 70_000)] {
        let bytes: Vec<u8> = (0_u8..251).cycle().take(size).collect();
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    symlink("dir/a", dir.path().join("link")).unwrap();
    let tree = Tree::read("initrd", dir.path(), &Build::new(Profile::Dev)).unwrap();
    test(dir.path(), tree);
}

fn said(tree: &Tree, mtime: u32, out: &mut File) -> String {
    match read_back(tree, mtime, out) {
        Err(BuildError::ReadBack { path, what, .. }) => format!("{path} {what}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_attribute_is_compared() {
    with_tree(|_, mut tree| {
        let mut out = tempfile::tempfile().unwrap();
        write(&tree, MTIME, &mut out).unwrap();
        assert_eq!(said(&tree, MTIME + 1, &mut out), "dir has another time");
        for index in 0..tree.entries.len() {
            let path = tree.entries[index].path.display().to_string();
            tree.entries[index].mode ^= 0o4000;
            assert_eq!(
                said(&tree, MTIME, &mut out),
                format!("{path} has another mode")
            );
            tree.entries[index].mode ^= 0o4000;
            let (other, what) = match &tree.entries[index].kind {
                Kind::File { size } => (Kind::File { size: size + 1 }, "has another content"),
                Kind::Symlink(to) => (Kind::Symlink(to.join("x")), "has another content"),
                _ => (Kind::Fifo, "is of another kind"),
            };
            let kind = std::mem::replace(&mut tree.entries[index].kind, other);
            assert_eq!(said(&tree, MTIME, &mut out), format!("{path} {what}"));
            tree.entries[index].kind = kind;
        }
        let last = tree.entries.pop().unwrap();
        assert_eq!(said(&tree, MTIME, &mut out), "z should not be there");
        tree.entries.push(last.clone());
        tree.entries.push(last);
        assert_eq!(said(&tree, MTIME, &mut out), "z is missing");
    });
}

/// What no build of ours gets wrong by itself: one field of the header of the first entry.
#[test]
fn another_owner_time_device_or_number_of_names_is_found() {
    with_tree(|_, tree| {
        let mut out = tempfile::tempfile().unwrap();
        write(&tree, MTIME, &mut out).unwrap();
        // Fields of 8 hex digits after a magic of 6 bytes; here the last digit of each.
        for (field, what) in [
            (2, "owner"),
            (3, "owner"),
            (4, "owner"),
            (5, "time"),
            (9, "kind"),
            (10, "kind"),
        ] {
            let at = 6 + 8 * field + 7;
            let mut digit = [0];
            out.read_exact_at(&mut digit, at).unwrap();
            out.write_all_at(&[digit[0] ^ 1], at).unwrap();
            let said = said(&tree, MTIME, &mut out);
            assert!(said.starts_with("dir ") && said.contains(what), "{said}");
            out.write_all_at(&digit, at).unwrap();
        }
        read_back(&tree, MTIME, &mut out).unwrap();
    });
}

#[test]
fn contents_are_compared_to_the_last_byte() {
    with_tree(|root, tree| {
        let mut out = tempfile::tempfile().unwrap();
        write(&tree, MTIME, &mut out).unwrap();
        for name in ["dir/b", "dir/c", "z"] {
            let good = fs::read(root.join(name)).unwrap();
            let differs = format!("{name} has another content");
            for at in [0, good.len() / 2, good.len() - 1] {
                let mut bad = good.clone();
                bad[at] ^= 1;
                fs::write(root.join(name), bad).unwrap();
                assert_eq!(said(&tree, MTIME, &mut out), differs);
            }
            fs::write(root.join(name), &good[1..]).unwrap();
            assert_eq!(said(&tree, MTIME, &mut out), differs);
            fs::write(root.join(name), [&*good, &[0]].concat()).unwrap();
            assert_eq!(said(&tree, MTIME, &mut out), differs);
            fs::write(root.join(name), good).unwrap();
        }
        read_back(&tree, MTIME, &mut out).unwrap();
    });
}

#[test]
fn an_archive_that_the_system_refuses_is_told_with_its_folder() {
    with_tree(|root, mut tree| {
        // What fits into the buffer is refused at the end.
        tree.entries.truncate(1);
        let mut out = File::open(root.join("z")).unwrap();
        let refused = write(&tree, MTIME, &mut out).unwrap_err();
        match refused.in_folder(Path::new("/scratch")) {
            BuildError::Io { path, .. } => assert_eq!(path, Path::new("/scratch")),
            other => panic!("{other:?}"),
        }
    });
}
