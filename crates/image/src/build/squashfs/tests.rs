use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Seek as _;
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::Path;

use backhand::compression::{CompressionAction, Compressor, DefaultCompressor};
use backhand::kind::Kind as Format;
use backhand::{BackhandError, FilesystemCompressor, FilesystemWriter, NodeHeader, SuperBlock};

use super::ahead::{MISSED, while_ahead};
use super::forecast::{Block, Forecast};
use super::read_back::read_back;
use super::workers::Reader;
use super::write::{encode, encode_now, write};
use crate::build::tree::{Kind, Tree};
use crate::build::{Build, BuildError};
use crate::manifest::Profile;

const BLOCK: usize = 128 * 1024;
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

fn encoded(tree: &Tree) -> File {
    let mut out = tempfile::tempfile().unwrap();
    encode(tree, MTIME, &mut out).unwrap();
    out
}

thread_local! {
    static ASKED: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Notes what the library wants compressed.
struct Witness;

impl CompressionAction for Witness {
    type Error = BackhandError;
    type Compressor = Compressor;
    type FilesystemCompressor = FilesystemCompressor;
    type SuperBlock = SuperBlock;

    fn decompress(
        &self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        compressor: Compressor,
    ) -> Result<(), BackhandError> {
        DefaultCompressor.decompress(bytes, out, compressor)
    }

    fn compress(
        &self,
        bytes: &[u8],
        compressor: FilesystemCompressor,
        block_size: u32,
    ) -> Result<Vec<u8>, BackhandError> {
        ASKED.with_borrow_mut(|asked| asked.push(bytes.to_vec()));
        DefaultCompressor.compress(bytes, compressor, block_size)
    }
}

#[test]
fn every_block_is_at_hand_when_it_is_wanted() {
    with_tree(|root, tree| {
        let mut writer = FilesystemWriter::default();
        writer.set_kind(Format::new_v4(&Witness));
        writer.set_compressor(FilesystemCompressor::new(Compressor::Zstd, None).unwrap());
        for entry in &tree.entries {
            let (path, header) = (Path::new("/").join(&entry.path), NodeHeader::default());
            match entry.kind {
                Kind::Directory => writer.push_dir(path, header).unwrap(),
                Kind::File { .. } => writer
                    .push_file_from_path(root.join(&entry.path), path, header)
                    .unwrap(),
                _ => {}
            }
        }
        writer.write(&mut tempfile::tempfile().unwrap()).unwrap();
        let mut asked = ASKED.take();
        let mut reader = Reader::of(&tree, BLOCK);
        let mut groups = 0;
        for block in Forecast::of(&tree, BLOCK).blocks() {
            groups += usize::from(matches!(block, Block::Small(_)));
            let bytes = reader.read(&block).unwrap();
            if matches!(block, Block::Of(..)) && bytes.iter().all(|byte| *byte == 0) {
                continue;
            }
            let found = asked.iter().position(|asked| *asked == bytes);
            asked.remove(found.unwrap_or_else(|| panic!("{block:?}")));
        }
        assert!(groups >= 4, "{groups} groups of small files");
        // What is left are inodes and names, in blocks of at most 8 KiB, which nobody foresees.
        assert!(asked.iter().all(|bytes| bytes.len() <= 8_192));
        MISSED.set(0);
        encoded(&tree);
        assert_eq!(MISSED.get(), asked.len());
    });
}

/// What the forecast says of a tree that is not like that any more, or never was, costs time.
#[test]
fn a_forecast_that_is_wrong_changes_nothing() {
    with_tree(|root, tree| {
        let bytes = |mut file: File| {
            let mut bytes = Vec::new();
            file.rewind().unwrap();
            std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
            bytes
        };
        for (entry, size) in [("dir/04", 70_000), ("dir-2/02", 7), ("dir/10", 3)] {
            fs::write(root.join(entry), noise(size, 3)).unwrap();
        }
        // Read anew, so that it is as the library finds it; then with another forecast.
        let now = Tree::read("rootfs", root, &Build::new(Profile::Dev)).unwrap();
        MISSED.set(0);
        let foreseen = bytes(encoded(&now));
        let missed = MISSED.replace(0);
        let mut out = tempfile::tempfile().unwrap();
        while_ahead(&tree, BLOCK, || encode_now(&now, MTIME, &mut out)).unwrap();
        assert!(bytes(out) == foreseen);
        assert!(MISSED.get() > missed, "{} missed", MISSED.get());
    });
}

#[test]
fn what_was_written_is_read_back() {
    with_tree(|_, tree| {
        let mut out = tempfile::tempfile().unwrap();
        write(&tree, MTIME, &mut out).unwrap();
    });
}

/// What is said when the tree is not what was written.
fn said(tree: &Tree, mtime: u32, out: &File) -> String {
    match read_back(tree, mtime, out) {
        Err(BuildError::ReadBack { path, what, .. }) => format!("{path} {what}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_attribute_is_compared() {
    with_tree(|_, mut tree| {
        let out = encoded(&tree);
        read_back(&tree, MTIME, &out).unwrap();
        assert_eq!(said(&tree, MTIME + 1, &out), "/ is of another time");
        tree.root_mode ^= 0o001;
        assert_eq!(said(&tree, MTIME, &out), "/ has another mode");
        tree.root_mode ^= 0o001;
        for index in 0..tree.entries.len() {
            let path = tree.entries[index].path.display().to_string();
            tree.entries[index].mode ^= 0o4000;
            assert_eq!(said(&tree, MTIME, &out), format!("{path} has another mode"));
            tree.entries[index].mode ^= 0o4000;
            let other = match &tree.entries[index].kind {
                Kind::Fifo => Kind::Directory,
                Kind::File { size } => Kind::File { size: size + 1 },
                Kind::Symlink(to) => Kind::Symlink(to.join("x")),
                _ => Kind::Fifo,
            };
            let kind = std::mem::replace(&mut tree.entries[index].kind, other);
            assert_eq!(
                said(&tree, MTIME, &out),
                format!("{path} has another content")
            );
            tree.entries[index].kind = kind;
        }
        let last = tree.entries.pop().unwrap();
        assert!(said(&tree, MTIME, &out).ends_with("should not be there"));
        tree.entries.push(last.clone());
        tree.entries.push(last);
        assert!(said(&tree, MTIME, &out).ends_with("is missing"));
    });
}

/// Owner, group and time of single entries, which no build of ours gets wrong by itself.
#[test]
fn another_owner_or_time_is_found() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), b"content").unwrap();
    let tree = Tree::read("rootfs", dir.path(), &Build::new(Profile::Dev)).unwrap();
    let mode = tree.entries[0].mode;
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
        read_back(&tree, MTIME, &out)
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
fn contents_are_compared_to_the_last_byte() {
    with_tree(|root, tree| {
        let out = encoded(&tree);
        for entry in &tree.entries {
            let Kind::File { size } = entry.kind else {
                continue;
            };
            let path = root.join(&entry.path);
            let file = File::options().read(true).write(true).open(&path).unwrap();
            let differs = format!("{} has another content", entry.path.display());
            for at in [0, size / 2, size.saturating_sub(1)] {
                let mut byte = [0];
                if file.read_at(&mut byte, at).unwrap() == 0 {
                    continue;
                }
                file.write_all_at(&[byte[0] ^ 1], at).unwrap();
                assert_eq!(said(&tree, MTIME, &out), differs, "byte {at}");
                file.write_all_at(&byte, at).unwrap();
            }
            let good = fs::read(&path).unwrap();
            file.set_len(size + 1).unwrap();
            assert_eq!(said(&tree, MTIME, &out), differs, "longer");
            if size > 0 {
                file.set_len(size - 1).unwrap();
                assert_eq!(said(&tree, MTIME, &out), differs, "shorter");
            }
            fs::write(&path, good).unwrap();
        }
        read_back(&tree, MTIME, &out).unwrap();
    });
}

#[test]
fn a_changed_byte_of_the_data_is_found() {
    with_tree(|_, tree| {
        let mut out = encoded(&tree);
        let end = out.seek(std::io::SeekFrom::End(0)).unwrap();
        // The superblock says where the inodes begin, which follow the data.
        let mut inodes = [0; 8];
        out.read_exact_at(&mut inodes, 64).unwrap();
        let inodes = u64::from_le_bytes(inodes);
        assert!((96..end).contains(&inodes));
        for at in (96..inodes).step_by(4_999) {
            let mut byte = [0];
            out.read_exact_at(&mut byte, at).unwrap();
            out.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
            assert!(read_back(&tree, MTIME, &out).is_err(), "byte {at}");
            out.write_all_at(&byte, at).unwrap();
        }
        read_back(&tree, MTIME, &out).unwrap();
    });
}
