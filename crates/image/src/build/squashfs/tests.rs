use std::fs::{self, File, FileTimes};
use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, symlink};
use std::path::Path;

use backhand::compression::Compressor;
use backhand::{FilesystemCompressor, FilesystemReader, FilesystemWriter, InnerNode, NodeHeader};
use rstest::rstest;

use super::BLOCK_BYTES as BLOCK;
use super::duplicates::Duplicates;
use super::plan::Plan;
use super::read_back::read_back;
use super::write::{Written, encode, encode_plan, write};
use crate::build::tree::{Entry, Kind, Tree};
use crate::build::{Build, BuildError};
use crate::manifest::Profile;

const MTIME: u32 = 86_400;

fn noise(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 24) as u8 & 0x3f
    };
    (0..len).map(|_| next()).collect()
}

/// Files around every length that matters, and everything else that a tree may hold.
fn fill(root: &Path) {
    fs::create_dir(root.join("dir")).unwrap();
    fs::create_dir(root.join("dir-2")).unwrap();
    let sizes = [
        0,
        1,
        BLOCK - 1,
        BLOCK,
        BLOCK + 1,
        60_000,
        60_000,
        60_000,
        3 * BLOCK,
        2 * BLOCK + 77,
        5,
        0,
        BLOCK - 5,
        6,
    ];
    for (number, size) in (1_u32..).zip(sizes) {
        let folder = if number % 3 == 1 { "dir" } else { "dir-2" };
        let path = root.join(folder).join(format!("{number:02}"));
        fs::write(path, noise(size, number)).unwrap();
    }
    let mut holes = noise(4 * BLOCK, 99);
    holes[BLOCK..3 * BLOCK].fill(0);
    fs::write(root.join("dir/holes"), holes).unwrap();
    fs::write(root.join("dir/full"), noise(4 * BLOCK, 98)).unwrap();
    let mut end = noise(BLOCK + 9, 97);
    end[BLOCK..].fill(0);
    fs::write(root.join("dir/zeros-at-the-end"), end).unwrap();
    fs::write(root.join("dir/same"), noise(60_000, 6)).unwrap();
    fs::write(root.join("dir/zeros"), vec![0; BLOCK]).unwrap();
    fs::write(root.join("dir/few-zeros"), vec![0; 100]).unwrap();
    symlink("dir/zeros", root.join("link")).unwrap();
}

fn with_tree(test: impl FnOnce(&Path, Tree)) {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let tree = Tree::read("rootfs", dir.path(), &Build::new(Profile::Dev)).unwrap();
    test(dir.path(), tree);
}

fn encoded(tree: &Tree) -> (File, Written) {
    let out = tempfile::tempfile().unwrap();
    let written = encode(tree, MTIME, &out).unwrap();
    (out, written)
}

#[test]
fn what_was_written_is_read_back() {
    with_tree(|_, tree| {
        let mut out = tempfile::tempfile().unwrap();
        write(&tree, MTIME, &mut out).unwrap();
    });
}

/// By a reader that shares nothing with the writer, and keeps no secret of what it found.
#[test]
fn every_file_is_decoded_to_what_it_was() {
    with_tree(|root, tree| {
        let (out, _) = encoded(&tree);
        let reader = FilesystemReader::from_reader(BufReader::new(out)).unwrap();
        let mut files = 0;
        for node in reader.files() {
            let InnerNode::File(file) = &node.inner else {
                continue;
            };
            let mut found = Vec::new();
            reader.file(file).reader().read_to_end(&mut found).unwrap();
            let path = node.fullpath.strip_prefix("/").unwrap();
            assert!(found == fs::read(root.join(path)).unwrap(), "{path:?}");
            files += 1;
        }
        let is_file = |entry: &&Entry| matches!(entry.kind, Kind::File { .. });
        assert_eq!(files, tree.entries.iter().filter(is_file).count());
    });
}

#[test]
fn equal_files_are_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let size = || {
        let tree = Tree::read("rootfs", dir.path(), &Build::new(Profile::Dev)).unwrap();
        let (out, _) = encoded(&tree);
        out.metadata().unwrap().len()
    };
    let (small, large) = (noise(70_000, 1), noise(3 * BLOCK, 2));
    fs::write(dir.path().join("a"), &small).unwrap();
    fs::write(dir.path().join("b"), &large).unwrap();
    let once = size();
    for n in 0..9 {
        fs::write(dir.path().join(format!("c{n}")), &small).unwrap();
        fs::write(dir.path().join(format!("d{n}")), &large).unwrap();
    }
    assert!(size() < once + 4_096, "{} is over {once}", size());
    // The same to the last byte, and no longer then.
    let mut other = large;
    other[3 * BLOCK - 1] ^= 1;
    fs::write(dir.path().join("d0"), &other).unwrap();
    assert!(size() > once + 200_000);
}

#[rstest]
#[case::longer(longer)]
#[case::shorter(shorter)]
#[case::other_bytes(other_bytes)]
#[case::another_file(another_file)]
fn a_file_that_changed_since_the_walk_ends_the_build(
    #[values("dir/04", "dir-2/02", "dir-2/09", "dir/same")] name: &str,
    #[case] change: fn(&Path),
) {
    with_tree(|root, tree| {
        change(&root.join(name));
        let out = tempfile::tempfile().unwrap();
        match encode(&tree, MTIME, &out).map(drop) {
            Err(BuildError::Changed { path, .. }) => assert_eq!(path, root.join(name)),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn an_empty_file_that_is_not_empty_any_more_ends_the_build() {
    with_tree(|root, tree| {
        longer(&root.join("dir/01"));
        let out = tempfile::tempfile().unwrap();
        match encode(&tree, MTIME, &out).map(drop) {
            Err(BuildError::Changed { path, .. }) => assert_eq!(path, root.join("dir/01")),
            other => panic!("{other:?}"),
        }
    });
}

fn longer(path: &Path) {
    let mut file = File::options().append(true).open(path).unwrap();
    file.write_all(b"x").unwrap();
}

fn shorter(path: &Path) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len().saturating_sub(1))
        .unwrap();
}

/// Of the same length, and with the same time of its last change.
fn other_bytes(path: &Path) {
    let file = File::options().write(true).open(path).unwrap();
    let found = file.metadata().unwrap();
    let content = vec![b'x'; found.len() as usize];
    let changed = |found: &fs::Metadata| (found.ctime(), found.ctime_nsec());
    // The clock of an older kernel stands still for some milliseconds.
    while changed(&file.metadata().unwrap()) == changed(&found) {
        file.write_all_at(&content, 0).unwrap();
        file.set_times(FileTimes::new().set_modified(found.modified().unwrap()))
            .unwrap();
    }
}

fn another_file(path: &Path) {
    let other = path.with_extension("new");
    fs::copy(path, &other).unwrap();
    fs::rename(other, path).unwrap();
}

/// The writer of inodes is told where each file is: what it makes of that is not believed.
#[test]
fn a_file_that_leads_to_another_is_found() {
    with_tree(|_, tree| {
        let index = |name: &str| {
            let named = |entry: &Entry| entry.path == Path::new(name);
            tree.entries.iter().position(named).unwrap()
        };
        // Of the same length: small ones, in the same group and in others; large ones.
        for (one, other) in [
            ("dir-2/06", "dir/07"),
            ("dir-2/06", "dir-2/08"),
            ("dir/holes", "dir/full"),
        ] {
            let duplicates = Duplicates::find(&tree).unwrap();
            let mut plan = Plan::of(&tree, &duplicates);
            plan.places.swap(index(one), index(other));
            let out = tempfile::tempfile().unwrap();
            let written = encode_plan(&tree, MTIME, &out, duplicates, plan).unwrap();
            let said = said(&tree, MTIME, (&out, &written));
            assert!(said.ends_with("has another content"), "{said}");
        }
    });
}

/// Its list is longer than an ordinary inode can say.
#[test]
fn a_directory_may_be_large() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..2_000 {
        fs::write(dir.path().join(format!("{n:040}")), n.to_string()).unwrap();
    }
    let tree = Tree::read("rootfs", dir.path(), &Build::new(Profile::Dev)).unwrap();
    let mut out = tempfile::tempfile().unwrap();
    write(&tree, MTIME, &mut out).unwrap();
}

/// What is said when the tree is not what was written.
fn said(tree: &Tree, mtime: u32, (out, written): (&File, &Written)) -> String {
    match read_back(tree, mtime, out, written) {
        Err(BuildError::ReadBack { path, what, .. }) => format!("{path} {what}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_attribute_is_compared() {
    with_tree(|_, mut tree| {
        let (out, written) = encoded(&tree);
        let out = (&out, &written);
        read_back(&tree, MTIME, out.0, out.1).unwrap();
        assert_eq!(said(&tree, MTIME + 1, out), "/ is of another time");
        tree.root_mode ^= 0o001;
        assert_eq!(said(&tree, MTIME, out), "/ has another mode");
        tree.root_mode ^= 0o001;
        for index in 0..tree.entries.len() {
            let path = tree.entries[index].path.display().to_string();
            tree.entries[index].mode ^= 0o4000;
            assert_eq!(said(&tree, MTIME, out), format!("{path} has another mode"));
            tree.entries[index].mode ^= 0o4000;
            let other = match &tree.entries[index].kind {
                Kind::Fifo => Kind::Directory,
                Kind::File { size } => Kind::File { size: size + 1 },
                Kind::Symlink(to) => Kind::Symlink(to.join("x")),
                _ => Kind::Fifo,
            };
            let kind = std::mem::replace(&mut tree.entries[index].kind, other);
            assert_eq!(
                said(&tree, MTIME, out),
                format!("{path} has another content")
            );
            tree.entries[index].kind = kind;
        }
        let last = tree.entries.pop().unwrap();
        assert!(said(&tree, MTIME, out).ends_with("should not be there"));
        tree.entries.push(last.clone());
        tree.entries.push(last);
        assert!(said(&tree, MTIME, out).ends_with("is missing"));
    });
}

/// Owner, group and time of single entries, which no build of ours gets wrong by itself.
#[test]
fn another_owner_or_time_is_found() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), b"content").unwrap();
    let tree = Tree::read("rootfs", dir.path(), &Build::new(Profile::Dev)).unwrap();
    let mode = tree.entries[0].mode;
    // The library gives the root no time of its own.
    const MTIME: u32 = 0;
    // It puts the only block where we do.
    let written = encode(&tree, MTIME, &tempfile::tempfile().unwrap()).unwrap();
    let with = |header: NodeHeader, root: (u32, u32)| {
        let mut writer = FilesystemWriter::default();
        writer.set_compressor(FilesystemCompressor::new(Compressor::Zstd, None).unwrap());
        writer.set_time(MTIME);
        writer.set_root_mode(tree.root_mode);
        writer.set_root_uid(root.0);
        writer.set_root_gid(root.1);
        writer.push_file(&b"content"[..], "/file", header).unwrap();
        let mut out = tempfile::tempfile().unwrap();
        writer.write(&mut out).unwrap();
        read_back(&tree, MTIME, &out, &written)
    };
    with(NodeHeader::new(mode, 0, 0, MTIME), (0, 0)).unwrap();
    // The library knows only owners that a file has.
    for (header, root, path, what) in [
        (NodeHeader::new(mode, 1, 0, MTIME), (0, 0), "file", "owner"),
        (NodeHeader::new(mode, 0, 1, MTIME), (0, 0), "file", "owner"),
        (
            NodeHeader::new(mode, 0, 0, MTIME + 1),
            (0, 0),
            "file",
            "time",
        ),
        (NodeHeader::new(mode, 1, 0, MTIME), (1, 0), "/", "owner"),
        (NodeHeader::new(mode, 0, 1, MTIME), (0, 1), "/", "owner"),
    ] {
        match with(header, root) {
            Err(BuildError::ReadBack {
                path: found,
                what: said,
                ..
            }) => assert_eq!((&*found, said), (path, format!("has another {what}"))),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_changed_byte_of_the_data_is_found() {
    with_tree(|_, tree| {
        let (out, written) = encoded(&tree);
        let last = written.stored.last().unwrap();
        let end = last.start + u64::from(last.len);
        for at in (96..end).step_by(997).chain([96, end - 1]) {
            let mut byte = [0];
            out.read_exact_at(&mut byte, at).unwrap();
            out.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
            let said = said(&tree, MTIME, (&out, &written));
            assert!(said.ends_with("has another content"), "byte {at}: {said}");
            out.write_all_at(&byte, at).unwrap();
        }
        read_back(&tree, MTIME, &out, &written).unwrap();
    });
}

#[test]
fn a_file_system_that_the_system_refuses_is_told_with_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), b"content").unwrap();
    let mut out = File::open(dir.path().join("file")).unwrap();
    let tree = Tree::read("rootfs", dir.path(), &Build::new(Profile::Dev)).unwrap();
    let refused = write(&tree, MTIME, &mut out).unwrap_err();
    match refused.in_folder(Path::new("/scratch")) {
        BuildError::Io { path, .. } => assert_eq!(path, Path::new("/scratch")),
        other => panic!("{other:?}"),
    }
}
