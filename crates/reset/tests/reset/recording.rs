//! A reset written down operation by operation, and done again in part.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{CStr, CString};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nx_reset::{Collision, Event, Ops, System, execute_with};
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
    ops: Rc<RefCell<Vec<Op>>>,
    /// Targets that may still move before the process is killed.
    moves_left: Option<u32>,
}

impl Recorder {
    /// Fails once the process counts as killed.
    fn alive(&self) -> Result<(), Errno> {
        if self.moves_left == Some(0) {
            Err(Errno::INTR)
        } else {
            Ok(())
        }
    }

    fn push(&mut self, op: Op) {
        self.ops.borrow_mut().push(op);
    }
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
        self.alive()?;
        System.mkdir(dir, name)?;
        let made = inode(open_directory(dir, name));
        self.push(Op::Mkdir {
            dir: inode(dir),
            name: name.into(),
            made,
        });
        Ok(())
    }

    fn create(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
        self.alive()?;
        let file = System.create(dir, name)?;
        self.push(Op::Create {
            dir: inode(dir),
            name: name.into(),
            made: inode(&file),
        });
        Ok(file)
    }

    fn write(&mut self, file: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
        self.alive()?;
        let written = System.write(file, &bytes[..bytes.len().min(100)])?;
        self.push(Op::Write {
            file: inode(file),
            bytes: bytes[..written].to_vec(),
        });
        Ok(written)
    }

    fn sync(&mut self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        self.alive()?;
        self.push(Op::Sync { what: inode(fd) });
        Ok(())
    }

    fn rename(
        &mut self,
        from: (BorrowedFd<'_>, &CStr),
        to: (BorrowedFd<'_>, &CStr),
        collision: Collision,
    ) -> Result<(), Errno> {
        self.alive()?;
        System.rename(from, to, collision)?;
        if collision == Collision::Refuse {
            self.moves_left = self.moves_left.map(|left| left - 1);
        }
        let from = (inode(from.0), from.1.to_owned());
        let to = (inode(to.0), to.1.to_owned());
        self.push(Op::Rename {
            from,
            to,
            collision,
        });
        Ok(())
    }

    fn unlink(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        self.alive()?;
        System.unlink(dir, name)?;
        self.push(Op::Unlink {
            dir: inode(dir),
            name: name.into(),
        });
        Ok(())
    }

    fn rmdir(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        self.alive()?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let gone = inode(rustix::fs::openat(dir, name, flags, Mode::empty())?);
        System.rmdir(dir, name)?;
        self.push(Op::Rmdir {
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

/// One recorded reset: the inodes of the directories that were there, what was done, and how much
/// of it when the intent was said to be durable.
pub(crate) struct Recording {
    inodes: BTreeMap<PathBuf, Inode>,
    ops: Vec<Op>,
    started: usize,
}

impl Recording {
    /// Resets `state` and records it; if told to, as two runs, of which the first is killed after
    /// that many moves.
    pub(crate) fn make(state: &State, killed_after_moves: Option<u32>) -> Self {
        let root = state.root();
        let inodes = directories(&root)
            .into_iter()
            .map(|path| (path.clone(), fs::metadata(root.join(path)).unwrap().ino()))
            .collect();
        let mut recorder = Recorder::default();
        let ops = Rc::clone(&recorder.ops);
        let plan = state.plan().unwrap();
        let mut started = None;
        let mut watch = |event: Event<'_>| {
            if matches!(event, Event::Started { .. }) {
                started.get_or_insert(ops.borrow().len());
            }
        };
        if killed_after_moves.is_some() {
            recorder.moves_left = killed_after_moves;
            execute_with(&mut recorder, &root, &plan, &mut watch).unwrap_err();
            recorder.moves_left = None;
        }
        execute_with(&mut recorder, &root, &plan, &mut watch).unwrap();
        let ops = recorder.ops.take();
        let started = started.unwrap();
        Self {
            inodes,
            ops,
            started,
        }
    }

    /// Operations in all.
    pub(crate) fn total(&self) -> usize {
        self.ops.len()
    }

    /// Operations before the intent was said to be durable.
    pub(crate) fn started(&self) -> usize {
        self.started
    }

    /// Number of the operation that takes back the intent.
    pub(crate) fn last_step(&self) -> usize {
        let last = |op: &Op| matches!(op, Op::Unlink { name, .. } if name.as_c_str() == c"intent");
        self.ops.iter().position(last).unwrap()
    }

    /// Which of the first `cut` operations have not been made durable by then.
    pub(crate) fn pending(&self, cut: usize) -> Vec<usize> {
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

    /// What of `lost` can be lost by the first `cut` operations: no file system keeps the removal
    /// of a directory and loses what had emptied it.
    pub(crate) fn consistent(&self, cut: usize, mut lost: HashSet<usize>) -> HashSet<usize> {
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
    pub(crate) fn replay(&self, root: &Path, cut: usize, lost: &HashSet<usize>) {
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
