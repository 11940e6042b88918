//! A power cut that loses any of the changes that were not yet durable.
//!
//! One reset is recorded, operation by operation, by the inodes it works on. Then, for a cut after each
//! operation, trees are made in which everything synced has happened, and of the rest some of it: what a file
//! system may show after the cut. Each must hold every target whole or not at all, and be finished by the next
//! run. Directory changes count as durable once their directories are synced, a file's bytes once the
//! file is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{CStr, CString};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nx_reset::{Collision, Ops, System, execute_with};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::state::{State, snapshot};

type Inode = u64;

#[derive(Clone, Debug)]
enum Op {
    Mkdir {
        dir: Inode,
        name: CString,
        made: Inode,
    },
    Create {
        dir: Inode,
        name: CString,
        made: Inode,
    },
    Write {
        file: Inode,
        bytes: Vec<u8>,
    },
    Sync {
        what: Inode,
    },
    Rename {
        from: (Inode, CString),
        to: (Inode, CString),
        collision: Collision,
    },
    Unlink {
        dir: Inode,
        name: CString,
    },
    Rmdir {
        dir: Inode,
        name: CString,
        gone: Inode,
    },
}

impl Op {
    /// What has to be synced for this to be durable.
    fn rests_on(&self) -> Vec<Inode> {
        match self {
            Self::Mkdir { dir, .. }
            | Self::Create { dir, .. }
            | Self::Unlink { dir, .. }
            | Self::Rmdir { dir, .. } => vec![*dir],
            Self::Write { file, .. } => vec![*file],
            Self::Rename { from, to, .. } => vec![from.0, to.0],
            Self::Sync { .. } => Vec::new(),
        }
    }
}

/// Does what it is asked and writes it down.
#[derive(Debug, Default)]
struct Recorder {
    ops: Vec<Op>,
}

fn inode(fd: impl AsFd) -> Inode {
    rustix::fs::fstat(fd).unwrap().st_ino
}

fn open_directory(dir: impl AsFd, name: &CStr) -> OwnedFd {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    rustix::fs::openat(dir, name, flags, Mode::empty()).unwrap()
}

impl Ops for Recorder {
    fn mkdir(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        System.mkdir(dir, name)?;
        let made = inode(open_directory(dir, name));
        self.ops.push(Op::Mkdir {
            dir: inode(dir),
            name: name.into(),
            made,
        });
        Ok(())
    }

    fn create(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
        let file = System.create(dir, name)?;
        self.ops.push(Op::Create {
            dir: inode(dir),
            name: name.into(),
            made: inode(&file),
        });
        Ok(file)
    }

    fn write(&mut self, file: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
        let written = System.write(file, &bytes[..bytes.len().min(100)])?;
        self.ops.push(Op::Write {
            file: inode(file),
            bytes: bytes[..written].to_vec(),
        });
        Ok(written)
    }

    fn sync(&mut self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        self.ops.push(Op::Sync { what: inode(fd) });
        Ok(())
    }

    fn rename(
        &mut self,
        from: (BorrowedFd<'_>, &CStr),
        to: (BorrowedFd<'_>, &CStr),
        collision: Collision,
    ) -> Result<(), Errno> {
        System.rename(from, to, collision)?;
        let from = (inode(from.0), from.1.to_owned());
        let to = (inode(to.0), to.1.to_owned());
        self.ops.push(Op::Rename {
            from,
            to,
            collision,
        });
        Ok(())
    }

    fn unlink(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        System.unlink(dir, name)?;
        self.ops.push(Op::Unlink {
            dir: inode(dir),
            name: name.into(),
        });
        Ok(())
    }

    fn rmdir(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let gone = inode(rustix::fs::openat(dir, name, flags, Mode::empty())?);
        System.rmdir(dir, name)?;
        self.ops.push(Op::Rmdir {
            dir: inode(dir),
            name: name.into(),
            gone,
        });
        Ok(())
    }

    fn unseal(&mut self, dir: BorrowedFd<'_>) -> Result<(), Errno> {
        System.unseal(dir)
    }
}

fn directories(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    found.extend(
        snapshot(root)
            .into_keys()
            .filter(|path| root.join(path).is_dir()),
    );
    found
}

/// One recorded reset: the inodes of the directories that were there, and what was done.
struct Recording {
    inodes: BTreeMap<PathBuf, Inode>,
    ops: Vec<Op>,
}

impl Recording {
    fn make(state: &State) -> Self {
        let root = state.root();
        let inodes = directories(&root)
            .into_iter()
            .map(|path| (path.clone(), fs::metadata(root.join(path)).unwrap().ino()))
            .collect();
        let mut recorder = Recorder::default();
        let plan = state.plan().unwrap();
        execute_with(&mut recorder, &root, &plan, &mut |_| {}).unwrap();
        Self {
            inodes,
            ops: recorder.ops,
        }
    }

    /// Which of the first `cut` operations have not been made durable by then.
    fn pending(&self, cut: usize) -> Vec<usize> {
        (0..cut)
            .filter(|&number| {
                let synced: HashSet<Inode> = self.ops[number + 1..cut]
                    .iter()
                    .filter_map(|op| match op {
                        Op::Sync { what } => Some(*what),
                        _ => None,
                    })
                    .collect();
                self.ops[number]
                    .rests_on()
                    .iter()
                    .any(|inode| !synced.contains(inode))
            })
            .collect()
    }

    /// What of `lost` can be lost by the first `cut` operations: no file system keeps the removal of a directory
    /// and loses what had emptied it.
    fn consistent(&self, cut: usize, mut lost: HashSet<usize>) -> HashSet<usize> {
        for removal in (0..cut)
            .rev()
            .filter(|&number| matches!(self.ops[number], Op::Rmdir { .. }))
        {
            let Op::Rmdir { gone, .. } = self.ops[removal] else {
                continue;
            };
            if !lost.contains(&removal) {
                lost.retain(|&number| {
                    number > removal || !self.ops[number].rests_on().contains(&gone)
                });
            }
        }
        lost
    }

    /// Does to the fresh tree `root` the first `cut` operations, without those that are `lost`.
    ///
    /// What cannot be done without a lost one is lost with it.
    fn replay(&self, root: &Path, cut: usize, lost: &HashSet<usize>) {
        let mut handles: HashMap<Inode, OwnedFd> = HashMap::new();
        for (path, inode) in &self.inodes {
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            let handle = rustix::fs::openat(CWD, root.join(path), flags, Mode::empty()).unwrap();
            handles.insert(*inode, handle);
        }
        let kept = (0..cut).filter(|number| !lost.contains(number));
        for op in kept.map(|number| &self.ops[number]) {
            let handle = |inode: &Inode| handles.get(inode).map(AsFd::as_fd);
            match op {
                Op::Mkdir { dir, name, made } => {
                    let Some(dir) = handle(dir) else { continue };
                    if System.mkdir(dir, name).is_ok() {
                        let opened = open_directory(dir, name);
                        handles.insert(*made, opened);
                    }
                }
                Op::Create { dir, name, made } => {
                    let Some(dir) = handle(dir) else { continue };
                    if let Ok(file) = System.create(dir, name) {
                        handles.insert(*made, file);
                    }
                }
                Op::Write { file, bytes } => {
                    let Some(file) = handle(file) else { continue };
                    assert_eq!(System.write(file, bytes), Ok(bytes.len()));
                }
                Op::Rename {
                    from,
                    to,
                    collision,
                } => {
                    let (Some(a), Some(b)) = (handle(&from.0), handle(&to.0)) else {
                        continue;
                    };
                    let _ = System.rename((a, &from.1), (b, &to.1), *collision);
                }
                Op::Unlink { dir, name } => {
                    let Some(dir) = handle(dir) else { continue };
                    let _ = System.unlink(dir, name);
                }
                Op::Rmdir { dir, name, .. } => {
                    let Some(dir) = handle(dir) else { continue };
                    let _ = System.rmdir(dir, name);
                }
                Op::Sync { .. } => {}
            }
        }
    }
}

/// Steele, Lea, Flood: "Fast splittable pseudorandom number generators" (2014).
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// Sets of pending operations to lose: all of them if few, else none, everything, each one, and a sample.
fn losses(pending: &[usize], seed: u64) -> Vec<HashSet<usize>> {
    const EXHAUSTIVE: usize = 6;
    const SAMPLE: usize = 48;
    let subset = |bits: u64| {
        let chosen = pending
            .iter()
            .enumerate()
            .filter(|(bit, _)| bits >> (bit % 64) & 1 == 1);
        chosen.map(|(_, &number)| number).collect()
    };
    if pending.len() <= EXHAUSTIVE {
        return (0..1 << pending.len()).map(subset).collect();
    }
    let mut sets = vec![HashSet::new(), pending.iter().copied().collect()];
    sets.extend(pending.iter().map(|&number| HashSet::from([number])));
    let mut random = SplitMix(seed);
    sets.extend((0..SAMPLE).map(|_| subset(random.next())));
    sets
}

#[test]
fn whatever_a_power_cut_loses_the_next_run_finishes() {
    let recording = Recording::make(&State::seed_in_memory());
    let total = recording.ops.len();
    let mut states = 0;
    for cut in 0..=total {
        for lost in losses(&recording.pending(cut), cut as u64) {
            let lost = recording.consistent(cut, lost);
            states += 1;
            let state = State::seed_in_memory();
            let (before, kept) = (state.snapshot(), state.kept_snapshot());
            recording.replay(&state.root(), cut, &lost);
            let told = || format!("cut after {cut} of {total}, lost {lost:?}");

            assert_eq!(state.kept_snapshot(), kept, "{}", told());
            let now = state.snapshot();
            for target in ["apps", "content", "settings"] {
                if !now.contains_key(Path::new(target)) {
                    continue;
                }
                let part = |all: &crate::state::Snapshot| {
                    let inside = all.iter().filter(|(path, _)| path.starts_with(target));
                    inside
                        .map(|(path, fact)| (path.clone(), fact.clone()))
                        .collect::<Vec<_>>()
                };
                assert_eq!(
                    part(&now),
                    part(&before),
                    "half of {target} is there: {}",
                    told()
                );
            }
            if cut == total {
                assert_eq!(now, kept, "it was reported as done: {}", told());
            }
            state
                .reset()
                .unwrap_or_else(|error| panic!("{error:?}: {}", told()));
            state.assert_reset(&kept);
        }
    }
    assert!(states > 500, "only {states} states");
}
